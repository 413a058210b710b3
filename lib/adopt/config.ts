// SPDX-License-Identifier: Apache-2.0

/** What adopting is asked for, checked: which checkout, and what to do there. */

import { realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findCheckout, isCheckout, SUITE_ROOT } from '../checkout.ts';
import type { Environment } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { shellQuote } from '../process/command.ts';
import { PRODUCT } from '../product.ts';

export type AdoptFlags = Readonly<Record<'check' | 'undo' | 'worktrees' | 'dry-run', boolean>>;

export interface AdoptConfig {
  readonly root: string;
  /** The clone that the tasks are in. */
  readonly suite: string;
  readonly tasksFile: string;
  /** The user's PATH, without the programs of npm packages: this clone's tests have a mise there. */
  readonly path: string;
  /** What to do without mise, for messages. */
  readonly withoutMise: string;
}

/** @throws usageError for what is not a checkout, both flags, and a clone whose path mise would not take as it is */
export function resolveAdoptConfig(
  { env, startDirectory }: TaskContext,
  named: string | undefined,
  flags: AdoptFlags,
  suite = SUITE_ROOT,
): AdoptConfig {
  refuseSwallowed(env, flags);
  if (flags.check && flags.undo) throw usageError('--check and --undo cannot go together; choose one');
  const root = named === undefined ? findCheckout(env, startDirectory) : absolutePath(startDirectory, named);
  const what = `not an ${PRODUCT.name} checkout (it needs a Cargo.toml with [workspace] and ${PRODUCT.landmark})`;
  if (!isCheckout(root)) throw usageError(`${shown(root)} is ${what}; name the directory of one`);
  const remedy = 'move this clone to a path without *, ?, [, ] and {';
  if (/[*?[\]{]/.test(suite)) throw usageError(`mise takes a part of ${shown(suite)} for a pattern; ${remedy}`);
  const directories = (env.PATH ?? '').split(delimiter).filter((one) => !/\/node_modules\/\.bin\/?$/.test(one));
  return {
    root: realpathSync(root),
    suite,
    tasksFile: join(suite, '.adopt/adopt-tasks.toml'),
    path: directories.join(delimiter),
    withoutMise: `start tasks with ${shellQuote(join(suite, 'bin/openshell-tasks.sh'))}`,
  };
}

/** Without `--` before them, npm takes the flags of `npm run` for its own, and does not pass them on. */
function refuseSwallowed(env: Environment, flags: AdoptFlags): void {
  const names = ['check', 'undo', 'worktrees', 'dry-run'] as const;
  const flag = names.find((name) => !flags[name] && env[`npm_config_${name.replace('-', '_')}`] === 'true');
  if (flag === undefined || env.npm_lifecycle_event !== 'adopt') return;
  throw usageError(`npm has kept --${flag} for itself; put -- before it: npm run adopt -- --${flag} CHECKOUT`);
}
