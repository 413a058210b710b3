// SPDX-License-Identifier: Apache-2.0

/**
 * z3's cmake cache remembers the compilers it was configured with. One that names
 * cargo-zigbuild's own wrappers cannot be used with ours, and is removed.
 */

import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FOREIGN_COMPILER = /cargo-zigbuild|zigc(?:c|xx)-[^\s"]*unknown-linux-gnu\.\d+\.\d+/;

/**
 * Removes such caches below a target directory.
 *
 * @param triple without a glibc version
 * @returns the folders that were removed
 */
export function removeStaleCmakeCaches(targetDirectory: string, triple: string): string[] {
  const stale = ['release', 'debug']
    .map((profile) => join(targetDirectory, triple, profile, 'build'))
    .flatMap((folder) => names(folder).map((name) => ({ folder, name })))
    .filter(({ name }) => name.startsWith('z3-sys-'))
    .map(({ folder, name }) => join(folder, name, 'out', 'build'))
    .filter(namesForeignCompiler);
  for (const folder of stale) rmSync(folder, { recursive: true, force: true });
  return stale;
}

function namesForeignCompiler(folder: string): boolean {
  const below = isFolder(join(folder, 'CMakeFiles'))
    ? readdirSync(join(folder, 'CMakeFiles'), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : [];
  return [join(folder, 'CMakeCache.txt'), ...below].some(
    (path) => existsSync(path) && statSync(path).isFile() && FOREIGN_COMPILER.test(readFileSync(path, 'latin1')),
  );
}

function names(folder: string): string[] {
  return isFolder(folder) ? readdirSync(folder) : [];
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
