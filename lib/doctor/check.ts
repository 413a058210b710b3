// SPDX-License-Identifier: Apache-2.0

/** A check, and the row of the table that it gives: what the preflight throws is the text of a bad row. */

import type { RunnerContext } from '../build-env.ts';
import { describeError, InterruptedError, machineErrorText, oneLine, TaskError } from '../errors.ts';
import type { selectDriver } from '../gateway/select-driver.ts';
import type { Host, Machine } from '../host.ts';
import type { DoctorTask } from '../product.ts';

/** What checks are given: a terminal that shows nothing, and a runner that starts each probe once. */
export interface Doctor {
  readonly ctx: RunnerContext;
  readonly host: Host;
  readonly machine: Machine;
  /** The checkout. */
  readonly root: string;
  /** Those that decide. */
  readonly tasks: readonly DoctorTask[];
  /** For `gateway`. */
  readonly selection: ReturnType<typeof selectDriver>;
}

/** What is found; a note is worth knowing, and nothing is wrong. */
export type Finding = string | { readonly note: string };

/** The tasks that cannot run where it throws; with none of them, something is wrong that hinders nothing. */
export type Check = readonly [name: string, blocks: readonly string[], look: () => Finding | Promise<Finding>];

export interface Row {
  readonly group: string;
  readonly name: string;
  readonly status: 'ok' | 'note' | 'bad';
  readonly text: string;
  /** The tasks that cannot run because of it. */
  readonly blocks: readonly string[];
}

/**
 * Runs the checks of a group side by side.
 * @param wanted the tasks that matter: what hinders only others is a note
 */
export function lookAt(group: string, checks: readonly Check[], wanted: Promise<readonly string[]>): Promise<Row[]> {
  const rowOf = async ([name, blocks, look]: Check): Promise<Row> => {
    try {
      const found = await look();
      const [status, text] = typeof found === 'string' ? (['ok', found] as const) : (['note', found.note] as const);
      return { group, name, status, text: oneLine(text), blocks: [] };
    } catch (error) {
      const [text, matters] = [problemText(error), await wanted];
      const isBad = blocks.length === 0 || blocks.some((task) => matters.includes(task));
      return { group, name, status: isBad ? 'bad' : 'note', text, blocks };
    }
  };
  return Promise.all(checks.map(rowOf));
}

/** What the user or the machine did wrong; a signal and a bug of ours are thrown on. */
export function problemText(error: unknown): string {
  const isProblem = error instanceof TaskError || machineErrorText(error) !== undefined;
  if (!isProblem || error instanceof InterruptedError) throw error;
  return describeError(error);
}
