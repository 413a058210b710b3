// SPDX-License-Identifier: Apache-2.0

/** Where temporary folders are made. */

import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { shown, usageError } from '../errors.ts';

/**
 * The system's folder for temporary files (`TMPDIR`).
 *
 * @throws usageError where nothing can be made in it
 */
export function temporaryRoot(): string {
  const folder = tmpdir();
  try {
    // With the slash, only a folder is found.
    accessSync(`${folder}/`, constants.W_OK | constants.X_OK);
    return folder;
  } catch (cause) {
    throw usageError(`temporary files belong in ${shown(folder)}, which cannot be used; set TMPDIR to another folder`, {
      cause,
    });
  }
}
