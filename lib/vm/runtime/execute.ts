// SPDX-License-Identifier: Apache-2.0

/** Setting a VM runtime up: its files are got, verified, compressed and put in place, one run at a time. */

import { dirname } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner } from '../../fs/ownership.ts';
import { contentOf } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import type { VmPlatform } from '../runtime-files.ts';
import {
  type Collected,
  type Contents,
  findLibraries,
  readLibraries,
  readRuntimeArchive,
  stagedProgram,
} from './collect.ts';
import { type RuntimeConfig, resolveCompressSource, resolveProvenance, resolveRuntimeConfig } from './config.ts';
import { releasePath } from './pins.ts';
import { planCompression, planDownload, type RuntimePlan, type RuntimeSource, setupDefects } from './plan.ts';
import { otherVersions, provenanceText, readBuildFacts } from './provenance.ts';
import { readRecord, type StagingRecord, sha256Of } from './record.ts';
import { Releases } from './releases.ts';
import { presentLine, reasonText, runtimeLines, sourceWarnings, stagedLines } from './report.ts';
import { removeDownloads } from './scratch.ts';
import { downloadsOf, recoverRuntime, runtimeLock, runtimePlaces, type Staged, stageRuntime } from './stage.ts';
import { askedOf, remember, trustProblem } from './trust.ts';

type How = Pick<StagingRecord, 'verified' | 'unverified'>;

/** Everything that is staged, and what is recorded of it. */
interface Ready extends Collected {
  readonly record: Omit<StagingRecord, 'platform' | 'files'>;
}

/**
 * Downloads the release's runtime for a platform and stages it, whatever is there; the same release is not downloaded
 * twice.
 * @param platform the value of `--platform`
 * @throws TaskError: 2 before anything is downloaded, 1 for what cannot be had or verified
 */
export async function downloadRuntime(
  ctx: RunnerContext,
  platform: VmPlatform | undefined,
  { isDryRun, isForced }: { readonly isDryRun: boolean; readonly isForced: boolean },
): Promise<void> {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const config = resolveRuntimeConfig(ctx.env, root, ctx.startDirectory, thisHost(), platform);
  await runPlan(ctx, planDownload(ctx, config, isForced, false), isDryRun);
}

/**
 * Compresses an archive or the local build, and stages it.
 * @param platform the value of `--platform`
 * @throws TaskError: 2 before anything is done, 1 for an archive that is refused
 */
export async function compressRuntime(
  ctx: RunnerContext,
  platform: VmPlatform | undefined,
  { isDryRun, isForced }: { readonly isDryRun: boolean; readonly isForced: boolean },
): Promise<void> {
  const { env, startDirectory } = ctx;
  const root = findCheckout(env, startDirectory);
  const source = resolveCompressSource(env, startDirectory, thisHost(), platform);
  const config = resolveRuntimeConfig(env, root, startDirectory, thisHost(), source.platform);
  await runPlan(ctx, planCompression(config, source.tarball, resolveProvenance(env), isForced), isDryRun);
}

/** Runs a plan of a task of its own, or prints it. */
export async function runPlan(ctx: RunnerContext, plan: RuntimePlan, isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const { directory } = plan.config;
  if (plan.source.kind !== 'present') verifyPlaces(terminal, runtimePlaces(directory));
  if (isDryRun) return terminal.result(...runtimeLines(plan));
  await executeRuntime(ctx, plan);
  if (terminal.timings() !== '') terminal.say(`done: ${terminal.timings()}`);
  terminal.result(directory);
}

/**
 * Executes a plan, and says what came of it.
 * @throws TaskError: 2 where nothing tells what a file has to be, 1 for what cannot be had, verified or written
 */
export async function executeRuntime(ctx: RunnerContext, plan: RuntimePlan): Promise<void> {
  const { terminal } = ctx;
  const present = () => {
    const problem = trustProblem(ctx, plan.config);
    terminal.say(presentLine(plan, problem));
  };
  if (plan.source.kind === 'present') return present();
  const { config } = plan;
  const lock = { ...runtimeLock(config.directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    recoverRuntime(config.directory);
    const defects = setupDefects(ctx, config);
    const isComplete = defects.length === 0;
    if (plan.keepsComplete && !plan.isForced && isComplete) return present();
    terminal.say(`VM runtime for ${config.platform}: ${reasonText(defects)}`);
    const releases = new Releases(ctx, config.release, downloadsOf(config.directory));
    const ready = await collect(ctx, plan, releases, isComplete);
    const staged = ready && (await stage(ctx, plan, ready));
    removeDownloads(downloadsOf(config.directory));
    if (staged === undefined) return present();
    remember(ctx, config.directory, staged.recorded);
    for (const line of stagedLines(plan, staged)) terminal.say(line);
  });
}

function stage(ctx: RunnerContext, { config, isForced }: RuntimePlan, ready: Ready): Promise<Staged> {
  const { directory, platform } = config;
  const { contents, provenance, record } = ready;
  return stageRuntime(ctx, { platform, directory, contents, provenance, record, isForced });
}

/** @returns `undefined` where the release is what is there */
function collect(
  ctx: RunnerContext,
  plan: RuntimePlan,
  releases: Releases,
  isComplete: boolean,
): Promise<Ready | undefined> {
  const { config, source } = plan;
  const supply = { config, releases, isForced: plan.isForced };
  if (source.kind === 'archive') return fromArchive(ctx, supply, source.path);
  if (source.kind === 'build') return fromBuild(ctx, supply, source);
  return fromRelease(ctx, supply, isComplete && !plan.isForced);
}

async function fromRelease(
  { terminal }: RunnerContext,
  supply: Supply,
  isComplete: boolean,
): Promise<Ready | undefined> {
  const { config, releases } = supply;
  const { platform, runtime } = config;
  const key = releasePath(runtime, runtime.names[0]);
  const expectations = await releases.expect(runtime);
  const [{ sha256 }] = expectations;
  const isSame = sha256 !== undefined && readRecord(config.directory)?.sources[key] === sha256;
  if (isComplete && isSame) return undefined;
  return terminal.section(
    'download',
    async () => {
      for (const line of sourceWarnings(config)) terminal.warn(line);
      const { content, source, verified } = await releases.fetch(runtime, expectations);
      const collected = await readRuntimeArchive(`the archive ${runtime.names[0]}`, content, platform);
      const added = await addProgram(collected.contents, 'umoci', supply);
      const asked = askedOf(config);
      for (const line of otherVersions(collected.provenance, asked)) terminal.warn(`${runtime.what}: ${line}`);
      return { ...collected, record: { sources: { ...source, ...added }, verified, asked } };
    },
    runtime.what,
  );
}

async function fromArchive({ terminal }: RunnerContext, supply: Supply, path: string): Promise<Ready> {
  const { config, releases } = supply;
  const content = asOwner(path, () => contentOf(path));
  const archive = sha256Of(content);
  terminal.say(`${path}: SHA-256 ${archive}`);
  const collected = await readRuntimeArchive(path, content, config.platform);
  const added = await addProgram(collected.contents, 'umoci', supply);
  const recorded = releases.recordedAs(config.runtime, archive);
  const verified: How = recorded
    ? { verified: 'the recorded SHA-256' }
    : { unverified: 'an archive that the user named' };
  return { ...collected, record: { sources: { ...recorded, ...added }, ...verified } };
}

async function fromBuild(
  ctx: RunnerContext,
  supply: Supply,
  { directories, provenance: settings }: Extract<RuntimeSource, { readonly kind: 'build' }>,
): Promise<Ready> {
  const { platform, versions } = supply.config;
  const libraries = findLibraries(platform, directories, 'run tasks/vm/vm-setup.ts --from-source');
  const contents = readLibraries(platform, libraries);
  const sources = {
    ...(await addProgram(contents, 'gvproxy', supply)),
    ...(await addProgram(contents, 'umoci', supply)),
  };
  const [build, custom] = directories;
  const facts = await readBuildFacts(ctx, build, custom, libraries.krun);
  const provenance = provenanceText(settings, platform, versions, facts);
  const how = `the libraries are of ${dirname(libraries.krun)}, the programs have the recorded SHA-256`;
  const { gvproxy = '', umoci = '' } = askedOf(supply.config);
  return { contents, provenance, record: { sources, verified: how, asked: { gvproxy, umoci } } };
}

/** Where the programs of a runtime come from. */
export interface Supply {
  readonly config: RuntimeConfig;
  readonly releases: Releases;
  /** Whether nothing that is staged is taken. */
  readonly isForced: boolean;
}

/**
 * Adds a program of its own release where the contents have none. A staged one is taken where it is the recorded one:
 * it needs no network.
 * @returns what it is, for the record
 */
export async function addProgram(
  contents: Contents,
  name: 'gvproxy' | 'umoci',
  { config, releases, isForced }: Supply,
): Promise<StagingRecord['sources']> {
  if (contents.has(name)) return {};
  const recorded = (content: Buffer) => {
    const source = releases.recordedAs(config[name], sha256Of(content));
    return source && { content, source };
  };
  const staged = isForced ? undefined : stagedProgram(name, config, recorded);
  const { content, source } = staged ?? (await releases.fetch(config[name]));
  contents.set(name, content);
  return source;
}
