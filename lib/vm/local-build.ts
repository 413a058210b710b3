// SPDX-License-Identifier: Apache-2.0

/** A local build of the runtime's libraries: where it is, and what it says of itself. */

import { join } from 'node:path';
import { writeWhole } from '../fs/atomic-write.ts';

/** The name of the record: what was built from what. It is there only while the files are complete. */
export const BUILD_RECORD = 'build.json';

/** Where a checkout's libraries are built, whatever cargo's target directory is. */
export function buildDirectory(root: string): string {
  return join(root, 'target/libkrun-build');
}

export function writeBuildRecord(directory: string, record: object): void {
  writeWhole(join(directory, BUILD_RECORD), `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
}
