// SPDX-License-Identifier: Apache-2.0

/** `--help`, written from the same declaration that the arguments are parsed with. */

import { type Declaration, type FlagSpec, positionalUsage } from './args.ts';
import { VARIABLES, type Variable } from './variables.ts';

const LINE_WIDTH = 100;
const TERM_WIDTH_MAX = 34;

const STATUSES =
  'Exit status: 0 done; 1 failed; 2 wrong usage or something missing, and nothing was started; 128+n ended by signal ' +
  'n; otherwise that of the program that failed.';

type Row = readonly [term: string, text: string];

/** The whole help text of a task, ending in a line break. */
export function helpText(declaration: Declaration): string {
  const { name, summary, positionals, passThrough, flags, variables, examples = [] } = declaration;
  const terms = Object.entries(positionals ?? {}).map(
    ([key, spec]): Row => [positionalUsage(key, spec), withChoices(spec)],
  );
  if (passThrough !== undefined) terms.push([`[${passThrough.name}]...`, passThrough.help]);
  const options = Object.entries(flags ?? {}).map(
    ([key, spec]): Row => [spec.value === undefined ? `--${key}` : `--${key} ${spec.value}`, withChoices(spec)],
  );
  const environment = (variables ?? []).map((key): Row => [key, variableHelp(VARIABLES[key])]);
  const usage = [name, '[options]', ...terms.map(([term]) => term)].join(' ');
  const blocks = [
    `${wrap(summary, LINE_WIDTH).join('\n')}\n\nUsage: ${usage}\n`,
    block('Arguments', terms),
    block('Options', [...options, ['-h, --help', 'Show this help.']]),
    block('Environment', environment),
    block('Examples', examples),
    `${wrap(STATUSES, LINE_WIDTH).join('\n')}\n`,
  ];
  return blocks.filter((text) => text !== '').join('\n');
}

function withChoices({ help, choices }: Pick<FlagSpec, 'help' | 'choices'>): string {
  return choices === undefined ? help : `${help} One of: ${choices.join(', ')}.`;
}

/** The default of a variable for users. */
export function defaultText({ default: value, otherwise }: Variable): string | undefined {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return value === undefined ? otherwise : String(value);
}

export function meaningText({ meaning, choices }: Variable): string {
  return choices === undefined ? meaning : `${meaning} (${choices.join(', ')})`;
}

function variableHelp(variable: Variable): string {
  const text = meaningText(variable);
  const value = defaultText(variable);
  const rest = value?.startsWith('required') ? ` (${value})` : value === undefined ? '' : ` (default: ${value})`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${rest}.`;
}

function block(title: string, rows: readonly Row[]): string {
  if (rows.length === 0) return '';
  const width = Math.min(TERM_WIDTH_MAX, Math.max(...rows.map(([term]) => term.length)));
  const indent = ' '.repeat(width + 4);
  const lines = rows.map(([term, text]) => {
    const head = term.length > width ? `  ${term}\n${indent}` : `  ${term.padEnd(width)}  `;
    return `${head}${wrap(text, LINE_WIDTH - indent.length).join(`\n${indent}`)}\n`;
  });
  return `${title}:\n${lines.join('')}`;
}

/** The lines of a text, broken at blanks; what is longer than `width` without one has a line of its own. */
export function wrap(text: string, width: number): string[] {
  return text.match(new RegExp(`(?! )(?:.{1,${width}}(?= |$)|\\S+)`, 'g')) ?? [];
}
