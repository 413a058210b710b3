// SPDX-License-Identifier: Apache-2.0

/**
 * What a dry run could not probe, because a program or a daemon is missing. The plan has a mark in its place, never a
 * value of this machine, and the first line of the plan explains the marks. Without unknowns, what is missing is an error.
 */

import { describeError, MissingTool } from '../errors.ts';
import type { Terminal } from './terminal.ts';

export class Unknowns {
  readonly #reasons = new Set<string>();

  /** Whether everything was probed. */
  get isEmpty(): boolean {
    return this.#reasons.size === 0;
  }

  /** Takes note of why something could not be probed, for users. */
  note(reason: string): void {
    this.#reasons.add(reason);
  }

  /**
   * The text that stands for a value: `<architecture: docker not reachable>`.
   * @param why in a few words; the mark may become a part of a path
   */
  mark(what: string, why: string): string {
    return `<${what}: ${why}>`;
  }

  /** The line that explains the marks; none where everything was probed. */
  lines(): string[] {
    const all = [...this.#reasons];
    const reasons = all.filter((reason) => !all.some((other) => other !== reason && other.includes(reason)));
    if (reasons.length === 0) return [];
    return [`# <WHAT: WHY> stands for what could not be probed here: ${reasons.join('; ')}`];
  }
}

/** Whether a mark is in the text. */
export function isUnknown(text: string | undefined): boolean {
  return text !== undefined && /<[\w ]+: [^<>]+>/.test(text);
}

/** The context of a dry run: its result begins with what is unknown. */
export function asDryRun<C extends { readonly terminal: Terminal }>(ctx: C): C & { readonly unknowns: Unknowns } {
  const unknowns = new Unknowns();
  ctx.terminal.beginResult(() => unknowns.lines());
  return { ...ctx, unknowns };
}

/** Throws; a dry run takes note of what is missing, and goes on. */
export function refuseOrNote(unknowns: Unknowns | undefined, error: MissingTool): void {
  if (unknowns === undefined) throw error;
  unknowns.note(describeError(error));
}

/** Runs a search; `undefined` where a dry run misses what is searched for. */
export async function findOrNote<T>(unknowns: Unknowns | undefined, search: () => Promise<T>): Promise<T | undefined> {
  try {
    return await search();
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    refuseOrNote(unknowns, error);
    return undefined;
  }
}
