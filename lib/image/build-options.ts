// SPDX-License-Identifier: Apache-2.0

/**
 * The user's words for the engine's build command. Most are passed on as they are. Some say what the task itself has
 * to know and every engine understands in its own way, and are taken out; some would decide what only variables may.
 */

import { shown, usageError } from '../errors.ts';

/** What was taken out, and the rest. Of an option given twice the last one counts, as in docker. */
export interface ExtraWords {
  readonly builder: string | undefined;
  readonly dockerfile: string | undefined;
  readonly target: string | undefined;
  /** Whole references beside the task's own. */
  readonly tags: readonly string[];
  readonly rest: readonly string[];
}

const OUTPUT = 'where the image goes is said by DOCKER_PUSH or DOCKER_OUTPUT';
const PLATFORM = 'the platforms, which a binary is staged for, are said by DOCKER_PLATFORM';

/** Options that are refused, and what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  '--push': OUTPUT,
  '--load': OUTPUT,
  '--output': OUTPUT,
  '-o': OUTPUT,
  '--metadata-file': OUTPUT,
  '--iidfile': OUTPUT,
  '--platform': PLATFORM,
};

/** Options that are taken out; each has a value. */
const TAKEN: Readonly<Record<string, 'builder' | 'dockerfile' | 'target' | 'tag'>> = {
  '--builder': 'builder',
  '--file': 'dockerfile',
  '-f': 'dockerfile',
  '--target': 'target',
  '--tag': 'tag',
  '-t': 'tag',
};

/**
 * Reads the words.
 *
 * @throws usageError for a word that cannot be passed on, an option without its value, and a word that is no option's
 */
export function readExtra(words: readonly string[]): ExtraWords {
  const taken: Record<'builder' | 'dockerfile' | 'target', string | undefined> = {
    builder: undefined,
    dockerfile: undefined,
    target: undefined,
  };
  const tags: string[] = [];
  const rest: string[] = [];
  let previous = '';
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const { name, value: attached } = splitOption(word);
    verifyPassable(word, name, previous);
    previous = word;
    const what = Object.hasOwn(TAKEN, name) ? TAKEN[name] : undefined;
    if (what === undefined) {
      rest.push(word);
      continue;
    }
    const value = attached ?? words[++at] ?? '';
    previous = '';
    if (value === '') throw usageError(`${name} needs a value: ${name} VALUE`);
    if (what === 'tag') tags.push(value);
    else taken[what] = value;
  }
  return { ...taken, tags, rest };
}

/**
 * Refuses words that would decide where the image goes or for which platforms it is, and words that belong to no
 * option, which would become a second build context.
 *
 * @throws usageError naming the word
 */
export function verifyExtra(words: readonly string[]): void {
  readExtra(words);
}

/** `--name=value`, `-xvalue` and `-x=value` in their parts. */
function splitOption(word: string): { name: string; value: string | undefined } {
  const [, long, longValue] = /^(--[^=]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
  if (long !== undefined) return { name: long, value: longValue };
  const [, short, shortValue] = /^(-[a-zA-Z])=?([\s\S]+)?$/.exec(word) ?? [];
  return { name: short ?? word, value: shortValue };
}

function verifyPassable(word: string, name: string, previous: string): void {
  const instead = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (instead !== undefined) throw usageError(`${shown(word)} cannot be passed on; ${instead}`);
  const isOption = word.startsWith('-') && word !== '-';
  // Which options have a value only the engine knows: behind one, a word may be it.
  const isValue = /^-[^=]+$/.test(previous);
  if (!isOption && !isValue) {
    throw usageError(
      `${shown(word)} is neither an option of the build command nor the value of one; write a value as --option=VALUE`,
    );
  }
}
