// SPDX-License-Identifier: Apache-2.0

/** What a publish tells users: the plan of a dry run, the table of references, and how far a failed one came. */

import { describeError, EXIT, failure, TaskError } from '../errors.ts';
import type { Reading } from './engines/types.ts';
import type { PlannedReference } from './plan.ts';
import { isAt, type RegistryAnswer } from './registry.ts';

/** A reference as the registry has it now. */
export interface Row {
  readonly component: string;
  readonly reference: string;
  readonly digest: string;
  readonly platforms: readonly string[];
  readonly state: 'new' | 'moved' | 'unchanged';
}

const HEADING = ['component', 'reference', 'digest', 'platforms', 'state'];

/** The table, a line each, in columns. */
export function tableLines(rows: readonly Row[]): string[] {
  const cells = [
    HEADING,
    ...rows.map(({ component, reference, digest, platforms, state }) => [
      component,
      reference,
      digest,
      platforms.join(','),
      state,
    ]),
  ];
  const widths = HEADING.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** What became of a reference, from what it was and what it is. */
export function stateOf(before: RegistryAnswer | undefined, now: Reading): Row['state'] {
  if (before?.kind === 'absent') return 'new';
  return before?.kind === 'there' && isAt(before.reading, now) ? 'unchanged' : 'moved';
}

/** How far a publish has come. */
export class Progress {
  readonly #all: readonly PlannedReference[];
  readonly #moved = new Set<string>();
  #current: string | undefined;

  constructor(all: readonly PlannedReference[]) {
    this.#all = all;
  }

  /** Sets a reference by `body`. */
  async during(reference: PlannedReference, body: () => Promise<void>): Promise<void> {
    this.#current = reference.reference;
    await body();
    this.#moved.add(reference.reference);
    this.#current = undefined;
  }

  /** The error with what it means for the registry, and with the same status. */
  explain(error: unknown): unknown {
    if (!(error instanceof TaskError)) return error;
    const moved = [...this.#moved];
    const rest = this.#all
      .map(({ reference }) => reference)
      .filter((one) => one !== this.#current && !this.#moved.has(one));
    const parts = [
      describeError(error),
      moved.length === 0 ? 'no reference was set before that' : `set before that: ${moved.join(', ')}`,
      ...(this.#current === undefined ? [] : [`${this.#current} may have been set or not`]),
      ...(rest.length === 0 ? [] : [`as they were: ${rest.join(', ')}`]),
      'run it again to finish',
    ];
    return failure(parts.join('; '), error.exitCode === EXIT.usage ? EXIT.failed : error.exitCode, { cause: error });
  }
}
