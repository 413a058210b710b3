// SPDX-License-Identifier: Apache-2.0

/** `vm:setup`: a complete runtime for this machine, downloaded or built, and the digests that downloads need. */

import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { readVariable } from '../../cli/env.ts';
import { usageError } from '../../errors.ts';
import { whileLocked } from '../../fs/lock.ts';
import { files, type Place, verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { type RuntimeConfig, resolveProvenance, resolveRuntimeConfig } from './config.ts';
import { executeRuntime } from './execute.ts';
import { libraryBuild } from './library-build.ts';
import { planBuild, planDownload } from './plan.ts';
import { Releases } from './releases.ts';
import { downloadLine, runtimeLines } from './report.ts';
import { removeDownloads } from './scratch.ts';
import { downloadsOf, runtimeLock, runtimePlaces } from './stage.ts';
import { partsToPin, pinsLock, updatePins } from './update-pins.ts';

export interface SetupFlags {
  readonly 'from-source': boolean;
  readonly 'install-deps': boolean;
  readonly force: boolean;
  readonly 'update-pins': boolean;
  readonly 'dry-run': boolean;
}

/** A setup that is planned: nothing but probes has been started. */
interface Setup {
  /** What a dry run prints. */
  readonly lines: readonly string[];
  readonly places: readonly Place[];
  run(): Promise<void>;
}

/**
 * Sets the runtime up where it is not complete, or records the digests of its parts.
 * @throws TaskError: 2 for wrong values, 1 for what cannot be had, verified or built
 */
export async function setUpRuntime(ctx: RunnerContext, flags: SetupFlags): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const isFromSource = readVariable(env, 'FROM_SOURCE') || flags['from-source'];
  const config = resolveRuntimeConfig(env, root, startDirectory, thisHost());
  if (flags['update-pins']) {
    if (isFromSource || flags.force || flags['install-deps']) {
      throw usageError(
        '--update-pins records digests and sets nothing up; leave --from-source, --force and others out',
      );
    }
    return recordDigests(ctx, config, flags['dry-run']);
  }
  const setup = await prepareSetup(ctx, config, isFromSource, flags);
  verifyPlaces(terminal, setup.places);
  if (flags['dry-run']) return terminal.result(...setup.lines);
  await setup.run();
  if (terminal.timings() !== '') terminal.say(`done: ${terminal.timings()}`);
  terminal.result(config.directory);
}

/**
 * Plans to complete the runtime from its release, or to build and stage it, whatever is there.
 * @throws usageError for wrong values, and for what is missing or cannot be verified
 */
async function prepareSetup(
  ctx: RunnerContext,
  config: RuntimeConfig,
  isFromSource: boolean,
  flags: SetupFlags,
): Promise<Setup> {
  const { env, terminal } = ctx;
  if (!isFromSource) {
    const plan = planDownload(ctx, config, flags.force, true);
    const places = plan.source.kind === 'present' ? [] : runtimePlaces(config.directory);
    return { lines: runtimeLines(plan), places, run: () => executeRuntime(ctx, plan) };
  }
  const prepare = libraryBuild(ctx, config.platform, config.root, flags['install-deps']);
  const plan = planBuild(config, resolveProvenance(env), flags.force);
  const build = await prepare(ctx);
  const run = async () => {
    terminal.say((await build.run()).report);
    await executeRuntime(ctx, plan);
  };
  return { lines: [...build.lines, ...runtimeLines(plan)], places: runtimePlaces(config.directory), run };
}

async function recordDigests(ctx: RunnerContext, config: RuntimeConfig, isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const { directory, release } = config;
  const remedy = 'install the tasks where you may write';
  verifyPlaces(terminal, [
    ...files(release.pinsPath).map((place) => ({ ...place, remedy })),
    { kind: 'opened', ...pinsLock(release.pinsPath) },
    { kind: 'directory', path: downloadsOf(directory) },
  ]);
  if (isDryRun) {
    const lines = partsToPin(config).map(({ file }) => downloadLine(release, file).replace(/ \(verified: .*/, ''));
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
