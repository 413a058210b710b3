// SPDX-License-Identifier: Apache-2.0

/** Hostile text for properties: control characters, quotes, line separators, other scripts, emoji. */

import fc from 'fast-check';

const range = (min: number, max: number) => fc.integer({ min, max });

/** A character; fast-check's own unit for all of Unicode takes half a second to set up. */
const character = fc
  .oneof(
    range(0, 0x9f),
    range(0, 0x9f),
    range(0xa0, 0x24f),
    range(0x2000, 0x20ff),
    range(0x1f600, 0x1f64f),
    range(0xe000, 0x10ffff),
  )
  .map((code) => String.fromCodePoint(code));

/** A text of any characters, NUL included. */
export const anyText = (constraints: { minLength?: number; maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.string({ unit: character, ...constraints });

/** A text that a process can be given as an argument: without NUL. */
export const anyWord = (maxLength: number): fc.Arbitrary<string> =>
  anyText({ maxLength }).map((text) => text.replaceAll('\0', ''));
