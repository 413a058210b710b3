// SPDX-License-Identifier: Apache-2.0

/**
 * The recorded SHA-256 of each file of a release, by its path below the server: `owner/name/releases/download/tag/file`.
 * They belong to the suite: who can change a checkout cannot change what is trusted.
 */

import { shown, type TaskError, usageError } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import type { ReleaseConfig, ReleaseFile } from './config.ts';

/** The command that records what is missing. */
export const UPDATE_COMMAND = 'tasks/vm/vm-setup.ts --update-pins';

export type Pins = ReadonlyMap<string, string>;

/** The path of a file below the server, which is its key among the pins. */
export function releasePath({ repository, tag }: ReleaseFile, name: string): string {
  return [repository, 'releases/download', tag, name].join('/');
}

/** @throws usageError for a file that is missing, or not what `writePins` writes */
export function readPins(path: string): Pins {
  let text: string;
  try {
    text = contentOf(path).toString();
  } catch (cause) {
    throw usageError('the recorded digests cannot be read; get the file back, or install the tasks again', { cause });
  }
  const entries = Object.entries(parseTable(text) ?? { '': undefined });
  const wrong = entries.find(([, digest]) => typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest));
  if (wrong === undefined) return new Map(entries as [string, string][]);
  const what = wrong[0] === '' ? 'is not a table in JSON' : `has no SHA-256 for ${shown(wrong[0])}`;
  throw usageError(`${path} ${what}; get the file back from where the tasks are from`);
}

/**
 * The recorded digests of a file, by the names that it may have.
 * @returns empty where none is recorded
 */
export function pinsOf(pins: Pins, file: ReleaseFile): { readonly name: string; readonly sha256: string }[] {
  return file.names.flatMap((name) => {
    const sha256 = pins.get(releasePath(file, name));
    return sha256 === undefined ? [] : [{ name, sha256 }];
  });
}

/**
 * The refusal of a file that nothing is recorded of: no program may be embedded that anybody could have put there.
 * @param reason why nothing else tells what it has to be
 */
export function unpinned({ baseUrl }: ReleaseConfig, file: ReleaseFile, reason = ''): TaskError {
  const url = `${baseUrl}/${releasePath(file, file.names[0])}`;
  return usageError(`${file.what}: no SHA-256 of ${url} is recorded${reason}; record it with ${UPDATE_COMMAND}`);
}

export function writePins(path: string, pins: Pins): void {
  writeWhole(path, `${JSON.stringify(Object.fromEntries([...pins].sort()), null, 2)}\n`, 0o644);
}

/** What a refresh changes, as lines: `- path digest`, `+ path digest`. */
export function pinsDifference(before: Pins, after: Pins): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths.flatMap((path) => {
    const [old, now] = [before.get(path), after.get(path)];
    if (old === now) return [];
    return [...(old === undefined ? [] : [`- ${path} ${old}`]), ...(now === undefined ? [] : [`+ ${path} ${now}`])];
  });
}
