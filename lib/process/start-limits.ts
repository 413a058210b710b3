// SPDX-License-Identifier: Apache-2.0

/** What a command needs of the system to be started at all. */

import { statSync } from 'node:fs';
import { usageError } from '../errors.ts';
import { argvText, type Command } from './command.ts';

/** Of one argument on Linux, the end mark not counted (execve(2), MAX_ARG_STRLEN). */
const ARGUMENT_BYTES_MAX = 128 * 1024 - 1;

/** @throws usageError where there is no directory to run in */
export function verifyDirectory(command: Command): void {
  if (statSync(command.cwd, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw usageError(`${argvText(command)} cannot run in ${command.cwd}: there is no such directory`);
}

/**
 * Checks that the system takes a command that is one argument of bash.
 * @throws usageError for one that is too long
 */
export function verifyLength(command: Command, text: string, platform: NodeJS.Platform): void {
  if (platform !== 'linux' || Buffer.byteLength(text) <= ARGUMENT_BYTES_MAX) return;
  const allowed = `${Math.floor(ARGUMENT_BYTES_MAX / 1024)} KiB are allowed`;
  throw usageError(`the arguments of ${command.argv[0]} are too long together, ${allowed}; shorten them (E2BIG)`);
}
