// SPDX-License-Identifier: Apache-2.0

/** What was verified when a runtime was staged: a file beside it, so that a later change does not pass for verified. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { contentOf, textIn } from '../../fs/paths.ts';

export const RECORD_FILE = '.verified.json';

/** What is recorded of a staged runtime. */
export interface StagingRecord {
  readonly platform: string;
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
  const { archive, files, platform, verified } = parseTable(textIn(join(directory, RECORD_FILE)) ?? '') ?? {};
  if (!isTable(files) || typeof platform !== 'string') return undefined;
  return {
    platform,
    ...(typeof archive === 'string' ? { archive } : {}),
    ...(typeof verified === 'string' ? { verified } : {}),
    files: files as Record<string, string>,
  };
}

export function recordText(record: StagingRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The files of a record, by whether they are those that were verified; one that cannot be read is neither. */
export function compareWithRecord(directory: string): { readonly same: string[]; readonly changed: string[] } {
  const result = { same: [] as string[], changed: [] as string[] };
  for (const [name, wanted] of Object.entries(readRecord(directory)?.files ?? {})) {
    try {
      const isSame = sha256Of(contentOf(join(directory, name))) === wanted;
      result[isSame ? 'same' : 'changed'].push(name);
    } catch {
      // Whoever needs it says what is wrong with it.
    }
  }
  return result;
}
