// SPDX-License-Identifier: Apache-2.0

/** The files of a runtime before they are compressed: out of a release's archive, or out of a build directory. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ArchiveError, readArchive } from '../../archive/read.ts';
import { failure, shown, usageError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf, namesIn } from '../../fs/paths.ts';
import { decompress, readContent, ZstdError } from '../../zstd/decompress.ts';
import { PLATFORMS, PROVENANCE_FILE, partDefect, runtimeNames, type VmPlatform } from '../runtime-files.ts';
import type { RuntimeConfig } from './config.ts';

/** The files by their names; those that the platform's table does not have are left out. */
export type Contents = Map<string, Buffer>;

export interface Collected {
  readonly contents: Contents;
  /** The text of `provenance.json`. */
  readonly provenance: string | undefined;
}

/**
 * Reads an archive of a release.
 * @param what the archive, for users
 * @throws failure for one that is damaged, hostile, or for another platform
 */
export async function readRuntimeArchive(what: string, archive: Buffer, platform: VmPlatform): Promise<Collected> {
  const files = await unpacked(what, archive);
  const provenance = files.get(PROVENANCE_FILE)?.toString();
  const built = provenance === undefined ? platform : parseTable(provenance)?.platform;
  if (built !== platform) {
    const found = typeof built === 'string' ? `is for ${shown(built)}` : 'does not say for which platform it is';
    throw failure(`${what} is refused: its ${PROVENANCE_FILE} ${found}, wanted ${platform}`);
  }
  const contents: Contents = new Map();
  for (const name of runtimeNames(platform)) {
    const content = files.get(name);
    if (content !== undefined) contents.set(name, content);
  }
  for (const [name, content] of contents) {
    const defect = partDefect(content, platform, name);
    if (defect !== undefined) throw failure(`${what} is refused: its ${name} is ${defect}`);
  }
  return { contents, provenance };
}

async function unpacked(what: string, archive: Buffer): Promise<Map<string, Buffer>> {
  try {
    return await readArchive(decompress(archive));
  } catch (error) {
    if (error instanceof ZstdError) throw failure(`${what} is refused: it is not a whole zstd file: ${error.message}`);
    if (error instanceof ArchiveError) throw failure(`${what} is refused: ${error.message}`);
    throw error;
  }
}

/** Where the libraries of a build are. */
export interface BuiltLibraries {
  readonly krun: string;
  readonly krunfw: string;
}

/**
 * Finds the two libraries of a local build; the first directory that has one wins.
 * @param hint what builds them
 * @throws usageError naming what was looked for, and where
 */
export function findLibraries(
  platform: VmPlatform,
  places: readonly (string | undefined)[],
  hint: string,
): BuiltLibraries {
  const directories = places.filter((place) => place !== undefined);
  const { krun, krunfw, os } = PLATFORMS[platform];
  // The kernel's library has its whole version in its name, and the driver wants that of its interface.
  const versioned = (name: string) => os === 'linux' && /^libkrunfw\.so\.5\.[\w.-]+$/.test(name);
  const others = os === 'linux' ? [] : ['libkrunfw.dylib'];
  const find = (names: readonly string[], alsoFits: (name: string) => boolean = () => false) => {
    for (const directory of directories) {
      const candidates = [...names, ...namesIn(directory).filter(alsoFits).sort(newestFirst)];
      const found = candidates.map((name) => join(directory, name)).find(isRegularFile);
      if (found !== undefined) return found;
    }
    throw usageError(
      `no ${names.join(' or ')}${os === 'linux' && alsoFits('libkrunfw.so.5.1') ? ' or libkrunfw.so.5.*' : ''} in ` +
        `${directories.join(' or ')}; ${hint}`,
    );
  };
  return { krun: find([krun]), krunfw: find([krunfw, ...others], versioned) };
}

/** `libkrunfw.so.5.10.0` before `libkrunfw.so.5.2.0`. */
function newestFirst(left: string, right: string): number {
  return right.localeCompare(left, 'en', { numeric: true });
}

/** Whether there is a file with content, also behind a link. */
export function isRegularFile(path: string): boolean {
  try {
    const found = statSync(path);
    return found.isFile() && found.size > 0;
  } catch {
    // Whatever is wrong with the path, it is none.
    return false;
  }
}

/**
 * Reads the two libraries.
 * @throws usageError for one that is not whole, or for another machine
 */
export function readLibraries(platform: VmPlatform, { krun, krunfw }: BuiltLibraries): Contents {
  const facts = PLATFORMS[platform];
  const contents: Contents = new Map();
  for (const [name, path] of [
    [facts.krun, krun],
    [facts.krunfw, krunfw],
  ] as const) {
    const content = asOwner(path, () => contentOf(path));
    const defect = partDefect(content, platform, name);
    if (defect !== undefined) throw usageError(`${path} is ${defect}; build it for ${platform}`);
    contents.set(name, content);
  }
  return contents;
}

/** A program that is staged, decompressed, where a check accepts it; a program that a record vouches for is not enough. */
export function stagedProgram<T>(
  name: 'gvproxy' | 'umoci',
  { directory }: RuntimeConfig,
  accept: (content: Buffer) => T | undefined,
): T | undefined {
  const path = join(directory, `${name}.zst`);
  try {
    return accept(asOwner(path, () => readContent(path)));
  } catch (error) {
    if (error instanceof ZstdError) return undefined;
    throw error;
  }
}
