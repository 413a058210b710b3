// SPDX-License-Identifier: Apache-2.0

/** Whether there is anything to set up: the first look of `vm:setup`, which loads nothing that sets something up. */

import { readVariable } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { defectsText, RECORD_FILE, readRecord, runtimeDefects } from '../runtime-files.ts';
import { type RuntimeConfig, readPins, resolveRuntimeConfig, wantedText } from './config.ts';

export type SetupFlags = Readonly<
  Record<'from-source' | 'install-deps' | 'force' | 'update-pins' | 'dry-run', boolean>
>;

/** What `vm:setup` has to do. Where there is nothing, that is said. @throws usageError for wrong values */
export function whatToSetUp(ctx: TaskContext, flags: SetupFlags): 'nothing' | 'release' | 'build' | 'pins' {
  const isFromSource = readVariable(ctx.env, 'FROM_SOURCE') || flags['from-source'];
  const config = resolveRuntimeConfig(ctx);
  if (flags['update-pins']) return 'pins';
  if (isFromSource) return 'build';
  if (flags.force || setupReason(config) !== undefined) return 'release';
  sayPresent(ctx, config, flags['dry-run']);
  return 'nothing';
}

/** Says that there is nothing to do. */
export function sayPresent({ terminal }: TaskContext, config: RuntimeConfig, isDryRun: boolean): void {
  if (!isDryRun) terminal.say(`nothing to do: ${runtimeText(config)}`);
  terminal.result(isDryRun ? `# keeps ${runtimeText(config)}` : config.directory);
}

/** A complete runtime, for users, and how it was verified. */
export function runtimeText({ directory, platform }: RuntimeConfig): string {
  return `${directory} for ${platform}; verified: ${readRecord(directory, platform)?.verified ?? 'no'}`;
}

/**
 * Why the runtime is to be set up, in a few words: something is missing, nothing tells what was verified, or something
 * else is asked for by now; `undefined` where it is complete.
 * @throws usageError for recorded digests that cannot be read
 */
export function setupReason(config: RuntimeConfig): string | undefined {
  const { directory, platform, release } = config;
  const defects = runtimeDefects(directory, platform);
  if (defects.length > 0) return defectsText(defects);
  const record = readRecord(directory, platform);
  if (record === undefined) return `${RECORD_FILE} (nothing tells what was verified)`;
  const wanted = wantedText(config);
  if (record.wanted !== wanted) return `${RECORD_FILE} (of another release: ${record.wanted}, wanted ${wanted})`;
  const pins = readPins(release.pinsPath);
  const outdated = Object.entries(record.sources).find(([path, sha256]) => (pins[path] ?? sha256) !== sha256);
  return outdated && `${RECORD_FILE} (another SHA-256 is recorded of ${outdated[0]} by now)`;
}
