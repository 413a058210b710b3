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
import { runtimeDefects, type VmPlatform } from '../runtime-files.ts';
import {
  type Collected,
  type Contents,
  findLibraries,
  readLibraries,
  readRuntimeArchive,
  stagedProgram,
} from './collect.ts';
import { type RuntimeConfig, resolveCompressSource, resolveProvenance, resolveRuntimeConfig } from './config.ts';
import { planCompression, planDownload, type RuntimePlan, type RuntimeSource } from './plan.ts';
import { provenanceText, readBuildFacts } from './provenance.ts';
import { readRecord, type StagingRecord, sha256Of } from './record.ts';
import { Releases, removeDownloads } from './releases.ts';
import { presentLine, reasonText, runtimeLines, stagedLines } from './report.ts';
import { downloadsOf, recoverRuntime, runtimeLock, runtimePlaces, type Staged, stageRuntime } from './stage.ts';

/** Everything that is staged, and what is recorded of it. */
interface Ready extends Collected {
  readonly record: Pick<StagingRecord, 'archive' | 'verified'>;
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
  await runPlan(ctx, planDownload(config, isForced, false), isDryRun);
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
  if (plan.source.kind === 'present') return terminal.say(presentLine(plan));
  const { config } = plan;
  const lock = { ...runtimeLock(config.directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    recoverRuntime(config.directory);
    const isComplete = runtimeDefects(config.directory, config.platform).length === 0;
    if (plan.keepsComplete && !plan.isForced && isComplete) return terminal.say(presentLine(plan));
    terminal.say(`VM runtime for ${config.platform}: ${reasonText(plan)}`);
    const releases = new Releases(ctx, config.release, downloadsOf(config.directory));
    const ready = await collect(ctx, plan, releases, isComplete);
    if (ready === undefined) return terminal.say(presentLine(plan));
    const staged = await stage(ctx, plan, ready);
    removeDownloads(downloadsOf(config.directory));
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
  if (source.kind === 'archive') return fromArchive(ctx, config, source.path, releases);
  if (source.kind === 'build') return fromBuild(ctx, config, source, releases);
  return fromRelease(ctx, config, releases, isComplete && !plan.isForced);
}

async function fromRelease(
  { terminal }: RunnerContext,
  config: RuntimeConfig,
  releases: Releases,
  isComplete: boolean,
): Promise<Ready | undefined> {
  const expectations = await releases.expect(config.runtime);
  const [{ sha256 }] = expectations;
  if (isComplete && sha256 !== undefined && readRecord(config.directory)?.archive === sha256) return undefined;
  return terminal.section(
    'download',
    async () => {
      const { content, sha256: archive, verified } = await releases.fetch(config.runtime, expectations);
      const collected = await readRuntimeArchive(`the archive ${config.runtime.names[0]}`, content, config.platform);
      await addProgram(collected.contents, 'umoci', config, releases);
      return { ...collected, record: { archive, verified } };
    },
    config.runtime.what,
  );
}

async function fromArchive(
  { terminal }: RunnerContext,
  config: RuntimeConfig,
  path: string,
  releases: Releases,
): Promise<Ready> {
  const content = asOwner(path, () => contentOf(path));
  const archive = sha256Of(content);
  terminal.say(`${path}: SHA-256 ${archive}`);
  const collected = await readRuntimeArchive(path, content, config.platform);
  await addProgram(collected.contents, 'umoci', config, releases);
  const isRecorded = releases.isRecorded(config.runtime, archive);
  return { ...collected, record: { archive, ...(isRecorded ? { verified: 'the recorded SHA-256' } : {}) } };
}

async function fromBuild(
  ctx: RunnerContext,
  config: RuntimeConfig,
  { directories, provenance: settings }: Extract<RuntimeSource, { readonly kind: 'build' }>,
  releases: Releases,
): Promise<Ready> {
  const { platform, versions } = config;
  const libraries = findLibraries(platform, directories, 'run tasks/vm/vm-setup.ts --from-source');
  const contents = readLibraries(platform, libraries);
  for (const name of ['gvproxy', 'umoci'] as const) await addProgram(contents, name, config, releases);
  const [build, custom] = directories;
  const facts = await readBuildFacts(ctx, build, custom, libraries.krun);
  const provenance = provenanceText(settings, platform, versions, facts);
  const verified = `the libraries are of ${dirname(libraries.krun)}, the programs have the recorded SHA-256`;
  return { contents, provenance, record: { verified } };
}

/** Adds a program of its own release where the contents have none. */
export async function addProgram(
  contents: Contents,
  name: 'gvproxy' | 'umoci',
  config: RuntimeConfig,
  releases: Releases,
): Promise<void> {
  if (contents.has(name)) return;
  const content = stagedProgram(name, config) ?? (await releases.fetch(config[name])).content;
  contents.set(name, content);
}
