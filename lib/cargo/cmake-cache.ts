// SPDX-License-Identifier: Apache-2.0

/**
 * z3's cmake cache remembers the compilers it was configured with. One that names cargo-zigbuild's own wrappers cannot
 * be used with ours, and is removed.
 */

import { globSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { asOwner } from '../fs/ownership.ts';
import type { CargoSettings } from './settings.ts';

const FOREIGN_COMPILER = /cargo-zigbuild|zigc(?:c|xx)-[^\s"]*unknown-linux-gnu\.\d+\.\d+/;

/**
 * Removes such caches below the directories that cargo builds in.
 * @param target where binaries appear
 * @param triple without a glibc version
 * @returns the directories that were removed
 */
export function removeStaleCmakeCaches(target: string, { buildDirectory }: CargoSettings, triple: string): string[] {
  const pattern = `${triple}/{release,debug}/build/z3-sys-*/out/build`;
  const stale = [target, ...(buildDirectory === undefined ? [] : [buildDirectory])]
    .flatMap((cwd) => globSync(pattern, { cwd }).map((directory) => join(cwd, directory)))
    .filter(namesForeignCompiler);
  for (const directory of stale) asOwner(directory, () => rmSync(directory, { recursive: true, force: true }));
  return stale;
}

function namesForeignCompiler(directory: string): boolean {
  return globSync(['CMakeCache.txt', 'CMakeFiles/**'], { cwd: directory, withFileTypes: true }).some(
    (entry) => entry.isFile() && FOREIGN_COMPILER.test(readFileSync(join(entry.parentPath, entry.name), 'latin1')),
  );
}
