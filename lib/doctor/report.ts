// SPDX-License-Identifier: Apache-2.0

/** The table, or the same as one object. */

import { wrap } from '../cli/args.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { DoctorTask } from '../product.ts';
import type { Row } from './check.ts';

export interface Verdict {
  readonly task: DoctorTask;
  /** What is wrong, each once; empty where the task can run. */
  readonly problems: readonly string[];
  /** Whether its gateway is up already, which is all that is in the way of another one. */
  readonly isUp: boolean;
}

const WORDS = { ok: 'ok  ', note: 'note', bad: 'BAD ' } as const;
/** Texts are not broken into narrower columns. */
const TEXT_WIDTH_MIN = 20;

/** Prints the rows below their groups; what is longer than the terminal is wide is continued below. */
export function printTable(terminal: Terminal, rows: readonly Row[], verdicts: readonly Verdict[]): void {
  const all = [...rows, ...verdicts.map((verdict) => verdictRow(verdict, rows))];
  for (const [index, { group, name, status, text }] of all.entries()) {
    if (group !== all[index - 1]?.group) terminal.marked('heading', group);
    const nameWidth = Math.max(...all.filter((row) => row.group === group).map((row) => row.name.length));
    const indent = ' '.repeat(WORDS.ok.length + nameWidth + 3);
    const width = Math.max(TEXT_WIDTH_MIN, terminal.resultColumns - indent.length);
    const [first = '', ...rest] = linesOf(text, width);
    terminal.marked(status, WORDS[status], ` ${name.padEnd(nameWidth)}  ${first}`);
    terminal.result(...rest.map((line) => `${indent}${line}`));
  }
}

/** A command, which ends a text, is not broken, so that it can be pasted. */
function linesOf(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const [, before = text, command] = /^(.*\brun:) (.+)$/.exec(text) ?? [];
  return [...wrap(before, width), ...(command === undefined ? [] : [command])];
}

/** What another row says is not said again. */
function verdictRow({ isUp, problems, task }: Verdict, rows: readonly Row[]): Row {
  const seen = problems.map((problem) => rows.find(({ text }) => text === problem)?.name);
  const names = seen.filter((name) => name !== undefined);
  const see = names.length === 0 ? [] : [`see ${names.join(', ')}`];
  const others = problems.filter((_, index) => seen[index] === undefined);
  const text = [...see, ...others].join('; ') || (isUp ? 'its gateway is up already' : 'can run');
  const status = problems.length > 0 ? 'bad' : isUp ? 'note' : 'ok';
  return { group: 'tasks', name: task, status, text, blocks: [] };
}

/** The object of `--json`, on one line. */
export function reportJson(isWell: boolean, rows: readonly Row[], verdicts: readonly Verdict[]): string {
  const tasks = verdicts.map((verdict) => ({ ...verdict, canRun: verdict.problems.length === 0 }));
  return JSON.stringify({ ok: isWell, rows: rows.map(({ blocks: _, ...row }) => row), tasks });
}
