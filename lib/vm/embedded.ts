// SPDX-License-Identifier: Apache-2.0

/**
 * Whether a VM driver has the runtime in it that was judged before it was built. Its build script takes an empty stub
 * for a file that is missing, and only warns; and whoever may write to the directory may have put other files there.
 */

import { failure } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { DRIVER } from '../product.ts';
import { filesBytes, sha256Of } from './runtime/record.ts';

/** As much of a file as is searched for before all of it is compared: the mark of a zstd file. */
const LEAD_BYTES = 4;

/**
 * Checks that a driver that was just built has in it what was judged before.
 * @throws failure saying what it does not have
 */
export function verifyEmbedded(driver: string, directory: string, wanted: Readonly<Record<string, string>>): void {
  const problem = embeddingProblem(driver, directory, wanted);
  if (problem === undefined) return;
  const cause = 'another cargo run may have built it, or another task have replaced the files';
  throw failure(`${problem}; ${cause}: run cargo clean -p ${DRIVER.package}, and this again`);
}

/**
 * Why a driver does not have the files of a directory in it, for users; `undefined` where it has them all.
 * @param wanted the SHA-256 of each file, by its name
 */
export function embeddingProblem(
  driver: string,
  directory: string,
  wanted: Readonly<Record<string, string>>,
): string | undefined {
  const files = Object.entries(wanted).map(([name, sha256]) => {
    const content = filesBytes(directory, name) ?? Buffer.alloc(0);
    return { name, content, isSame: sha256Of(content) === sha256 };
  });
  const replaced = files.filter(({ isSame }) => !isSame).map(({ name }) => name);
  if (replaced.length > 0) {
    return `${replaced.join(', ')} of ${directory} was replaced after it was looked at, so it is not known what ${driver} has in it`;
  }
  const program = contentOf(driver);
  const absent = files.filter(({ content }) => !isIn(program, content)).map(({ name }) => name);
  return absent.length === 0 ? undefined : `${driver} does not have ${absent.join(', ')} of ${directory} in it`;
}

/** A search for all of a content, without its mark first, would be twenty times slower. */
function isIn(program: Buffer, content: Buffer): boolean {
  const lead = content.subarray(0, LEAD_BYTES);
  for (let at = lead.length === 0 ? -1 : program.indexOf(lead); at >= 0; at = program.indexOf(lead, at + 1)) {
    if (program.subarray(at, at + content.length).equals(content)) return true;
  }
  return false;
}
