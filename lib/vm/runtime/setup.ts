// SPDX-License-Identifier: Apache-2.0

/** `vm:setup`: a complete runtime for this machine, downloaded or built, and the digests that downloads need. */

import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { readVariable } from '../../cli/env.ts';
import { whileLocked } from '../../fs/lock.ts';
import { files, verifyPlaces } from '../../fs/places.ts';
import { thisHost } from '../../host.ts';
import { type RuntimeConfig, resolveProvenance, resolveRuntimeConfig } from './config.ts';
import { runPlan } from './execute.ts';
import { libraryBuild } from './library-build.ts';
import { planBuild, planDownload } from './plan.ts';
import { Releases, removeDownloads } from './releases.ts';
import { downloadLine, runtimeLines } from './report.ts';
import { downloadsOf, runtimeLock, runtimePlaces } from './stage.ts';
import { filesToPin, updatePins } from './update-pins.ts';

export interface SetupFlags {
  readonly 'from-source': boolean;
  readonly 'install-deps': boolean;
  readonly force: boolean;
  readonly 'update-pins': boolean;
  readonly 'dry-run': boolean;
}

/**
 * Sets the runtime up where it is not complete, or records the digests of its parts.
 * @throws TaskError: 2 for wrong values, 1 for what cannot be had, verified or built
 */
export async function setUpRuntime(ctx: RunnerContext, flags: SetupFlags): Promise<void> {
  const { env, startDirectory } = ctx;
  const root = findCheckout(env, startDirectory);
  const isFromSource = flags['from-source'] || readVariable(env, 'FROM_SOURCE');
  const config = resolveRuntimeConfig(env, root, startDirectory, thisHost());
  if (flags['update-pins']) return recordDigests(ctx, config, flags['dry-run']);
  if (isFromSource) return buildAndStage(ctx, config, flags);
  await runPlan(ctx, planDownload(config, flags.force, true), flags['dry-run']);
}

/** The new build is what is staged, whatever is there. */
async function buildAndStage(ctx: RunnerContext, config: RuntimeConfig, flags: SetupFlags): Promise<void> {
  const { env, terminal } = ctx;
  const prepare = libraryBuild(ctx, config.platform, config.root, flags['install-deps']);
  const plan = planBuild(config, resolveProvenance(env), flags.force);
  verifyPlaces(terminal, runtimePlaces(config.directory));
  const build = await prepare(ctx);
  if (flags['dry-run']) return terminal.result(...build.lines, ...runtimeLines(plan));
  for (const line of await build.run()) terminal.say(line);
  await runPlan(ctx, plan, false);
}

async function recordDigests(ctx: RunnerContext, config: RuntimeConfig, isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const { directory, release } = config;
  const remedy = 'install the tasks where you may write';
  verifyPlaces(terminal, [
    ...files(release.pinsPath).map((place) => ({ ...place, remedy })),
    { kind: 'directory', path: downloadsOf(directory) },
  ]);
  if (isDryRun) {
    const lines = filesToPin(config).map((file) => downloadLine(release, file).replace(/ \(verified: .*/, ''));
    return terminal.result(`# creates ${downloadsOf(directory)}`, ...lines, `# writes ${release.pinsPath}`);
  }
  const lock = { ...runtimeLock(directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    const difference = await updatePins(ctx, config, new Releases(ctx, release, downloadsOf(directory)));
    const summary =
      difference.length === 0 ? 'unchanged' : 'recorded; look at the difference, and keep it with the suite';
    removeDownloads(downloadsOf(directory));
    terminal.say(`${release.pinsPath}: ${summary}`);
    terminal.result(...difference);
  });
}
