// SPDX-License-Identifier: Apache-2.0

/**
 * Building under another version without touching the checkout: in a directory below the target directory with a stamped
 * `Cargo.toml`, a copy of `Cargo.lock` (cargo writes the members' version into it), and links to everything else. Crates
 * from registries are shared with the plain build, and a second run with that version finds its crates compiled.
 */

import { hash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { notAllowed } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { copyWhole, writeWhole } from '../fs/atomic-write.ts';
import { whileLocked } from '../fs/lock.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { isTable } from '../fs/parse-json.ts';
import { contentOf } from '../fs/paths.ts';

/** That of https://semver.org/spec/v2.0.0.html. */
const SEMVER =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$/;

/** @throws usageError naming the source unless it is a semantic version */
export function verifyVersion(source: string, version: string): string {
  if (SEMVER.test(version)) return version;
  throw notAllowed(source, version, 'is a semantic version such as 1.2.3 or 1.2.3-rc.1+build.5');
}

/**
 * The manifest with another `[workspace.package]` version; everything else means the same.
 * @throws usageError for text that is not TOML, or has no such version
 */
export async function stampedManifest(text: string, version: string): Promise<string> {
  const { parse, stringify } = await import('smol-toml');
  let manifest: Record<string, unknown>;
  try {
    // Otherwise a float such as 1.0 would come back as a whole number, and a long whole number not at all.
    manifest = parse(text, { integersAsBigInt: true });
  } catch (cause) {
    throw usageError('Cargo.toml cannot be read as TOML', { cause });
  }
  const shared = isTable(manifest.workspace) ? manifest.workspace.package : undefined;
  if (!isTable(shared) || typeof shared.version !== 'string') {
    throw usageError('Cargo.toml has no version in [workspace.package] to stamp; unset OPENSHELL_CARGO_VERSION');
  }
  shared.version = version;
  return stringify(manifest, { numbersAsFloat: true });
}

export type Overlay = ReturnType<typeof planOverlay>;

/** In a target directory that several checkouts may share, each checkout has an overlay of its own. */
export function planOverlay(root: string, targetDirectory: string, version: string) {
  const isOwn = !relative(root, targetDirectory).startsWith('..');
  const name = isOwn ? version : `${version}-${hash('sha256', root).slice(0, 12)}`;
  return { root, targetDirectory, directory: join(targetDirectory, 'openshell-version', name), version };
}

/** Creates the overlay, or brings it up to date; of two runs at once one waits. */
export async function makeOverlay(ctx: Parameters<typeof whileLocked>[0], overlay: Overlay): Promise<void> {
  const path = join(dirname(overlay.directory), `.${basename(overlay.directory)}.lock`);
  const remedy = 'set CARGO_TARGET_DIR to a directory on another file system';
  const lock = { path, remedy, task: `overlay of ${overlay.version}`, other: 'another build of this version' };
  await whileLocked(ctx, lock, () => writeOverlay(overlay));
}

async function writeOverlay({ directory, root, targetDirectory, version }: Overlay): Promise<void> {
  const manifest = await stampedManifest(contentOf(join(root, 'Cargo.toml')).toString(), version);
  makeDirectory(directory);
  // Not the two files that differ, the repository, what cargo reads in the checkout, and build output.
  const apart = ['Cargo.toml', 'Cargo.lock', '.git', '.cargo', 'target', relative(root, targetDirectory)];
  const names = readdirSync(root).filter((name) => !apart.includes(name));
  for (const name of names) link(join(root, name), join(directory, name));
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (!names.includes(name) && lstatSync(path).isSymbolicLink()) asOwner(directory, () => rmSync(path));
  }
  writeWhole(join(directory, 'Cargo.toml'), manifest, 0o644);
  const lock = join(root, 'Cargo.lock');
  if (existsSync(lock)) copyWhole(lock, join(directory, 'Cargo.lock'), 0o644);
}

function link(target: string, path: string): void {
  const current = lstatSync(path, { throwIfNoEntry: false });
  if (current?.isSymbolicLink() && readlinkSync(path) === target) return;
  asOwner(dirname(path), () => {
    rmSync(path, { force: true });
    symlinkSync(target, path);
  });
}
