// SPDX-License-Identifier: Apache-2.0

/**
 * What vouches for a runtime that is staged. The files and their record lie in a checkout, and who can change that can
 * write any record; so what this user's tasks have staged is remembered outside of it, by the SHA-256 of the record.
 */

import { join } from 'node:path';
import { textOf } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { oneLine } from '../../errors.ts';
import { isFile, writeWhole } from '../../fs/atomic-write.ts';
import { invokerOf } from '../../fs/ownership.ts';
import type { RuntimeDefect } from '../runtime-files.ts';
import type { RuntimeConfig } from './config.ts';
import { readPins } from './pins.ts';
import { RECORD_FILE, readRecord, recordTextIn, sha256Of } from './record.ts';

/** Where what this user's tasks have staged is remembered. */
export const RECEIPTS = '~/.local/state/openshell-tasks/vm-runtimes';

type Context = Pick<TaskContext, 'env' | 'dotEnv' | 'terminal'>;

/** What this user's tasks have staged; `undefined` without a home. A home that the checkout's `.env` names is none. */
function receiptsOf({ dotEnv, env }: Omit<Context, 'terminal'>): string | undefined {
  const named = dotEnv?.names.includes('HOME') === true ? undefined : textOf(env, 'HOME');
  const invoker = invokerOf(env);
  const home = invoker === undefined ? named : invoker.home;
  return home?.startsWith('/') === true ? join(home, RECEIPTS.replace('~/', '')) : undefined;
}

/** Remembers that the runtime in a directory is one that this run has staged. */
export function remember(ctx: Context, directory: string): void {
  const receipts = receiptsOf(ctx);
  try {
    if (receipts === undefined) throw new Error('HOME is not set');
    writeWhole(join(receipts, sha256Of(Buffer.from(recordTextIn(directory) ?? ''))), `${directory}\n`, 0o600);
  } catch (error) {
    const reason = oneLine(error instanceof Error ? error.message : String(error));
    ctx.terminal.warn(`${directory} is verified, and the next run will not know: ${reason}`);
  }
}

/**
 * Why nothing vouches for the runtime in a directory, in a few words; `undefined` where this user's tasks have staged
 * it, and what is recorded by now does not say otherwise.
 * @throws usageError for wrong pins
 */
export function trustProblem(ctx: Omit<Context, 'terminal'>, directory: string, pinsPath: string): string | undefined {
  const text = recordTextIn(directory);
  if (text === undefined) return 'nothing tells what was verified';
  const receipts = receiptsOf(ctx);
  const isOurs = receipts !== undefined && isFile(join(receipts, sha256Of(Buffer.from(text))));
  if (!isOurs) return 'no run of this user has written it, so nothing vouches for the files';
  const pins = readPins(pinsPath);
  const sources = Object.entries(readRecord(directory)?.sources ?? {});
  const outdated = sources.find(([path, sha256]) => (pins.get(path) ?? sha256) !== sha256);
  return outdated === undefined ? undefined : `another SHA-256 is recorded of ${outdated[0]} by now`;
}

/** The same as a defect, for whoever sets a runtime up. */
export function trustDefects(ctx: Omit<Context, 'terminal'>, { directory, release }: RuntimeConfig): RuntimeDefect[] {
  const reason = trustProblem(ctx, directory, release.pinsPath);
  return reason === undefined ? [] : [{ name: RECORD_FILE, reason }];
}

/**
 * What whoever embeds a runtime says where nothing vouches for it, or only the user who named its archive.
 * @throws usageError for wrong pins
 */
export function distrustText(ctx: Omit<Context, 'terminal'>, directory: string, pinsPath: string): string | undefined {
  const isVerified = readRecord(directory)?.verified !== undefined;
  const own = isVerified ? undefined : 'it is of an archive that the user named';
  const problem = trustProblem(ctx, directory, pinsPath) ?? own;
  if (problem === undefined) return undefined;
  return `the VM runtime in ${directory} is NOT verified: ${problem}; set it up: mise run vm:setup -- --force`;
}
