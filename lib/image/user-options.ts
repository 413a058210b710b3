// SPDX-License-Identifier: Apache-2.0

/**
 * The user's options for the engine's build command. Most are passed on as they are; those that the task itself has to
 * know are taken out, and those that only variables may decide are refused.
 */

import { shown, usageError } from '../errors.ts';

/** What was taken out, and the rest. Of an option given twice the last one counts, as in docker. */
export type PassedOptions = ReturnType<typeof readOptions>;

const DESTINATION = ['--push', '--load', '--output', '-o', '--metadata-file', '--iidfile'];
/** Options that are taken out; each has a value. */
const TAKEN = new Map([
  ['--builder', 'builder'],
  ['--file', 'dockerfile'],
  ['-f', 'dockerfile'],
  ['--target', 'target'],
  ['--tag', 'tag'],
  ['-t', 'tag'],
] as const);

/** @throws usageError for an option that cannot be passed on or has no value, and for an argument of none */
export function readOptions(args: readonly string[]) {
  type Taken = Record<'builder' | 'dockerfile' | 'target' | 'tag', string[]>;
  const taken: Taken = { builder: [], dockerfile: [], target: [], tag: [] };
  const rest: string[] = [];
  let previous = '';
  for (let at = 0; at < args.length; at++) {
    const argument = args[at] as string;
    // `--name=value`, `-xvalue` and `-x=value` in their parts.
    const pattern = /^(?<long>--[^=]+)(?:=(?<longValue>[\s\S]*))?$|^(?<short>-[a-zA-Z])=?(?<shortValue>[\s\S]+)?$/;
    const { long, longValue, short, shortValue } = pattern.exec(argument)?.groups ?? {};
    const name = long ?? short ?? argument;
    verifyPassable(argument, name, previous);
    const what = TAKEN.get(name as '--builder');
    previous = what === undefined ? argument : '';
    if (what === undefined) {
      rest.push(argument);
      continue;
    }
    const value = longValue ?? shortValue ?? args[++at] ?? '';
    if (value === '') throw usageError(`${name} needs a value: ${name} VALUE`);
    taken[what].push(value);
  }
  const { builder, dockerfile, tag, target } = taken;
  return { builder: builder.at(-1), dockerfile: dockerfile.at(-1), target: target.at(-1), tags: tag, rest };
}

function verifyPassable(argument: string, name: string, previous: string): void {
  const refused = (instead: string) => usageError(`${shown(argument)} cannot be passed on; ${instead}`);
  if (DESTINATION.includes(name)) throw refused('where the image goes is said by DOCKER_PUSH or DOCKER_OUTPUT');
  if (name === '--platform') {
    throw refused('the platforms, which a binary is staged for, are said by DOCKER_PLATFORM');
  }
  const isOption = argument.startsWith('-') && argument !== '-';
  // Which options have a value only the engine knows: after one, an argument may be it.
  if (isOption || /^-[^=]+$/.test(previous)) return;
  const said = `${shown(argument)} is neither an option of the build command nor the value of one`;
  throw usageError(`${said}; write a value as --option=VALUE`);
}
