// SPDX-License-Identifier: Apache-2.0

/** What a dry run could not probe: a mark is in its place, and the plan's first line explains it. Else it is an error. */

import { describeError, MissingTool, type TaskError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

export class Unknowns {
  readonly #reasons = new Set<string>();

  get isEmpty(): boolean {
    return this.#reasons.size === 0;
  }

  note(reason: string): void {
    this.#reasons.add(reason);
  }

  lines(): string[] {
    const reasons = [...this.#reasons].join('; ');
    return this.isEmpty ? [] : [`# <WHAT: WHY> stands for what could not be probed here: ${reasons}`];
  }
}

/** The text that stands for a value: `<architecture: docker not reachable>`; it may become a part of a path. */
export function mark(what: string, why: string): string {
  return `<${what}: ${why}>`;
}

export function isUnknown(text = ''): boolean {
  return /<[\w ]+: [^<>]+>/.test(text);
}

/** The context of a dry run: its result begins with what is unknown. */
export function asDryRun<C extends { readonly terminal: Terminal }>(ctx: C): C & { readonly unknowns: Unknowns } {
  const unknowns = new Unknowns();
  ctx.terminal.beginResult(() => unknowns.lines());
  return { ...ctx, unknowns };
}

/** Throws; a dry run takes note, and goes on. */
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
