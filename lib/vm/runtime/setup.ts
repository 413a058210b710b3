// SPDX-License-Identifier: Apache-2.0

/**
 * Setting a VM runtime up, one run at a time: its files are got and verified, compressed, and put in place. Here they
 * are of a release, or of an archive that the user names.
 */

import { join, relative } from 'node:path';
import { ArchiveError, readArchive } from '../../archive/tar.ts';
import type { RunnerContext } from '../../build-env.ts';
import { failure, oneLine, shown } from '../../errors.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner } from '../../fs/ownership.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { LEVEL } from '../../zstd/compress.ts';
import { decompress, readContent, ZstdError } from '../../zstd/decompress.ts';
import {
  PROVENANCE_FILE,
  partDefect,
  type RuntimeRecord,
  readRecord,
  runtimeFiles,
  runtimeLock,
  runtimeNames,
  sha256Of,
  type VmPlatform,
} from '../runtime-files.ts';
import {
  type ReleaseConfig,
  type ReleaseFile,
  type RuntimeConfig,
  readPins,
  releasePath,
  resolveRuntimeConfig,
  wantedText,
} from './config.ts';
import { presentLine, setupReason, verifiedText } from './present.ts';
import { downloadsOf, Releases } from './releases.ts';
import { type Contents, recoverRuntime, runtimePlaces, stageRuntime, verifyReplaceable } from './stage.ts';

/** Where the files of a runtime come from. */
export interface Supply {
  readonly config: RuntimeConfig;
  readonly releases: Releases;
  /** Whether nothing that is staged is taken. */
  readonly isForced: boolean;
  /** Whether the runtime that is there is as it has to be. */
  readonly isComplete: boolean;
}

/** The files that are staged, and what is recorded of them. */
interface Collected extends Pick<RuntimeRecord, 'sources'> {
  readonly contents: Contents;
  /** The text of `provenance.json`. */
  readonly provenance: string | undefined;
  readonly verified?: string | undefined;
}

/** A setup that is decided: nothing has been downloaded, built or written. */
export interface RuntimePlan {
  readonly config: RuntimeConfig;
  /** Whether everything is got and compressed again. */
  readonly isForced: boolean;
  /** Whether a complete runtime stays, such as one that another run completes before this one begins. */
  readonly keepsComplete?: boolean;
  /** How the files are got, for a dry run. */
  readonly lines: readonly string[];
  /** Gets the files; `undefined` where they are what is there. */
  collect(ctx: RunnerContext, supply: Supply): Promise<Collected | undefined>;
}

type Switches = Readonly<Record<'dry-run' | 'force', boolean>>;

/**
 * Downloads the release's runtime for a platform and stages it, whatever is there; the same release is not downloaded
 * twice.
 * @throws TaskError: 2 before anything is downloaded, 1 for what cannot be had or verified
 */
export async function downloadRuntime(
  ctx: RunnerContext,
  flags: Switches & { readonly platform: VmPlatform | undefined },
): Promise<void> {
  await runPlan(ctx, planRelease(resolveRuntimeConfig(ctx, flags.platform), flags.force, false), flags['dry-run']);
}

/** Completes the runtime from its release. */
export async function setUpFromRelease(ctx: RunnerContext, flags: Switches): Promise<void> {
  await runPlan(ctx, planRelease(resolveRuntimeConfig(ctx), flags.force, true), flags['dry-run']);
}

/** The same as a step of a launch. */
export function prepareRelease(ctx: RunnerContext) {
  const plan = planRelease(resolveRuntimeConfig(ctx), false, true);
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

async function executeRuntime(ctx: RunnerContext, { config, isForced, keepsComplete, collect }: RuntimePlan) {
  const { terminal } = ctx;
  const { directory, platform } = config;
  const lock = { ...runtimeLock(directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    recoverRuntime(directory);
    const reason = setupReason(config);
    const isComplete = reason === undefined && !isForced;
    if (keepsComplete && isComplete) return terminal.say(presentLine(config));
    terminal.say(`VM runtime for ${platform}: ${reason ?? 'complete, and set up again'}`);
    const releases = new Releases(ctx, config.release, directory);
    const collected = await collect(ctx, { config, releases, isForced, isComplete });
    if (collected === undefined) terminal.say(presentLine(config));
    else {
      const { contents, provenance, sources, verified } = collected;
      const record = { wanted: wantedText(config), sources, ...(verified === undefined ? {} : { verified }) };
      const staged = await stageRuntime(ctx, { platform, directory, contents, provenance, record, isForced });
      for (const line of staged.lines) terminal.say(line);
      const shownPath = directory.startsWith(`${config.root}/`) ? relative(config.root, directory) : directory;
      const what = `${shownPath} for ${platform}${verifiedText(config)}`;
      terminal.say(`${staged.isChanged ? 'set up' : 'unchanged'}: ${what}`);
    }
    releases.removeDownloads();
  });
}

/** @throws usageError where the directory cannot be replaced, or the recorded digests cannot be read */
function planRelease(config: RuntimeConfig, isForced: boolean, keepsComplete: boolean): RuntimePlan {
  verifyReplaceable(config.directory);
  readPins(config.release.pinsPath);
  const lines = [downloadLine(config.release, config.runtime)];
  return { config, isForced, keepsComplete, lines, collect: fromRelease };
}

async function fromRelease({ terminal }: RunnerContext, supply: Supply): Promise<Collected | undefined> {
  const { directory, gvproxy, platform, runtime, umoci } = supply.config;
  const expectations = await supply.releases.expect(runtime);
  const recorded = readRecord(directory, platform)?.sources[releasePath(runtime, runtime.names[0])];
  if (supply.isComplete && recorded === expectations[0]?.sha256) return undefined;
  const get = async () => {
    const { content, source, verified } = await supply.releases.fetch(runtime, expectations);
    const archive = readRuntimeArchive(`the archive ${runtime.names[0]}`, content, platform);
    const added = await addProgram(archive.contents, 'umoci', supply);
    const provenance = parseTable(archive.provenance ?? '');
    for (const [name, { tag }] of Object.entries({ gvproxy, umoci })) {
      const version = String(provenance?.[`${name}_version`] ?? tag);
      if (version === tag) continue;
      terminal.warn(`${runtime.what}: its ${name} is ${oneLine(version)}; ${tag} has no effect on it`);
    }
    return { ...archive, sources: { ...source, ...added }, verified };
  };
  return terminal.section('download', get, runtime.what);
}

/** Plans to stage the archive at a path. */
export function planArchive(config: RuntimeConfig, path: string, isForced: boolean): RuntimePlan {
  verifyReplaceable(config.directory);
  const collect = async ({ terminal }: RunnerContext, supply: Supply) => {
    const content = asOwner(path, () => contentOf(path));
    terminal.say(`${path}: SHA-256 ${sha256Of(content)}`);
    const archive = readRuntimeArchive(path, content, config.platform);
    const added = await addProgram(archive.contents, 'umoci', supply);
    const recorded = supply.releases.recordedAs(config.runtime, content);
    const verified = recorded === undefined ? undefined : 'the recorded SHA-256';
    return { ...archive, sources: { ...recorded, ...added }, verified };
  };
  return { config, isForced, lines: [`# reads ${path}`], collect };
}

/**
 * Reads an archive of a release; files that the platform's table does not have are left out.
 * @param what the archive, for users
 * @throws failure for one that is damaged, hostile, for another platform, or without anything but umoci
 */
export function readRuntimeArchive(what: string, archive: Buffer, platform: VmPlatform) {
  const files = unpacked(what, archive);
  const provenance = files.get(PROVENANCE_FILE)?.toString();
  const built = provenance === undefined ? platform : parseTable(provenance)?.platform;
  if (built !== platform) {
    const found = typeof built === 'string' ? `is for ${shown(built)}` : 'does not say for which platform it is';
    throw failure(`${what} is refused: its ${PROVENANCE_FILE} ${found}, wanted ${platform}`);
  }
  const contents: Contents = new Map();
  for (const name of runtimeNames(platform)) {
    const content = files.get(name);
    if (content === undefined) continue;
    const defect = partDefect(content, platform, name);
    if (defect !== undefined) throw failure(`${what} is refused: its ${name} is ${defect}`);
    contents.set(name, content);
  }
  const missing = runtimeNames(platform).filter((name) => name !== 'umoci' && !contents.has(name));
  if (missing.length > 0) throw failure(`${what} is refused: it has no ${missing.join(', ')}`);
  return { contents, provenance };
}

function unpacked(what: string, archive: Buffer): Map<string, Buffer> {
  try {
    return readArchive(decompress(archive));
  } catch (error) {
    if (error instanceof ZstdError) throw failure(`${what} is refused: it is not a whole zstd file: ${error.message}`);
    if (error instanceof ArchiveError) throw failure(`${what} is refused: ${error.message}`);
    throw error;
  }
}

/**
 * Adds a program of its own release where the contents have none. A staged one is taken where it is the recorded one:
 * it needs no network.
 * @returns what it is, for the record
 */
export async function addProgram(
  contents: Contents,
  name: 'gvproxy' | 'umoci',
  { config, isForced, releases }: Supply,
): Promise<RuntimeRecord['sources']> {
  if (contents.has(name)) return {};
  const staged = isForced ? undefined : stagedProgram(join(config.directory, `${name}.zst`));
  const source = staged && releases.recordedAs(config[name], staged);
  const found = staged && source ? { content: staged, source } : await releases.fetch(config[name]);
  contents.set(name, found.content);
  return found.source;
}

function stagedProgram(path: string): Buffer | undefined {
  try {
    return asOwner(path, () => readContent(path));
  } catch (error) {
    if (error instanceof ZstdError) return undefined;
    throw error;
  }
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

/** What is downloaded, and against what it is verified. */
export function downloadLine({ baseUrl }: ReleaseConfig, file: ReleaseFile): string {
  const urls = file.names.map((name) => `${baseUrl}/${releasePath(file, name)}`);
  const stated = file.isRolling ? ', or the one that its API states' : '';
  return `# downloads ${urls.join(' or ')} (verified: the recorded SHA-256${stated})`;
}
