// SPDX-License-Identifier: Apache-2.0

/**
 * What was verified when a runtime was staged: a file beside it, so that a later change does not pass for verified. It
 * is a file of the checkout, and vouches for nothing by itself: `trust.ts` says whether it is one of ours.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { asOwner } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { bytesIn, contentOf } from '../../fs/paths.ts';

export const RECORD_FILE = '.verified.json';

/** What is recorded of a staged runtime. */
export interface StagingRecord {
  readonly platform: string;
  /** The SHA-256 of each file of a release that it is made of, by its path below the server. */
  readonly sources: Readonly<Record<string, string>>;
  /** How the files were verified, for users; absent for what is taken as it is. */
  readonly verified?: string;
  /** What was taken as it is, for users. */
  readonly unverified?: Unverified;
  /** What was asked for: the release, and the versions of the programs. */
  readonly asked?: Readonly<Record<string, string>>;
  /** The SHA-256 of each compressed file. */
  readonly files: Readonly<Record<string, string>>;
}

export type Unverified = 'an archive that the user named';

export function sha256Of(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The SHA-256 of files in a directory, by their names. */
export function digestsOf(directory: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, sha256Of(contentOf(join(directory, name)))]));
}

/** The text of a runtime's record; `undefined` where it has none that can be read. */
export function recordTextIn(directory: string): string | undefined {
  return filesBytes(directory, RECORD_FILE)?.toString();
}

/** Root reads for the user to whom the directory belongs: a link in it leads where that user may go. */
export function filesBytes(directory: string, name: string): Buffer | undefined {
  const path = join(directory, name);
  return asOwner(path, () => bytesIn(path));
}

/** The record of the runtime in a directory; `undefined` where it has none that can be read. */
export function readRecord(directory: string): StagingRecord | undefined {
  return parseRecord(recordTextIn(directory) ?? '');
}

/** The record that a text is; `undefined` for any other text. */
export function parseRecord(text: string): StagingRecord | undefined {
  const { asked, files, platform, sources, unverified, verified } = parseTable(text) ?? {};
  if (!isTable(files) || typeof platform !== 'string') return undefined;
  return {
    platform,
    sources: (isTable(sources) ? sources : {}) as Record<string, string>,
    ...(typeof verified === 'string' ? { verified } : {}),
    ...(typeof unverified === 'string' ? { unverified: unverified as Unverified } : {}),
    ...(isTable(asked) ? { asked: asked as Record<string, string> } : {}),
    files: files as Record<string, string>,
  };
}

export function recordText(record: StagingRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}
