// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor's image for a local launch. It is built from a context of its own that holds this launch's binary
 * under the path that the Dockerfile copies, so that a dev binary never gets into the directory of release builds.
 * Labels say what is in it; an image with the right labels is used as it is.
 */

import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import type { Engine } from '../../engine/types.ts';
import { failure, oneLine, usageError } from '../../errors.ts';
import { isTable, parseJson } from '../../fs/json.ts';
import { temporaryRoot } from '../../fs/temp.ts';
import { type Command, cmd } from '../../process/command.ts';
import { COMPONENTS, PRODUCT } from '../../product.ts';
import type { BuiltStep } from '../drivers/types.ts';
import type { SupervisorSource } from './source.ts';

export const SUPERVISOR_IMAGE = 'openshell/supervisor:dev';

const DOCKERFILE = 'deploy/docker/Dockerfile.supervisor';
const LABEL_PREFIX = 'com.nvidia.openshell.supervisor';
/** The file, below the context, that the engine writes the image's id to. */
const ID_FILE = 'id';
const PROBE_TIMEOUT_MS = 30_000;

/** What an image says about itself. */
interface ImageFacts {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * @param source the variable that names the image
 * @throws usageError where the engine does not have it
 */
export async function verifyImageExists(
  ctx: RunnerContext,
  engine: Engine,
  root: string,
  source: string,
  image: string,
): Promise<void> {
  const result = await ctx.runner.probe(inspectCommand(engine, root, image), PROBE_TIMEOUT_MS);
  if (result.ok) return;
  throw usageError(
    `${source} is '${oneLine(image)}', which ${engine.program} does not have (${oneLine(result.reason)}); ` +
      `pull or build it, or unset ${source} to have it built`,
  );
}

/** The step that brings the image up to date. */
export function imageStep(ctx: RunnerContext, engine: Engine, root: string, supervisor: SupervisorSource): BuiltStep {
  const temporary = temporaryRoot();
  const unknown = { profile: '…', binary: '…', dockerfile: '…' };
  return {
    name: 'image',
    title: `image ${SUPERVISOR_IMAGE}`,
    lines: [
      `# makes a build context with ${copiedPath(supervisor)} in it`,
      ctx.runner.describe(buildCommand(engine, root, '<context>', supervisor, unknown)),
    ],
    run: async (build) => {
      const labels = {
        profile: supervisor.choice.profile,
        binary: await supervisor.digest(build),
        dockerfile: hash('sha256', readFileSync(join(root, DOCKERFILE))),
      };
      const existing = await probeImage(ctx, engine, root);
      if (Object.entries(labels).every(([key, value]) => existing?.labels[labelName(key)] === value)) {
        ctx.terminal.say(`${SUPERVISOR_IMAGE} holds this supervisor already (${existing?.id.slice(0, 12)})`);
        return;
      }
      const context = mkdtempSync(join(temporary, 'openshell-supervisor-'));
      try {
        await supervisor.install(build, join(context, copiedPath(supervisor)));
        await ctx.runner.run(buildCommand(engine, root, context, supervisor, labels));
        await verifyName(ctx, engine, root, readFileSync(join(context, ID_FILE), 'utf8'));
      } finally {
        rmSync(context, { recursive: true, force: true });
      }
    },
  };
}

/** Another build may have taken the name since. */
async function verifyName(ctx: RunnerContext, engine: Engine, root: string, built: string): Promise<void> {
  const id = bareId(built.trim());
  const named = await probeImage(ctx, engine, root);
  if (named?.id === id) return;
  throw failure(
    `${SUPERVISOR_IMAGE} means ${named?.id ?? 'nothing'}, but ${id} was built; another build has taken the name, start again`,
  );
}

function labelName(key: string): string {
  return `${LABEL_PREFIX}.${key}`;
}

/** Where the Dockerfile finds the binary, below the context. */
function copiedPath(supervisor: SupervisorSource): string {
  return join(PRODUCT.prebuiltDirectory, supervisor.arch, COMPONENTS.supervisor.binary);
}

function buildCommand(
  engine: Engine,
  root: string,
  context: string,
  supervisor: SupervisorSource,
  labels: Readonly<Record<string, string>>,
): Command {
  const labelled = Object.entries(labels).flatMap(([key, value]) => ['--label', `${labelName(key)}=${value}`]);
  const [args = []] = engine.record.buildCommands({
    context,
    dockerfile: join(root, DOCKERFILE),
    target: COMPONENTS.supervisor.name,
    tags: [SUPERVISOR_IMAGE],
    platforms: [`linux/${supervisor.arch}`],
    builder: undefined,
    caches: [],
    secrets: [],
    extra: ['--iidfile', join(context, ID_FILE), ...labelled],
    output: { kind: 'load' },
  });
  return cmd({ cwd: root })`${engine.program} ${args}`;
}

function inspectCommand(engine: Engine, root: string, image: string): Command {
  return cmd({ cwd: root })`${engine.program} image inspect ${image}`;
}

async function probeImage({ runner }: RunnerContext, engine: Engine, root: string): Promise<ImageFacts | undefined> {
  const result = await runner.probe(inspectCommand(engine, root, SUPERVISOR_IMAGE), PROBE_TIMEOUT_MS);
  return result.ok ? parseImage(result.output) : undefined;
}

/**
 * Reads the output of `image inspect`, a list of one image.
 * @returns `undefined` for anything else: such an image cannot be trusted, and is built again
 */
export function parseImage(text: string): ImageFacts | undefined {
  const list = parseJson(text);
  const image: unknown = Array.isArray(list) ? list[0] : undefined;
  if (!isTable(image) || typeof image.Id !== 'string') return undefined;
  const config = isTable(image.Config) ? image.Config : {};
  const labels = { ...(config.Labels ?? {}), ...(image.Labels ?? {}) } as Record<string, string>;
  return { id: bareId(image.Id), labels };
}

function bareId(id: string): string {
  return id.replace(/^sha256:/, '');
}
