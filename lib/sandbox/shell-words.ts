// SPDX-License-Identifier: Apache-2.0

/** Words as a POSIX shell reads them; mise hands the words of a task with a `usage` over in one quoted variable. */

import { shown, usageError } from '../errors.ts';

/** A piece of a word: single-quoted, double-quoted, escaped or bare; blanks end a word. */
const PIECE = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\]+)|(\s+)/y;

/**
 * Splits a text into words, without expanding anything.
 * @param source the variable that the text comes from, for the error
 * @throws usageError for a quote that is not closed
 */
export function splitShellWords(source: string, text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  PIECE.lastIndex = 0;
  while (PIECE.lastIndex < text.length) {
    const piece = PIECE.exec(text);
    if (piece === null) throw usageError(`${source} is ${shown(text)}, which has a quote that is not closed; close it`);
    const [, single, double, escaped, bare, blank] = piece;
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    word = (word ?? '') + (single ?? double?.replaceAll(/\\([$`"\\\n])/g, unescaped) ?? unescaped('', escaped) ?? bare);
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** A backslash before a line break takes both away. */
function unescaped(_: string, character: string): string;
function unescaped(_: string, character: string | undefined): string | undefined;
function unescaped(_: string, character: string | undefined): string | undefined {
  return character === '\n' ? '' : character;
}
