// SPDX-License-Identifier: Apache-2.0

/**
 * The user's options for the engine's build command. Most are passed on as they are. Some say what the task itself has
 * to know and every engine understands in its own way, and are taken out; some would decide what only variables may.
 */

import { shown, usageError } from '../errors.ts';

/** What was taken out, and the rest. Of an option given twice the last one counts, as in docker. */
export interface PassedOptions {
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
 * Reads the options.
 * @throws usageError for an option that cannot be passed on or has no value, and for an argument that belongs to none
 */
export function readOptions(args: readonly string[]): PassedOptions {
  const taken: Record<'builder' | 'dockerfile' | 'target', string | undefined> = {
    builder: undefined,
    dockerfile: undefined,
    target: undefined,
  };
  const tags: string[] = [];
  const rest: string[] = [];
  let previous = '';
  for (let at = 0; at < args.length; at++) {
    const argument = args[at] as string;
    const { name, value: attached } = splitOption(argument);
    verifyPassable(argument, name, previous);
    previous = argument;
    const what = Object.hasOwn(TAKEN, name) ? TAKEN[name] : undefined;
    if (what === undefined) {
      rest.push(argument);
      continue;
    }
    const value = attached ?? args[++at] ?? '';
    previous = '';
    if (value === '') throw usageError(`${name} needs a value: ${name} VALUE`);
    if (what === 'tag') tags.push(value);
    else taken[what] = value;
  }
  return { ...taken, tags, rest };
}

/** `--name=value`, `-xvalue` and `-x=value` in their parts. */
function splitOption(argument: string): { name: string; value: string | undefined } {
  const [, long, longValue] = /^(--[^=]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
  if (long !== undefined) return { name: long, value: longValue };
  const [, short, shortValue] = /^(-[a-zA-Z])=?([\s\S]+)?$/.exec(argument) ?? [];
  return { name: short ?? argument, value: shortValue };
}

function verifyPassable(argument: string, name: string, previous: string): void {
  const instead = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (instead !== undefined) throw usageError(`${shown(argument)} cannot be passed on; ${instead}`);
  const isOption = argument.startsWith('-') && argument !== '-';
  // Which options have a value only the engine knows: after one, an argument may be it.
  const isValue = /^-[^=]+$/.test(previous);
  if (!isOption && !isValue) {
    throw usageError(
      `${shown(argument)} is neither an option of the build command nor the value of one; write a value as --option=VALUE`,
    );
  }
}
