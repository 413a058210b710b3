// SPDX-License-Identifier: Apache-2.0

/** Arguments in one text, quoted for a POSIX shell: mise gives the arguments of a task with a `usage` so. */

import { shown, usageError } from '../errors.ts';

/** What is in single quotes, in double quotes, or after a backslash. */
const QUOTED = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g;
const ARGUMENT = new RegExp(`(?:${QUOTED.source}|[^\\s'"\\\\])+`, 'g');

/** Splits the text of a variable, without expanding anything. @throws usageError for a quote that is not closed */
export function splitArguments(source: string, text: string): string[] {
  if (text.replaceAll(ARGUMENT, '').trim() !== '') {
    throw usageError(`${source} is ${shown(text)}, which has a quote that is not closed; close it`);
  }
  // A backslash before a line break removes both.
  const unescaped = (_: string, character: string) => (character === '\n' ? '' : character);
  return (text.match(ARGUMENT) ?? []).map((argument) =>
    argument.replaceAll(
      QUOTED,
      (_, single?: string, double?: string, escaped = '') =>
        single ?? double?.replaceAll(/\\([$`"\\\n])/g, unescaped) ?? unescaped('', escaped),
    ),
  );
}
