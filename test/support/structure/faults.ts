// SPDX-License-Identifier: Apache-2.0

/** The check of the fault codes in the names of tests against their legend. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, lineAt, type Node, readSource, visitSyntax } from './source.ts';

const LEGEND = 'test/faults.md';
/** `C9`, `F15b`, `DPM-1`. */
const CODE = /\b(?:[A-Z][1-9]\d?[a-d]?|[A-Z][A-Z\d]{0,2}-[1-9]\d?)\b/g;
/** What looks like one. */
const NOT_CODES = ['UTF-8'];
/** The beginning of a name that stands in a table of tests: `'C9, H7: …'`. */
const CITATION = /^['"`][A-Z][A-Z\d, a-d-]*: /;

/** Codes without a legend, legends without a test, and codes that have two. */
export function checkFaults(root: string): string[] {
  const legends = existsSync(join(root, LEGEND)) ? legendsOf(readSource(root, LEGEND)) : [];
  const known = legends.map(({ code }) => code);
  const cited = filesBelow(root, ['test'])
    .filter((path) => path.endsWith('.test.ts') && !path.startsWith('test/fixtures/'))
    .flatMap((path) => codesOf(readSource(root, path)).map((one) => ({ ...one, path })));
  const used = new Set(cited.map(({ code }) => code));
  return [
    ...cited
      .filter(({ code }) => !known.includes(code))
      .map(({ path, line, code }) => `${path}:${line}: ${code} has no legend; add its line to ${LEGEND}`),
    ...legends
      .filter(({ code }) => !used.has(code))
      .map(({ line, code }) => `${LEGEND}:${line}: no test name cites ${code}; remove its line`),
    ...legends
      .filter(({ code }, index) => known.indexOf(code) < index)
      .map(({ line, code }) => `${LEGEND}:${line}: ${code} has a legend already; keep one`),
  ];
}

interface Mention {
  readonly code: string;
  readonly line: number;
}

/** The rows of the legend's table. */
function legendsOf(text: string): Mention[] {
  return text.split('\n').flatMap((row, index) => {
    const first = /^\| ([^ |]+) \|/.exec(row)?.[1];
    return (first?.match(CODE) ?? []).map((code) => ({ code, line: index + 1 }));
  });
}

/** The codes in the names of tests, each with its line. */
function codesOf(text: string): Mention[] {
  const found: Mention[] = [];
  visitSyntax(text, (node, parent) => {
    if (node.type !== 'Literal' && node.type !== 'TemplateLiteral') return;
    const source = text.slice(node.start, node.end);
    const name = isTitle(node, parent) ? source : CITATION.exec(source)?.[0];
    for (const code of name?.match(CODE) ?? []) {
      if (!NOT_CODES.includes(code)) found.push({ code, line: lineAt(text, node.start) });
    }
  });
  return found;
}

/** Whether a text is the name in `test(…)`, `test.each(…)(…)`, `describe.skipIf(…)(…)`, or `testWithPodman(…)`. */
function isTitle(text: Node, parent: Node | undefined): boolean {
  if (parent?.type !== 'CallExpression' || (parent.arguments as readonly Node[])[0] !== text) return false;
  let called = parent;
  while (called.type === 'CallExpression' || called.type === 'MemberExpression') {
    called = (called.callee ?? called.object) as Node;
  }
  return /^(test|describe|it$)/.test(String(called.name));
}
