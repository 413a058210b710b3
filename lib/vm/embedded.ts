// SPDX-License-Identifier: Apache-2.0

/**
 * Whether a VM driver has the runtime in it. Its build script takes an empty stub for a file that is missing, and only
 * warns; and a cargo run of somebody else may have put other files where it embeds them from.
 */

import { join } from 'node:path';
import { failure } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { DRIVER } from '../product.ts';
import { compareWithRecord } from './runtime/record.ts';
import { BUNDLE_FILE, runtimeFiles, type VmPlatform } from './runtime-files.ts';

/** As much of a file as is searched for before all of it is compared: the mark of a zstd file. */
const LEAD_BYTES = 4;

/** @throws failure naming what of the runtime and the supervisor a driver does not have in it */
export function verifyEmbedded(driver: string, directory: string, platform: VmPlatform): void {
  const absent = notEmbedded(driver, directory, platform);
  if (absent.length === 0) return;
  throw failure(
    `${driver} does not have ${absent.join(', ')} of ${directory} in it; another cargo run may have built it ` +
      `without them: run cargo clean -p ${DRIVER.package}, and this again`,
  );
}

/** What of the runtime and the supervisor a driver does not have in it, or has with other content than was verified. */
export function notEmbedded(driver: string, directory: string, platform: VmPlatform): string[] {
  const program = contentOf(driver);
  const { changed } = compareWithRecord(directory);
  // All files begin in the same way, so the driver is searched through once.
  const places = new Map<string, number[]>();
  const placesOf = (lead: Buffer) => {
    const key = lead.toString('hex');
    const found = places.get(key) ?? offsetsOf(program, lead);
    places.set(key, found);
    return found;
  };
  const isIn = (content: Buffer) =>
    content.length >= LEAD_BYTES &&
    placesOf(content.subarray(0, LEAD_BYTES)).some((at) => program.subarray(at, at + content.length).equals(content));
  return [...runtimeFiles(platform), BUNDLE_FILE].filter(
    (name) => changed.includes(name) || !isIn(contentOf(join(directory, name))),
  );
}

function offsetsOf(whole: Buffer, lead: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = whole.indexOf(lead); at >= 0; at = whole.indexOf(lead, at + 1)) offsets.push(at);
  return offsets;
}
