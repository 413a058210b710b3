// SPDX-License-Identifier: Apache-2.0

/** Whether there is anything to set up: the first look of `vm:setup`, which loads nothing that sets something up. */

import { readVariable } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { usageError } from '../../errors.ts';
import { defectsText, RECORD_FILE, readRecord, runtimeDefects, unverifiedReason } from '../runtime-files.ts';
import { type RuntimeConfig, readPins, resolveRuntimeConfig, wantedText } from './config.ts';

export interface SetupFlags {
  readonly 'from-source': boolean;
  readonly 'install-deps': boolean;
  readonly force: boolean;
  readonly 'update-pins': boolean;
  readonly 'dry-run': boolean;
}

/**
 * What `vm:setup` has to do. Where there is nothing, that is said.
 * @throws usageError for wrong values
 */
export function whatToSetUp(ctx: TaskContext, flags: SetupFlags): 'nothing' | 'release' | 'build' | 'pins' {
  const isFromSource = readVariable(ctx.env, 'FROM_SOURCE') || flags['from-source'];
  const config = resolveRuntimeConfig(ctx);
  if (flags['update-pins']) {
    if (!isFromSource && !flags.force && !flags['install-deps']) return 'pins';
    throw usageError('--update-pins records digests and sets nothing up; leave --from-source, --force and others out');
  }
  if (isFromSource) return 'build';
  if (flags.force || setupReason(config) !== undefined) return 'release';
  sayPresent(ctx, config, flags['dry-run']);
  return 'nothing';
}

/** Says that there is nothing to do. */
export function sayPresent({ terminal }: TaskContext, config: RuntimeConfig, isDryRun: boolean): void {
  const { directory, platform } = config;
  if (!isDryRun) terminal.say(presentLine(config));
  terminal.result(isDryRun ? `# keeps ${directory}: it has a complete runtime for ${platform}` : directory);
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
  const outdated = Object.entries(record.sources).find(([path, sha256]) => (pins.get(path) ?? sha256) !== sha256);
  return outdated && `${RECORD_FILE} (another SHA-256 is recorded of ${outdated[0]} by now)`;
}

/** The report of a run that had nothing to do. */
export function presentLine(config: RuntimeConfig): string {
  const { directory, platform } = config;
  return `nothing to do: ${directory} has a complete runtime for ${platform}${verifiedText(config)}`;
}

/** How the runtime that was staged was verified, and whose release it is of. */
export function verifiedText({ directory, platform }: RuntimeConfig): string {
  const record = readRecord(directory, platform);
  const problem = unverifiedReason(record);
  if (problem !== undefined) return `; verified: no, ${problem}`;
  const path = Object.keys(record?.sources ?? {}).find((one) => one.includes('/vm-runtime-'));
  return `; verified: ${record?.verified}${path === undefined ? '' : ` (${path.replace('/releases/download/', ' ')})`}`;
}
