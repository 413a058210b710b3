// SPDX-License-Identifier: Apache-2.0

/**
 * What a dry run could not probe, because a program or a daemon is missing. A mark is in its place, never a value of this
 * machine, and the first line of the plan explains the marks. In any other run, what is missing is an error.
 */

import { describeError, MissingTool, type TaskError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

export class Unknowns {
  readonly #reasons = new Set<string>();

  get isEmpty(): boolean {
    return this.#reasons.size === 0;
  }

  /** Takes note of why something could not be probed, for users. */
  note(reason: string): void {
    this.#reasons.add(reason);
  }

  /** The line that explains the marks; none where everything was probed. */
  lines(): string[] {
    const all = [...this.#reasons];
    const reasons = all.filter((reason) => !all.some((other) => other !== reason && other.includes(reason)));
    return this.isEmpty ? [] : [`# <WHAT: WHY> stands for what could not be probed here: ${reasons.join('; ')}`];
  }
}

/**
 * The text that stands for a value: `<architecture: docker not reachable>`.
 * @param why in a few words; the mark may become a part of a path
 */
export function mark(what: string, why: string): string {
  return `<${what}: ${why}>`;
}

/** Whether a mark is in the text. */
export function isUnknown(text = ''): boolean {
  return /<[\w ]+: [^<>]+>/.test(text);
}

/** The context of a dry run: its result begins with what is unknown. */
export function asDryRun<C extends { readonly terminal: Terminal }>(ctx: C): C & { readonly unknowns: Unknowns } {
  const unknowns = new Unknowns();
  ctx.terminal.beginResult(() => unknowns.lines());
  return { ...ctx, unknowns };
}

/** Throws; a dry run takes note of what is missing, and goes on. */
export function refuseOrNote(unknowns: Unknowns | undefined, error: TaskError): void {
  if (unknowns === undefined) throw error;
  unknowns.note(describeError(error));
}

/** The result of a search, or in a dry run that misses something what stands for it. */
export async function findOrMark<T, M = undefined>(
  unknowns: Unknowns | undefined,
  search: () => Promise<T>,
  marked?: M,
): Promise<T | M> {
  try {
    return await search();
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    refuseOrNote(unknowns, error);
    return marked as M;
  }
}
