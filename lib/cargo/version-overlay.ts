// SPDX-License-Identifier: Apache-2.0

/**
 * Building under another version without touching the checkout.
 *
 * The overlay is a directory below the target directory: a stamped `Cargo.toml`, a copy of `Cargo.lock` (cargo writes
 * the members' version into it), and links to everything else. Cargo runs in the checkout, and is given the path of the
 * manifest. Workspace members are compiled apart from the plain build, crates from registries are shared with it, and a
 * second run with that version finds its crates compiled.
 */

import { hash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { notAllowed } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { failure, usageError } from '../errors.ts';
import { copyWhole, writeWhole } from '../fs/atomic-write.ts';
import { whileLocked } from '../fs/lock.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { isTable } from '../fs/parse-json.ts';
import { contentOf } from '../fs/paths.ts';
import type { Signals } from '../process/signals.ts';

/** That of https://semver.org/spec/v2.0.0.html. */
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$/;

/** A version is part of a directory's name, which may have 255 bytes. */
const VERSION_LENGTH_MAX = 128;
/** Cargo keeps the three numbers in 64 bits. */
const VERSION_NUMBER_MAX = 2n ** 64n - 1n;

/** @throws usageError naming the source unless it is a semantic version of at most 128 characters */
export function verifyVersion(source: string, version: string): string {
  const numbers = version.length <= VERSION_LENGTH_MAX ? SEMVER.exec(version)?.slice(1, 4) : undefined;
  if (numbers?.every((number) => BigInt(number) <= VERSION_NUMBER_MAX)) return version;
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

/** The workspace that cargo builds, in the target directory that it shares with the plain build. */
export interface Overlay {
  readonly root: string;
  readonly targetDirectory: string;
  readonly directory: string;
  readonly version: string;
}

/** In a target directory that several checkouts may share, each checkout has an overlay of its own. */
export function planOverlay(root: string, targetDirectory: string, version: string): Overlay {
  const isOwn = !relative(root, targetDirectory).startsWith('..');
  const name = isOwn ? version : `${version}-${hash('sha256', root).slice(0, 12)}`;
  return { root, targetDirectory, directory: join(targetDirectory, 'openshell-version', name), version };
}

/** Creates the overlay, or brings it up to date; of two runs at once one waits. */
export async function makeOverlay(
  ctx: { readonly signals: Signals; readonly terminal: Terminal },
  overlay: Overlay,
): Promise<void> {
  const path = join(dirname(overlay.directory), `.${basename(overlay.directory)}.lock`);
  const remedy = 'set CARGO_TARGET_DIR to a directory on another file system';
  const lock = { path, remedy, task: `overlay of ${overlay.version}`, other: 'another build of this version' };
  await whileLocked(ctx, lock, () => writeOverlay(overlay));
}

async function writeOverlay(overlay: Overlay): Promise<void> {
  const text = contentOf(join(overlay.root, 'Cargo.toml')).toString();
  const manifest = await stampedManifest(text, overlay.version);
  makeDirectory(overlay.directory);
  const names = readdirSync(overlay.root).filter((name) => isLinked(overlay, name));
  for (const name of names) link(join(overlay.root, name), join(overlay.directory, name));
  for (const name of readdirSync(overlay.directory)) {
    const path = join(overlay.directory, name);
    if (!names.includes(name) && lstatSync(path).isSymbolicLink()) asOwner(overlay.directory, () => rmSync(path));
  }
  writeWhole(join(overlay.directory, 'Cargo.toml'), manifest, 0o644);
  const lock = join(overlay.root, 'Cargo.lock');
  if (existsSync(lock)) copyWhole(lock, join(overlay.directory, 'Cargo.lock'), 0o644);
}

/** Everything but the two files that differ, the repository, what cargo reads in the checkout, and build output. */
function isLinked({ root, targetDirectory }: Overlay, name: string): boolean {
  const apart = ['Cargo.toml', 'Cargo.lock', '.git', '.cargo', 'target', relative(root, targetDirectory)];
  return !apart.includes(name);
}

function link(target: string, path: string): void {
  const current = lstatSync(path, { throwIfNoEntry: false });
  if (current?.isSymbolicLink() && readlinkSync(path) === target) return;
  if (current !== undefined && !current.isSymbolicLink()) {
    throw failure(`${path} is in the way of a link; remove ${dirname(path)} and try again`);
  }
  asOwner(dirname(path), () => {
    rmSync(path, { force: true });
    symlinkSync(target, path);
  });
}
