// SPDX-License-Identifier: Apache-2.0

/** The gateway's database: its files, and whose they are under sudo. */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { asOwner } from '../fs/ownership.ts';
import type { Config } from './config.ts';

/** The database, and the files that SQLite keeps beside it (https://sqlite.org/tempfiles.html). */
const ENDINGS = ['', '-journal', '-shm', '-wal'];

export function databasePath({ stateDirectory }: Pick<Config, 'stateDirectory'>): string {
  return join(stateDirectory, 'gateway.db');
}

/** The files of the database. The gateway follows links, under sudo as root, so none of them may be one. */
export function databaseFiles(config: Pick<Config, 'stateDirectory'>): string[] {
  return ENDINGS.map((ending) => `${databasePath(config)}${ending}`);
}

/**
 * Creates the database as the user to whom its directory belongs. Under sudo the gateway runs as root, and SQLite gives
 * its side files the owner of the database (https://sqlite.org/src/file/src/os_unix.c, findCreateFileMode).
 */
export function keepDatabaseOwner(config: Pick<Config, 'stateDirectory'>): void {
  const path = databasePath(config);
  asOwner(path, () => closeSync(openSync(path, 'a', 0o600)));
}
