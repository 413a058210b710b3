// SPDX-License-Identifier: Apache-2.0

/** What adopting is asked for, checked: which checkout, and what to do there. */

import { realpathSync } from 'node:fs';
import { delimiter } from 'node:path';
import { findCheckout, isCheckout } from '../checkout.ts';
import type { Environment } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { PRODUCT } from '../product.ts';

export type AdoptFlags = Readonly<Record<'check' | 'undo' | 'worktrees' | 'dry-run', boolean>>;

/** The real path of the checkout. @throws usageError for what is none, for both flags, and for flags that npm has kept */
export function resolveCheckout(
  { env, startDirectory }: TaskContext,
  named: string | undefined,
  flags: AdoptFlags,
): string {
  refuseSwallowed(env, flags);
  if (flags.check && flags.undo) throw usageError('--check and --undo cannot go together; choose one');
  const root = named === undefined ? findCheckout(env, startDirectory) : absolutePath(startDirectory, named);
  const what = `not an ${PRODUCT.name} checkout (it needs a Cargo.toml with [workspace] and ${PRODUCT.landmark})`;
  if (!isCheckout(root)) throw usageError(`${shown(root)} is ${what}; name the directory of one`);
  return realpathSync(root);
}

/** Without `--` before them, npm takes the flags of `npm run` for its own, and does not pass them on. */
function refuseSwallowed(env: Environment, flags: AdoptFlags): void {
  const names = ['check', 'undo', 'worktrees', 'dry-run'] as const;
  const flag = names.find((name) => !flags[name] && env[`npm_config_${name.replace('-', '_')}`] === 'true');
  if (flag === undefined || env.npm_lifecycle_event !== 'adopt') return;
  throw usageError(`npm has kept --${flag} for itself; put -- before it: npm run adopt -- --${flag} CHECKOUT`);
}

/** The user's PATH, without the programs of npm packages: this clone's tests have a mise there. */
export function userPath({ PATH = '' }: Environment): string {
  const directories = PATH.split(delimiter).filter((one) => !/\/node_modules\/\.bin\/?$/.test(one));
  return directories.join(delimiter);
}
