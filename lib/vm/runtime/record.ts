// SPDX-License-Identifier: Apache-2.0

/**
 * What was verified when a runtime was staged: a file beside it, so that a later change does not pass for verified. It
 * is a file of the checkout, and vouches for nothing by itself: `trust.ts` says whether it is one of ours.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { asOwner } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { bytesIn } from '../../fs/paths.ts';

export const RECORD_FILE = '.verified.json';

const FILE_NAME = /^\w[\w.-]*\.zst$/;

/** What is recorded of a staged runtime. */
export interface StagingRecord {
  readonly platform: string;
  /** The SHA-256 of each file of a release that it is made of, by its path below the server. */
  readonly sources: Readonly<Record<string, string>>;
  /** How the files were verified, for users; absent for an archive that the user named, which is taken as it is. */
  readonly verified?: string;
  /** The SHA-256 of each compressed file. */
  readonly files: Readonly<Record<string, string>>;
}

export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The text of a runtime's record; `undefined` where it has none that can be read. */
export function recordTextIn(directory: string): string | undefined {
  return filesBytes(directory, RECORD_FILE)?.toString();
}

/** Root reads for the user to whom the directory belongs: a link in it leads where that user may go. */
function filesBytes(directory: string, name: string): Buffer | undefined {
  const path = join(directory, name);
  return asOwner(path, () => bytesIn(path));
}

/** The record of the runtime in a directory; `undefined` where it has none that can be read. */
export function readRecord(directory: string): StagingRecord | undefined {
  const { files, platform, sources, verified } = parseTable(recordTextIn(directory) ?? '') ?? {};
  if (!isTable(files) || typeof platform !== 'string') return undefined;
  return {
    platform,
    sources: (isTable(sources) ? sources : {}) as Record<string, string>,
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
    // A record may say anything: a name, and no path.
    const content = FILE_NAME.test(name) ? filesBytes(directory, name) : undefined;
    // Whoever needs it says what is wrong with it.
    if (content !== undefined) result[sha256Of(content) === wanted ? 'same' : 'changed'].push(name);
  }
  return result;
}
