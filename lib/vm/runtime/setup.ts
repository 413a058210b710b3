// SPDX-License-Identifier: Apache-2.0

/** Setting a VM runtime up, one run at a time: its files are got and verified, compressed, and put in place. */

import { ArchiveError, readArchive } from '../../archive/tar.ts';
import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { whileLocked } from '../../fs/lock.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { LEVEL } from '../../zstd/compress.ts';
import { decompress, ZstdError } from '../../zstd/decompress.ts';
import {
  type Digests,
  PROVENANCE_FILE,
  partDefect,
  readRecord,
  runtimeFiles,
  runtimeLock,
  runtimeNames,
  sha256Of,
  type VmPlatform,
} from '../runtime-files.ts';
import {
  downloadLine,
  type RuntimeConfig,
  releasePath,
  resolveRuntimeConfig,
  runtimeText,
  setupReason,
} from './config.ts';
import { downloadsOf, Releases } from './releases.ts';
import {
  type Collected,
  type Contents,
  recoverRuntime,
  runtimePlaces,
  stagedContent,
  stageRuntime,
  verifyReplaceable,
} from './stage.ts';

/** A setup that is decided: nothing has been downloaded, built or written. */
export interface RuntimePlan {
  readonly config: RuntimeConfig;
  /** Whether everything is got and compressed again. */
  readonly isForced: boolean;
  /** How the files are got, for a dry run. */
  readonly lines: readonly string[];
  /** Gets the files; `undefined` where they are what is there, which is complete. */
  collect(releases: Releases, isComplete: boolean): Promise<Collected | undefined>;
}

/** Downloads the release's runtime, verifies it, and stages it; the same release is not downloaded twice. */
export async function downloadRuntime(
  ctx: RunnerContext,
  flags: { readonly platform?: VmPlatform | undefined; readonly force: boolean; readonly 'dry-run': boolean },
): Promise<void> {
  await runPlan(ctx, planRelease(ctx, resolveRuntimeConfig(ctx, flags.platform), flags.force), flags['dry-run']);
}

/** The same as a step of a launch. */
export function prepareRelease(ctx: RunnerContext) {
  const plan = planRelease(ctx, resolveRuntimeConfig(ctx), false);
  const run = () => executeRuntime(ctx, plan);
  return { lines: planLines(plan), writes: runtimePlaces(plan.config.directory), run };
}

/** Runs a plan of a task of its own, or prints it. */
export async function runPlan(ctx: RunnerContext, plan: RuntimePlan, isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const { directory } = plan.config;
  verifyPlaces(terminal, runtimePlaces(directory));
  if (isDryRun) return terminal.result(...planLines(plan));
  await executeRuntime(ctx, plan);
  if (terminal.timings() !== '') terminal.say(`done: ${terminal.timings()}`);
  terminal.result(directory);
}

/** The plan, one line for each step. */
export function planLines({ config: { directory, platform }, lines }: RuntimePlan): string[] {
  return [
    `# creates ${downloadsOf(directory)} for what is not verified yet`,
    ...lines,
    `# compresses ${runtimeFiles(platform).join(', ')} where their content is new (zstd level ${LEVEL})`,
    `# creates ${directory}: whole, in the place of what is there`,
  ];
}

async function executeRuntime(ctx: RunnerContext, { config, isForced, collect }: RuntimePlan): Promise<void> {
  const { terminal } = ctx;
  const { directory, platform, release } = config;
  const lock = { ...runtimeLock(directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    recoverRuntime(directory);
    const reason = setupReason(config);
    if (reason !== undefined) terminal.say(`VM runtime for ${platform}: ${reason}`);
    const releases = new Releases(ctx, release, directory);
    const collected = await collect(releases, reason === undefined && !isForced);
    const outcome = collected && (await stageRuntime(ctx, config, collected, isForced));
    terminal.say(`${outcome ?? 'nothing to do'}: ${runtimeText(config)}`);
    releases.removeDownloads();
  });
}

/** @throws usageError where the directory cannot be replaced */
function planRelease({ terminal }: RunnerContext, config: RuntimeConfig, isForced: boolean): RuntimePlan {
  const { directory, platform, release, runtime } = config;
  verifyReplaceable(directory);
  const collect = async (releases: Releases, isComplete: boolean) => {
    const expectation = await releases.expect(runtime);
    const path = releasePath(runtime, expectation.name);
    if (isComplete && readRecord(directory, platform)?.sources[path] === expectation.sha256) return undefined;
    return terminal.section(
      'download',
      async () => {
        const { content, verified } = await releases.fetch(runtime, expectation);
        const archive = readRuntimeArchive(`the archive ${expectation.name}`, content, platform);
        const added = await addPrograms(archive.contents, ['umoci'], { config, isForced, releases });
        return { ...archive, sources: { [path]: expectation.sha256, ...added }, verified };
      },
      runtime.what,
    );
  };
  return { config, isForced, lines: [downloadLine(release, runtime)], collect };
}

/** What the platform's table has of an archive. @throws failure for one that is damaged, hostile, or lacks a library */
export function readRuntimeArchive(what: string, archive: Buffer, platform: VmPlatform) {
  try {
    return partsIn(readArchive(decompress(archive)), platform);
  } catch (error) {
    if (!(error instanceof ZstdError || error instanceof ArchiveError)) throw error;
    throw failure(`${what} is refused: ${error.message}`);
  }
}

function partsIn(files: ReadonlyMap<string, Buffer>, platform: VmPlatform) {
  const provenance = files.get(PROVENANCE_FILE)?.toString();
  if (provenance !== undefined && parseTable(provenance)?.platform !== platform) {
    throw new ArchiveError(`its ${PROVENANCE_FILE} is not for ${platform}`);
  }
  const contents: Contents = new Map();
  for (const name of runtimeNames(platform)) {
    const content = files.get(name);
    const defect = content && partDefect(content, platform, name);
    if (defect !== undefined) throw new ArchiveError(`its ${name} is ${defect}`);
    if (content !== undefined) contents.set(name, content);
    else if (name !== 'umoci') throw new ArchiveError(`it has no ${name}`);
  }
  return { contents, provenance };
}

/** Adds programs of their releases, or staged ones that are the recorded ones; gives what they are, for the record. */
export async function addPrograms(
  contents: Contents,
  names: readonly ('gvproxy' | 'umoci')[],
  { config, isForced, releases }: Pick<RuntimePlan, 'config' | 'isForced'> & { readonly releases: Releases },
): Promise<Digests> {
  const sources: Record<string, string> = {};
  for (const name of names.filter((one) => !contents.has(one))) {
    const file = config[name];
    const expectation = await releases.expect(file);
    const staged = isForced ? undefined : stagedContent(config.directory, name);
    const isRecorded = staged !== undefined && sha256Of(staged) === expectation.sha256;
    contents.set(name, isRecorded ? staged : (await releases.fetch(file, expectation)).content);
    sources[releasePath(file, expectation.name)] = expectation.sha256;
  }
  return sources;
}
