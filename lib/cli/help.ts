// SPDX-License-Identifier: Apache-2.0

/** `--help`, written from the same declaration that the arguments are parsed with. */

import { type Declaration, positionalUsage } from './args.ts';
import { VARIABLES, type Variable, type VariableName } from './variables.ts';

const LINE_WIDTH = 100;
const TERM_WIDTH_MAX = 34;

/** The whole help text of a task, ending in a line break. */
export function helpText(declaration: Declaration): string {
  const { passThrough } = declaration;
  const positionals = Object.entries(declaration.positionals ?? {}).map(
    ([name, spec]) => [positionalUsage(name, spec), withChoices(spec.help, spec.choices)] as const,
  );
  const passed = passThrough === undefined ? [] : [[`[${passThrough.name}]...`, passThrough.help] as const];
  const terms = [...positionals, ...passed];
  const usage = [declaration.name, '[options]', ...terms.map(([term]) => term)].join(' ');
  const flags = Object.entries(declaration.flags ?? {}).map(
    ([name, spec]) =>
      [
        spec.value === undefined ? `--${name}` : `--${name} ${spec.value}`,
        withChoices(spec.help, spec.choices),
      ] as const,
  );
  const variables = (declaration.variables ?? []).map((name) => [name, variableHelp(name)] as const);
  const blocks = [
    `${wrap(declaration.summary, LINE_WIDTH).join('\n')}\n\nUsage: ${usage}\n`,
    block('Arguments', terms),
    block('Options', [...flags, ['-h, --help', 'Show this help.']]),
    block('Environment', variables),
  ];
  return blocks.filter((text) => text !== '').join('\n');
}

function withChoices(help: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? help : `${help} One of: ${choices.join(', ')}.`;
}

/** The default of a variable for users; `undefined` where there is none. */
export function defaultText({ default: value, otherwise }: Variable): string | undefined {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return value === undefined ? otherwise : String(value);
}

/** The meaning of a variable and its values, as a phrase. */
export function meaningText({ meaning, choices }: Variable): string {
  return choices === undefined ? meaning : `${meaning} (${choices.join(', ')})`;
}

function variableHelp(name: VariableName): string {
  const variable: Variable = VARIABLES[name];
  const text = meaningText(variable);
  const standard = defaultText(variable);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${standard === undefined ? '' : ` (default: ${standard})`}.`;
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
