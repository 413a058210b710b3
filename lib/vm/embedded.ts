// SPDX-License-Identifier: Apache-2.0

/**
 * Whether a VM driver has the runtime in it. Its build script takes an empty stub for a file that is missing, and only
 * warns; and a cargo run of somebody else may have put other files where it embeds them from.
 */

import { join } from 'node:path';
import { contentOf } from '../fs/paths.ts';
import { changedSince } from './runtime/record.ts';
import { BUNDLE_FILE, runtimeFiles, type VmPlatform } from './runtime-files.ts';

/** As much of a file as is searched for before all of it is compared. */
const LEAD_BYTES = 64;

/** What of the runtime and the supervisor a driver does not have in it, or has with other content than was verified. */
export function notEmbedded(driver: string, directory: string, platform: VmPlatform): string[] {
  const program = contentOf(driver);
  const changed = changedSince(directory);
  return [...runtimeFiles(platform), BUNDLE_FILE].filter(
    (name) => changed.includes(name) || !hasPart(program, contentOf(join(directory, name))),
  );
}

/** Whether a content stands somewhere in another one. */
export function hasPart(whole: Buffer, part: Buffer): boolean {
  const lead = part.subarray(0, LEAD_BYTES);
  for (let at = whole.indexOf(lead); at >= 0; at = whole.indexOf(lead, at + 1)) {
    if (whole.subarray(at, at + part.length).equals(part)) return true;
  }
  return false;
}
