// SPDX-License-Identifier: Apache-2.0

/** What was verified when a runtime was staged: a file beside it, so that a later change does not pass for verified. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { contentOf, textIn } from '../../fs/paths.ts';

export const RECORD_FILE = '.verified.json';

/** What is recorded of a staged runtime. */
export interface StagingRecord {
  /** The SHA-256 of the release's archive; absent for a local build. */
  readonly archive?: string;
  /** How the files were verified, for users; absent for an archive that the user named, which is taken as it is. */
  readonly verified?: string;
  /** The SHA-256 of each compressed file. */
  readonly files: Readonly<Record<string, string>>;
}

export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The record of the runtime in a directory; `undefined` where it has none that can be read. */
export function readRecord(directory: string): StagingRecord | undefined {
  const { archive, files, verified } = parseTable(textIn(join(directory, RECORD_FILE)) ?? '') ?? {};
  if (!isTable(files)) return undefined;
  return {
    ...(typeof archive === 'string' ? { archive } : {}),
    ...(typeof verified === 'string' ? { verified } : {}),
    files: files as Record<string, string>,
  };
}

export function recordText(record: StagingRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The names of the files that are not those that were verified; a file that cannot be read is another matter. */
export function changedSince(directory: string): string[] {
  return Object.entries(readRecord(directory)?.files ?? {})
    .filter(([name, wanted]) => {
      try {
        return sha256Of(contentOf(join(directory, name))) !== wanted;
      } catch {
        return false;
      }
    })
    .map(([name]) => name);
}
