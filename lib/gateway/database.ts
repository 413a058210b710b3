// SPDX-License-Identifier: Apache-2.0

/** The gateway's database: whether it can be one, and whose it is under sudo. */

import { closeSync, lstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { shown, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import type { Config } from './config.ts';

/** The database, and the files that SQLite keeps beside it (https://sqlite.org/tempfiles.html). */
const ENDINGS = ['', '-journal', '-shm', '-wal'];

export function databasePath({ stateDirectory }: Pick<Config, 'stateDirectory'>): string {
  return join(stateDirectory, 'gateway.db');
}

/**
 * Checks the files of the database that exist. The gateway follows links, under sudo as root: there none is allowed.
 * @throws usageError for what is not a file, leads nowhere, or is a link where this is root
 */
export function verifyDatabase(
  { stateDirectory, stateSource }: Pick<Config, 'stateDirectory' | 'stateSource'>,
  isRoot: boolean = process.geteuid?.() === 0,
): void {
  for (const path of ENDINGS.map((ending) => `${databasePath({ stateDirectory })}${ending}`)) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined || found.isFile()) continue;
    const isLink = found.isSymbolicLink();
    if (isLink && !isRoot && statSync(path, { throwIfNoEntry: false })?.isFile() === true) continue;
    const what = isLink ? (isRoot ? 'a link, which root does not follow' : 'a link to no file') : 'not a file';
    throw usageError(
      `the gateway's database ${shown(path)} is ${what}; remove it, or set ${stateSource} to another directory`,
    );
  }
}

/**
 * Creates the database as the user to whom its directory belongs. Under sudo the gateway runs as root, and SQLite gives
 * its side files the owner of the database (https://sqlite.org/src/file/src/os_unix.c, findCreateFileMode).
 */
export function keepDatabaseOwner(config: Pick<Config, 'stateDirectory'>): void {
  const path = databasePath(config);
  asOwner(path, () => closeSync(openSync(path, 'a', 0o600)));
}
