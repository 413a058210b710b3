// SPDX-License-Identifier: Apache-2.0

/**
 * What vouches for a runtime that is staged, and for a build of its libraries. The files and their record lie in a
 * checkout, and who can change that can write any record; so what this user's tasks have written is remembered outside
 * of it, by the SHA-256 of the record.
 */

import { join } from 'node:path';
import { textOf } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { describeError } from '../../errors.ts';
import { isFile, writeWhole } from '../../fs/atomic-write.ts';
import { invokerOf } from '../../fs/ownership.ts';
import { type RuntimeDefect, runtimeFiles } from '../runtime-files.ts';
import type { RuntimeConfig } from './config.ts';
import { readPins } from './pins.ts';
import { digestsOf, parseRecord, RECORD_FILE, recordTextIn, type StagingRecord, sha256Of } from './record.ts';

/** Where what this user's tasks have written is remembered. */
export const RECEIPTS = '~/.local/state/openshell-tasks/vm-runtimes';

type Context = Pick<TaskContext, 'env' | 'terminal'>;

/** Where the receipt of a text is; `undefined` without a home. */
function receiptOf({ env }: Pick<Context, 'env'>, text: string): string | undefined {
  const invoker = invokerOf(env);
  const home = invoker === undefined ? textOf(env, 'HOME') : invoker.home;
  if (home?.startsWith('/') !== true) return undefined;
  return join(home, RECEIPTS.replace('~/', ''), sha256Of(Buffer.from(text)));
}

/** Remembers a text that this run has written into a directory. */
export function remember(ctx: Context, directory: string, text: string): void {
  const receipt = receiptOf(ctx, text);
  try {
    if (receipt === undefined) throw new Error('HOME is not set');
    writeWhole(receipt, `${directory}\n`, 0o600);
  } catch (error) {
    const text = `${directory} is this user's, and the next run will not know: ${describeError(error)}`;
    ctx.terminal.warn(`${text}; set HOME to a directory that can be written`);
  }
}

/** Whether a run of this user has written a text. */
export function isRemembered(ctx: Pick<Context, 'env'>, text: string): boolean {
  const receipt = receiptOf(ctx, text);
  return receipt !== undefined && isFile(receipt);
}

/** A runtime, and what is recorded. */
export type JudgedPlace = Pick<RuntimeConfig, 'directory' | 'platform'> & {
  readonly release: Pick<RuntimeConfig['release'], 'pinsPath'>;
};

/** The record of a runtime where something vouches for it, else why nothing does, in a few words. */
type Voucher = { readonly record: StagingRecord } | { readonly problem: string };

/** @throws usageError for wrong pins */
function voucherOf(ctx: Pick<Context, 'env'>, { directory, platform, release }: JudgedPlace): Voucher {
  const text = recordTextIn(directory);
  const record = text === undefined ? undefined : parseRecord(text);
  if (text === undefined || record === undefined) return { problem: 'nothing tells what was verified' };
  if (!isRemembered(ctx, text)) {
    return { problem: 'no run of this user has written it, so nothing vouches for the files' };
  }
  if (record.platform !== platform) return { problem: `what was verified is for ${record.platform}` };
  const unnamed = runtimeFiles(platform).filter((name) => record.files[name] === undefined);
  if (unnamed.length > 0) return { problem: `nothing tells what ${unnamed.join(', ')} has to be` };
  const pins = readPins(release.pinsPath);
  const outdated = Object.entries(record.sources).find(([path, sha256]) => (pins.get(path) ?? sha256) !== sha256);
  return outdated === undefined ? { record } : { problem: `another SHA-256 is recorded of ${outdated[0]} by now` };
}

/**
 * Why nothing vouches for the runtime in a directory, in a few words; `undefined` where this user's tasks have staged
 * all of it, and what is recorded by now does not say otherwise.
 * @throws usageError for wrong pins
 */
export function trustProblem(ctx: Pick<Context, 'env'>, place: JudgedPlace): string | undefined {
  const found = voucherOf(ctx, place);
  return 'problem' in found ? found.problem : undefined;
}

/** The same as a defect, for whoever sets a runtime up; one of another release is no better. */
export function trustDefects(ctx: Pick<Context, 'env'>, config: RuntimeConfig): RuntimeDefect[] {
  const found = voucherOf(ctx, config);
  const reason = 'problem' in found ? found.problem : otherRelease(found.record, config);
  return reason === undefined ? [] : [{ name: RECORD_FILE, reason }];
}

/** What is asked for, by its names for users. */
export function askedOf({ source, versions }: RuntimeConfig): Record<string, string> {
  const { GVPROXY_VERSION: gvproxy, UMOCI_VERSION: umoci } = versions;
  return { release: `${source.repository} ${source.tag}`, gvproxy, umoci };
}

function otherRelease({ asked = {} }: StagingRecord, config: RuntimeConfig): string | undefined {
  const others = Object.entries(askedOf(config)).filter(([name, value]) => (asked[name] ?? value) !== value);
  if (others.length === 0) return undefined;
  return `of another release: ${others.map(([name, value]) => `${name} ${asked[name]}, wanted ${value}`).join(', ')}`;
}

/**
 * Judges a complete runtime, for whoever embeds it.
 * @returns what is said where nothing vouches for it, or only the user who named its archive; and the SHA-256 that each
 *   file has to have when it is in a driver
 * @throws usageError for wrong pins
 */
export function judgeRuntime(
  ctx: Pick<Context, 'env'>,
  place: JudgedPlace,
): { readonly distrust: string | undefined; readonly files: Readonly<Record<string, string>> } {
  const { directory, platform } = place;
  const found = voucherOf(ctx, place);
  const names = runtimeFiles(platform);
  const problem = 'record' in found ? unverifiedText(found.record) : found.problem;
  const files = 'record' in found ? found.record.files : digestsOf(directory, names);
  const text = `the VM runtime in ${directory} is NOT verified: ${problem}; set it up: mise run vm:setup -- --force`;
  return {
    distrust: problem === undefined ? undefined : text,
    files: Object.fromEntries(names.map((name) => [name, files[name] ?? ''])),
  };
}

/** What a runtime is of that was taken as it is; `undefined` where it was verified. */
export function unverifiedText({ unverified, verified }: Pick<StagingRecord, 'unverified' | 'verified'>) {
  return verified === undefined ? `it is of ${unverified ?? 'an archive that the user named'}` : undefined;
}
