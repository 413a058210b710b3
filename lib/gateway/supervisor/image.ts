// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor's image for a local launch. It is built from a context of its own that holds this launch's binary
 * under the path that the Dockerfile copies, so that a dev binary never gets into the directory of release builds.
 * Labels say what is in it; an image with the right labels is used as it is.
 */

import { hash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DevBuild } from '../../dev-build/verify-built.ts';
import type { Engine } from '../../engine/types.ts';
import { failure, oneLine, usageError } from '../../errors.ts';
import { isOfOther } from '../../fs/ownership.ts';
import { firstInList, isTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import { temporaryRoot } from '../../fs/temporary-directory.ts';
import { verifyDockerfile } from '../../image/config.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { ProbeResult } from '../../process/result.ts';
import { COMPONENTS, PRODUCT } from '../../product.ts';
import type { Config, LaunchContext } from '../config.ts';
import type { BuiltStep } from '../drivers/types.ts';
import type { Supervisor } from './choose-supervisor.ts';

const DOCKERFILE = 'deploy/docker/Dockerfile.supervisor';
const LABEL_PREFIX = 'com.nvidia.openshell.supervisor';
/** The file, below the context, that the engine writes the image's id to. */
const ID_FILE = 'id';
const PROBE_TIMEOUT_MS = 30_000;

/** What is in the image, by the names of its labels. */
type Labels = Readonly<Record<string, string>>;

/**
 * @param source the variable that names the image
 * @throws usageError where the engine does not have it
 */
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

/** The step that brings the image up to date. */
export function imageStep(ctx: LaunchContext, config: Config, supervisor: Supervisor): BuiltStep {
  const { problems, root } = ctx;
  const context = contextDirectory(config.stateDirectory);
  const remove = () => rmSync(context, { recursive: true, force: true });
  problems.attempt(() => verifyDockerfile(join(root, DOCKERFILE)));
  const label = (key: string) => `${LABEL_PREFIX}.${key}`;
  const labelsOf = (binary: string, dockerfile: string) => ({
    [label('profile')]: supervisor.profile,
    [label('binary')]: binary,
    [label('dockerfile')]: dockerfile,
  });
  return {
    name: 'image',
    title: `image ${supervisor.image}`,
    lines: [
      `# puts the supervisor into ${join(context, copiedPath(supervisor))}`,
      ctx.runner.describe(buildCommand(ctx, supervisor, context, labelsOf('…', '…'))),
    ],
    run: async (build) => {
      remove();
      const dockerfile = hash('sha256', contentOf(join(ctx.root, DOCKERFILE)));
      const labels = labelsOf(await supervisor.digest(build), dockerfile);
      const existing = imageIn(await inspectImage(ctx, supervisor.engine, supervisor.image));
      if (Object.entries(labels).every(([name, value]) => existing?.labels[name] === value)) {
        ctx.terminal.say(`${supervisor.image} holds this supervisor already (${existing?.id.slice(0, 12)})`);
        return;
      }
      try {
        await buildImage(ctx, supervisor, build, context, labels);
      } finally {
        try {
          remove();
        } catch {
          // The next launch says why, and what has failed before counts more.
        }
      }
    },
  };
}

/** @throws failure where another build has taken the image's name since */
async function buildImage(
  ctx: LaunchContext,
  supervisor: Supervisor,
  build: DevBuild,
  context: string,
  labels: Labels,
): Promise<void> {
  await supervisor.install(build, join(context, copiedPath(supervisor)));
  await ctx.runner.run(buildCommand(ctx, supervisor, context, labels));
  const id = bareId(readFileSync(join(context, ID_FILE), 'utf8').trim());
  const result = await inspectImage(ctx, supervisor.engine, supervisor.image);
  if (!result.ok) {
    throw failure(`${supervisor.image} was built, but cannot be looked at: ${oneLine(result.reason)}; start again`);
  }
  const named = imageIn(result);
  if (named?.id === id) return;
  throw failure(
    `${supervisor.image} means ${named?.id ?? 'nothing'}, but ${id} was built; another build has taken the name, start again`,
  );
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

/** Where the Dockerfile finds the binary, below the context. */
function copiedPath({ arch }: Supervisor): string {
  return join(PRODUCT.prebuiltDirectory, arch, COMPONENTS.supervisor.binary);
}

function buildCommand({ root }: LaunchContext, supervisor: Supervisor, context: string, labels: Labels): Command {
  const { arch, engine } = supervisor;
  const labelled = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
  const [args = []] = engine.record.buildCommands({
    context,
    dockerfile: join(root, DOCKERFILE),
    target: COMPONENTS.supervisor.name,
    tags: [supervisor.image],
    platforms: [`linux/${arch}`],
    builder: undefined,
    caches: [],
    secrets: [],
    extra: ['--iidfile', join(context, ID_FILE), ...labelled],
    output: { kind: 'load' },
  });
  return cmd({ cwd: root })`${engine.program} ${args}`;
}

function inspectImage({ root, runner }: LaunchContext, { program }: Engine, image: string): Promise<ProbeResult> {
  return runner.probe(cmd({ cwd: root })`${program} image inspect -- ${image}`, PROBE_TIMEOUT_MS);
}

/** @returns `undefined` for output that cannot be trusted, too: then the image is built again */
function imageIn(result: ProbeResult): { id: string; labels: Labels } | undefined {
  const image = result.ok ? firstInList(result.output) : undefined;
  if (image === undefined || typeof image.Id !== 'string') return undefined;
  const config = isTable(image.Config) ? image.Config : {};
  return { id: bareId(image.Id), labels: { ...(config.Labels ?? {}), ...(image.Labels ?? {}) } };
}

function bareId(id: string): string {
  return id.replace(/^sha256:/, '');
}
