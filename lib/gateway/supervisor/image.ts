// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor's image for a local launch. It is built from a context of its own that holds this
 * launch's binary under the path that the Dockerfile copies, so that a dev binary never gets into
 * the directory of release builds. Labels say what is in it; an image with the right labels is used as it is.
 */

import { hash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskContext } from '../../cli/task.ts';
import type { Engine } from '../../engine/types.ts';
import { failure, oneLine, usageError } from '../../errors.ts';
import { temporaryRoot } from '../../fs/temp.ts';
import { type Command, command } from '../../process/command.ts';
import { COMPONENTS, PRODUCT } from '../../product.ts';
import type { Made, Step } from '../drivers/types.ts';
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
  ctx: TaskContext,
  engine: Engine,
  root: string,
  source: string,
  image: string,
): Promise<void> {
  const answer = await ctx.runner.probe(inspect(engine, root, image), PROBE_TIMEOUT_MS);
  if (answer.ok) return;
  throw usageError(
    `${source} is '${oneLine(image)}', which ${engine.program} does not have (${oneLine(answer.reason)}); ` +
      `pull or build it, or unset ${source} to have it built`,
  );
}

/** The step that brings the image up to date. */
export function imageStep(ctx: TaskContext, engine: Engine, root: string, supervisor: SupervisorSource): Step {
  const temporary = temporaryRoot();
  return {
    name: 'image',
    title: `image ${SUPERVISOR_IMAGE}`,
    lines: [
      `# makes a build context with ${copiedPath(supervisor)} in it`,
      ctx.runner.describe(build(engine, root, '<context>', supervisor, { profile: '…', binary: '…', dockerfile: '…' })),
    ],
    run: (made) => bringUpToDate(ctx, engine, root, supervisor, made, temporary),
  };
}

async function bringUpToDate(
  ctx: TaskContext,
  engine: Engine,
  root: string,
  supervisor: SupervisorSource,
  made: Made,
  temporary: string,
): Promise<void> {
  const { runner, terminal } = ctx;
  const labels: Labels = {
    profile: supervisor.choice.profile,
    binary: await supervisor.digest(made),
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
    await supervisor.install(made, join(context, copiedPath(supervisor)));
    await runner.run(build(engine, root, context, supervisor, labels));
    const built = readFileSync(join(context, 'id'), 'utf8')
      .trim()
      .replace(/^sha256:/, '');
    const named = await probeImage(ctx, engine, root);
    if (named?.id !== built) {
      throw failure(
        `${SUPERVISOR_IMAGE} means ${named?.id ?? 'nothing'}, but ${built} was built; another build has taken the name, start again`,
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
  const [words = []] = engine.record.buildCommands({
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
  return command([engine.program, ...words], { cwd: root });
}

function inspect(engine: Engine, root: string, image: string): Command {
  return command([engine.program, 'image', 'inspect', image], { cwd: root });
}

async function probeImage(ctx: TaskContext, engine: Engine, root: string): Promise<ImageFacts | undefined> {
  const answer = await ctx.runner.probe(inspect(engine, root, SUPERVISOR_IMAGE), PROBE_TIMEOUT_MS);
  return answer.ok ? parseImage(answer.output) : undefined;
}

/**
 * Reads the answer of `image inspect`, a list of one image.
 *
 * @returns `undefined` for anything else: such an image cannot be trusted, and is built again
 */
export function parseImage(text: string): ImageFacts | undefined {
  try {
    const [image] = JSON.parse(text) as { Id: string; Labels?: object; Config?: { Labels?: object } }[];
    if (typeof image?.Id !== 'string') return undefined;
    const labels = { ...image.Config?.Labels, ...image.Labels } as Record<string, string>;
    return { id: image.Id.replace(/^sha256:/, ''), labels };
  } catch {
    return undefined;
  }
}

function digestOfText(path: string): string {
  return hash('sha256', readFileSync(path));
}
