// SPDX-License-Identifier: Apache-2.0

/** The programs that cargo itself starts, the compiler and its wrappers: where it finds them, and those that are gone. */

import { realpathSync, statSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { findProgram } from '../process/which.ts';
import { cargoHome, type NamedProgram } from './settings.ts';

/**
 * The environment that cargo finds its programs in. Where cargo is rustup's, rustup puts the programs of cargo's home
 * first on PATH, unless they are on it already.
 * @param env the environment that cargo is started with
 */
export function environmentInCargo(root: string, env: Environment): Environment {
  const [cargo, rustup] = ['cargo', 'rustup'].map((name) => findProgram(name, env));
  const home = join(cargoHome(root, env), 'bin');
  const directories = (env.PATH ?? '').split(delimiter);
  if (cargo === undefined || directories.includes(home) || !isProxy(cargo, rustup)) return env;
  return { ...env, PATH: [home, ...directories].join(delimiter) };
}

/** Rustup's programs are links to it, or copies of it, for which cargo looks at the size, too. */
function isProxy(program: string, rustup: string | undefined): boolean {
  if (basename(realpathSync(program)) === 'rustup') return true;
  return rustup !== undefined && statSync(program).size === statSync(rustup).size;
}

/**
 * Refuses what every cargo run would fail for, with a bare "No such file".
 * @param missing programs that settings name, and that are not there
 * @throws usageError with their names, where they are set, and how to build without them
 */
export function refuseMissing(missing: readonly NamedProgram[]): void {
  const texts = missing.map(({ offSwitch, source, text }) => {
    const what = text.includes('/') ? 'not an executable program' : 'not on PATH';
    const remedy = offSwitch === undefined ? 'remove the setting' : `build without it: ${offSwitch}`;
    return `${source} is ${shown(text)}, which is ${what}; install it, correct the name, or ${remedy}`;
  });
  if (texts.length > 0) throw usageError(texts.join('; '));
}
