// SPDX-License-Identifier: Apache-2.0

/** The directory of what is downloaded and not verified yet: nobody else may write to it, nor have put anything there. */

import { chmodSync, lstatSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { namesIn } from '../../fs/paths.ts';

/** The size of a file in bytes; 0 where there is none. */
export function sizeOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/**
 * Creates the directory of downloads, for its owner alone. A link in its place would lead elsewhere, and so would one
 * in it, which somebody may have put there while others could write to it.
 */
export function makeScratch(scratch: string): void {
  const found = lstatSync(scratch, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) asOwner(dirname(scratch), () => rmSync(scratch));
  makeDirectory(scratch, 0o700);
  asOwner(scratch, () => {
    chmodSync(scratch, 0o700);
    for (const path of namesIn(scratch).map((name) => join(scratch, name))) {
      const { nlink, isOwnFile } = fileFacts(path);
      if (!isOwnFile || nlink > 1) rmSync(path, { force: true, recursive: true });
    }
  });
}

function fileFacts(path: string): { readonly isOwnFile: boolean; readonly nlink: number } {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return {
    isOwnFile: found?.isFile() === true && found.uid === process.geteuid?.(),
    nlink: found?.nlink ?? 0,
  };
}

/** Removes the directory of downloads: nothing of what was verified is needed any more. */
export function removeDownloads(scratch: string): void {
  if (lstatSync(scratch, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  asOwner(scratch, () => {
    for (const name of namesIn(scratch)) rmSync(join(scratch, name), { force: true, recursive: true });
  });
  asOwner(dirname(scratch), () => rmdirSync(scratch));
}
