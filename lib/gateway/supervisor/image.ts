// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor's image for a local launch. It is built from a context of its own that holds this launch's binary
 * under the path that the Dockerfile copies, so that a dev binary never gets into the directory of release builds.
 * A label says what is in it; an image with the right one is used as it is.
 */

import { hash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { installSupervisor } from '../../dev-build/verify-built.ts';
import type { Engine } from '../../engine/types.ts';
import { oneLine, usageError } from '../../errors.ts';
import { isOfOther } from '../../fs/ownership.ts';
import { contentOf } from '../../fs/paths.ts';
import { temporaryRoot } from '../../fs/temporary-directory.ts';
import { cmd } from '../../process/command.ts';
import type { ProbeResult } from '../../process/result.ts';
import { COMPONENTS, PRODUCT } from '../../product.ts';
import type { Config, LaunchContext } from '../config.ts';
import type { BuiltStep } from '../drivers/types.ts';
import type { Supervisor } from './choose-supervisor.ts';

const DOCKERFILE = 'deploy/docker/Dockerfile.supervisor';
const LABEL = 'com.nvidia.openshell.supervisor';
const PROBE_TIMEOUT_MS = 30_000;
const TAG_MAX = 128;

/** @throws usageError where the engine does not have the image that a variable names */
export async function verifyImageExists(
  ctx: LaunchContext,
  engine: Engine,
  source: string,
  image: string,
): Promise<void> {
  if (engine.unknown !== undefined) return;
  const result = await inspectImage(ctx, engine, image);
  if (result.ok) return;
  throw usageError(
    `${source} is '${oneLine(image)}', which ${engine.program} does not have (${oneLine(result.reason)}); ` +
      `pull or build it, or unset ${source} to have it built`,
  );
}

/** The image of a gateway. Under another name than the usual one it has a tag that no other one takes away. */
export function imageOf({ name }: Config): string {
  return `openshell/supervisor:${`dev${name === 'podman-dev' ? '' : `-${name}`}`.slice(0, TAG_MAX)}`;
}

/** The step that brings the image up to date. */
export function imageStep(ctx: LaunchContext, config: Config, supervisor: Supervisor): BuiltStep {
  const { problems, root, runner, terminal } = ctx;
  const { arch, engine, profile } = supervisor;
  const image = imageOf(config);
  const dockerfile = join(root, DOCKERFILE);
  const recipe = problems.attempt(() => contentOf(dockerfile));
  const context = contextDirectory(config.stateDirectory);
  const binary = join(context, PRODUCT.prebuiltDirectory, arch, COMPONENTS.supervisor.binary);
  const build = (label: string) => {
    const [args = []] = engine.record.buildCommands({
      ...{ context, dockerfile, target: COMPONENTS.supervisor.name, tags: [image], platforms: [`linux/${arch}`] },
      ...{ builder: undefined, caches: [], secrets: [], output: { kind: 'load' } },
      extra: ['--label', `${LABEL}=${label}`],
    });
    return cmd({ cwd: root })`${engine.program} ${args}`;
  };
  const remove = () => rmSync(context, { recursive: true, force: true });
  return {
    name: 'image',
    title: `image ${image}`,
    lines: [`# puts the supervisor into ${binary}`, runner.describe(build('…'))],
    run: async (built) => {
      const source = supervisor.built(built);
      const label = hash('sha256', `${profile} ${source.stamp} ${recipe}`);
      const existing = await inspectImage(ctx, engine, image);
      if (existing.ok && existing.output.includes(label)) return terminal.say(`${image} holds this supervisor already`);
      remove();
      try {
        installSupervisor(source, binary);
        await runner.run(build(label));
      } finally {
        remove();
      }
    },
  };
}

/**
 * The directory of the build's context: in the state directory, where the next launch removes what a killed one has
 * left. For root in another user's directory it is among the temporary files: podman follows links in it as root.
 */
function contextDirectory(stateDirectory: string): string {
  const name = 'image-context';
  return isOfOther(stateDirectory)
    ? join(temporaryRoot(), `openshell-${name}-${randomBytes(8).toString('hex')}`)
    : join(stateDirectory, name);
}

function inspectImage({ root, runner }: LaunchContext, { program }: Engine, image: string): Promise<ProbeResult> {
  return runner.probe(cmd({ cwd: root })`${program} image inspect -- ${image}`, PROBE_TIMEOUT_MS);
}
