// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor's image for a local launch. It is built from a context of its own that holds this
 * launch's binary under the path that the Dockerfile copies, so that a dev binary never gets into
 * the directory of release builds. Labels say what is in it; an image with the right labels is used as it is.
 */

import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
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
const PROBE_TIMEOUT_MS = 30_000;

/** What an image is asked for. */
interface ImageFacts {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Checks that an image is there.
 *
 * @throws usageError naming the variable
 */
export async function verifyImageExists(
  ctx: RunnerContext,
  engine: Engine,
  root: string,
  source: string,
  image: string,
): Promise<void> {
  const result = await ctx.runner.probe(inspect(engine, root, image), PROBE_TIMEOUT_MS);
  if (result.ok) return;
  throw usageError(
    `${source} is '${oneLine(image)}', which ${engine.program} does not have (${oneLine(result.reason)}); ` +
      `pull or build it, or unset ${source} to have it built`,
  );
}

/** The step that brings the image up to date. */
export function imageStep(ctx: RunnerContext, engine: Engine, root: string, supervisor: SupervisorSource): BuiltStep {
  const temporary = temporaryRoot();
  return {
    name: 'image',
    title: `image ${SUPERVISOR_IMAGE}`,
    lines: [
      `# makes a build context with ${copiedPath(supervisor)} in it`,
      ctx.runner.describe(build(engine, root, '<context>', supervisor, { profile: '…', binary: '…', dockerfile: '…' })),
    ],
    run: (built) => bringUpToDate(ctx, engine, root, supervisor, built, temporary),
  };
}

async function bringUpToDate(
  ctx: RunnerContext,
  engine: Engine,
  root: string,
  supervisor: SupervisorSource,
  built: DevBuild,
  temporary: string,
): Promise<void> {
  const { runner, terminal } = ctx;
  const labels: Labels = {
    profile: supervisor.choice.profile,
    binary: await supervisor.digest(built),
    dockerfile: digestOfText(join(root, DOCKERFILE)),
  };
  const present = await probeImage(ctx, engine, root);
  if (
    present !== undefined &&
    Object.entries(labels).every(([key, value]) => present.labels[labelName(key)] === value)
  ) {
    terminal.say(`${SUPERVISOR_IMAGE} holds this supervisor already (${present.id.slice(0, 12)})`);
    return;
  }
  const context = mkdtempSync(join(temporary, 'openshell-supervisor-'));
  try {
    await supervisor.install(built, join(context, copiedPath(supervisor)));
    await runner.run(build(engine, root, context, supervisor, labels));
    const id = readFileSync(join(context, 'id'), 'utf8')
      .trim()
      .replace(/^sha256:/, '');
    const named = await probeImage(ctx, engine, root);
    if (named?.id !== id) {
      throw failure(
        `${SUPERVISOR_IMAGE} means ${named?.id ?? 'nothing'}, but ${id} was built; another build has taken the name, start again`,
      );
    }
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}

interface Labels {
  readonly profile: string;
  readonly binary: string;
  readonly dockerfile: string;
}

function labelName(key: string): string {
  return `${LABEL_PREFIX}.${key}`;
}

/** Where the Dockerfile finds the binary, below the context. */
function copiedPath(supervisor: SupervisorSource): string {
  return join(PRODUCT.prebuiltDirectory, supervisor.arch, COMPONENTS.supervisor.binary);
}

function build(engine: Engine, root: string, context: string, supervisor: SupervisorSource, labels: Labels): Command {
  const [args = []] = engine.record.buildCommands({
    dockerfile: join(root, DOCKERFILE),
    target: COMPONENTS.supervisor.name,
    tags: [SUPERVISOR_IMAGE],
    platforms: [`linux/${supervisor.arch}`],
    builder: undefined,
    caches: [],
    secrets: [],
    extra: [
      '--iidfile',
      join(context, 'id'),
      ...Object.entries(labels).flatMap(([key, value]) => ['--label', `${labelName(key)}=${value}`]),
    ],
    output: { kind: 'load' },
    context,
  });
  return cmd({ cwd: root })`${engine.program} ${args}`;
}

function inspect(engine: Engine, root: string, image: string): Command {
  return cmd({ cwd: root })`${engine.program} image inspect ${image}`;
}

async function probeImage(ctx: RunnerContext, engine: Engine, root: string): Promise<ImageFacts | undefined> {
  const result = await ctx.runner.probe(inspect(engine, root, SUPERVISOR_IMAGE), PROBE_TIMEOUT_MS);
  return result.ok ? parseImage(result.output) : undefined;
}

/**
 * Reads the output of `image inspect`, a list of one image.
 *
 * @returns `undefined` for anything else: such an image cannot be trusted, and is built again
 */
export function parseImage(text: string): ImageFacts | undefined {
  const list = parseJson(text);
  const image: unknown = Array.isArray(list) ? list[0] : undefined;
  if (!isTable(image) || typeof image.Id !== 'string') return undefined;
  const config = isTable(image.Config) ? image.Config : {};
  const labels = { ...(config.Labels ?? {}), ...(image.Labels ?? {}) } as Record<string, string>;
  return { id: image.Id.replace(/^sha256:/, ''), labels };
}

function digestOfText(path: string): string {
  return hash('sha256', readFileSync(path));
}
