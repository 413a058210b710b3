// SPDX-License-Identifier: Apache-2.0

/** Where temporary directories are created. */

import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { shown, usageError } from '../errors.ts';
import { fullness } from './writable-places.ts';

/**
 * The system's directory for temporary files (`TMPDIR`).
 * @throws usageError where nothing can be created in it
 */
export function temporaryRoot(): string {
  const directory = tmpdir();
  try {
    // With the slash, only a directory is found.
    accessSync(`${directory}/`, constants.W_OK | constants.X_OK);
    const reason = fullness(directory);
    if (reason !== undefined) throw usageError(reason);
    return directory;
  } catch (cause) {
    throw usageError(
      `temporary files belong in ${shown(directory)}, which cannot be used; set TMPDIR to another directory`,
      {
        cause,
      },
    );
  }
}
