// SPDX-License-Identifier: Apache-2.0

/** `--help`, written from the same declaration that the arguments are parsed with. */

import { type Declaration, wordUsage } from './args.ts';

const LINE_WIDTH = 100;
const TERM_WIDTH_MAX = 34;

/** The whole help text of a task, ending in a line break. */
export function helpText(declaration: Declaration): string {
  const words = declaration.words ?? [];
  const { passedOn } = declaration;
  const behind = passedOn === undefined ? [] : [`[${passedOn.name}]...`];
  const usage = [declaration.name, '[options]', ...words.map(wordUsage), ...behind].join(' ');
  const flags: [string, string][] = Object.entries(declaration.flags ?? {}).map(([name, spec]) => [
    spec.value === undefined ? `--${name}` : `--${name} ${spec.value}`,
    withChoices(spec.help, spec.choices),
  ]);
  const blocks = [
    `${wrap(declaration.summary, LINE_WIDTH).join('\n')}\n\nUsage: ${usage}\n`,
    block('Arguments', [
      ...words.map((word) => [wordUsage(word), withChoices(word.help, word.choices)] as const),
      ...behind.map((name) => [name, passedOn?.help ?? ''] as const),
    ]),
    block('Options', [...flags, ['-h, --help', 'Show this help.']]),
    block('Environment', Object.entries(declaration.variables ?? {})),
  ];
  return blocks.filter((text) => text !== '').join('\n');
}

function withChoices(help: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? help : `${help} One of: ${choices.join(', ')}.`;
}

function block(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return '';
  const width = Math.min(TERM_WIDTH_MAX, Math.max(...rows.map(([term]) => term.length)));
  return `${title}:\n${rows.map(([term, text]) => row(term, text, width)).join('')}`;
}

function row(term: string, text: string, width: number): string {
  const indent = ' '.repeat(width + 4);
  const lines = wrap(text, LINE_WIDTH - indent.length);
  const head = term.length > width ? `  ${term}\n${indent}` : `  ${term.padEnd(width)}  `;
  return `${head}${lines.join(`\n${indent}`)}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1] as string;
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
