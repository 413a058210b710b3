// SPDX-License-Identifier: Apache-2.0

/** The table, or the same as one object. */

import { wrap } from '../cli/args.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { Row } from './check.ts';
import type { Verdict } from './verdicts.ts';

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
  const bad = [...rows.filter(({ status }) => status === 'bad'), ...rows.filter(({ status }) => status === 'note')];
  const nameOf = (problem: string) => {
    const saying = bad.filter(({ text }) => text === problem);
    return (saying.find(({ blocks }) => blocks.includes(task)) ?? saying[0])?.name;
  };
  const seen = problems.flatMap((problem) => nameOf(problem) ?? []);
  const see = seen.length === 0 ? [] : [`see ${seen.join(', ')}`];
  const text =
    [...see, ...problems.filter((problem) => nameOf(problem) === undefined)].join('; ') ||
    (isUp ? 'its gateway is up already' : 'can run');
  const status = problems.length > 0 ? 'bad' : isUp ? 'note' : 'ok';
  return { group: 'tasks', name: task, status, text, blocks: [] };
}

/** The object of `--json`, on one line. */
export function reportJson(isWell: boolean, rows: readonly Row[], verdicts: readonly Verdict[]): string {
  const tasks = verdicts.map((verdict) => ({ ...verdict, canRun: verdict.problems.length === 0 }));
  return JSON.stringify({ ok: isWell, rows: rows.map(({ blocks: _, expected: __, ...row }) => row), tasks });
}
