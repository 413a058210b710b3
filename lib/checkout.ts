// SPDX-License-Identifier: Apache-2.0

/** Which OpenShell checkout the tasks work on. */

import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Environment, textOf } from './cli/env.ts';
import { shown, usageError } from './errors.ts';
import { ancestorsOf, textIn } from './fs/paths.ts';
import { PRODUCT } from './product.ts';

const ROOT_VARIABLE = 'OPENSHELL_ROOT';

/** The suite's own directory. */
export const SUITE_ROOT = dirname(import.meta.dirname);

/**
 * The absolute, real path of the checkout: `OPENSHELL_ROOT` if set, else the one that the suite lives in, else the
 * nearest parent of `startDirectory` that is one.
 * @throws usageError when the variable names no checkout, or none is found
 */
export function findCheckout(env: Environment, startDirectory: string, suiteRoot: string = SUITE_ROOT): string {
  const named = textOf(env, ROOT_VARIABLE);
  const places = [...ancestorsOf(suiteRoot), ...ancestorsOf(resolve(startDirectory))];
  const root = (named === undefined ? places : [resolve(startDirectory, named)]).find(isCheckout);
  if (root !== undefined) return realpathSync(root);
  throw usageError(
    named === undefined
      ? `no ${PRODUCT.name} checkout at or above ${shown(startDirectory)}; ` +
          `start the task inside one, or set ${ROOT_VARIABLE} to its path`
      : `${ROOT_VARIABLE} is ${shown(named)}, which is not an ${PRODUCT.name} checkout ` +
          `(it needs a Cargo.toml with [workspace] and ${PRODUCT.landmark}); set it to one or unset it`,
  );
}

/** Whether the directory has what every checkout has (neither `.git` nor `Cargo.lock` is needed). */
export function isCheckout(directory: string): boolean {
  // With the dot, only a directory is found.
  if (!existsSync(`${join(directory, PRODUCT.landmark)}/.`)) return false;
  return /^[ \t]*\[workspace\]/m.test(textIn(join(directory, 'Cargo.toml')) ?? '');
}
