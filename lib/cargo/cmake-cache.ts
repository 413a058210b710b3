// SPDX-License-Identifier: Apache-2.0

/**
 * z3's cmake cache remembers the compilers it was configured with. One that names cargo-zigbuild's own wrappers cannot
 * be used with ours, and is removed.
 */

import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../fs/paths.ts';

const FOREIGN_COMPILER = /cargo-zigbuild|zigc(?:c|xx)-[^\s"]*unknown-linux-gnu\.\d+\.\d+/;

/**
 * Removes such caches below a target directory.
 * @param triple without a glibc version
 * @returns the directories that were removed
 */
export function removeStaleCmakeCaches(targetDirectory: string, triple: string): string[] {
  const stale = ['release', 'debug']
    .map((profile) => join(targetDirectory, triple, profile, 'build'))
    .flatMap((directory) => namesIn(directory).map((name) => ({ directory, name })))
    .filter(({ name }) => name.startsWith('z3-sys-'))
    .map(({ directory, name }) => join(directory, name, 'out', 'build'))
    .filter(namesForeignCompiler);
  for (const directory of stale) rmSync(directory, { recursive: true, force: true });
  return stale;
}

function namesForeignCompiler(directory: string): boolean {
  const below = join(directory, 'CMakeFiles');
  const files = isDirectory(below)
    ? readdirSync(below, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
    : [];
  return [join(directory, 'CMakeCache.txt'), ...files].some(
    (path) => existsSync(path) && statSync(path).isFile() && FOREIGN_COMPILER.test(readFileSync(path, 'latin1')),
  );
}

function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
