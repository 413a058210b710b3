// SPDX-License-Identifier: Apache-2.0

/** The check of the length of functions. */

import { filesBelow, lineAt, type Node, readSource, visitSyntax } from './source.ts';

const MOST_LINES = 50;
const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'];

/** Functions with a block body that are too long, from their first line to the closing brace; inner ones as well. */
export function checkFunctions(root: string): string[] {
  return filesBelow(root)
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => longFunctions(path, readSource(root, path)));
}

function longFunctions(path: string, text: string): string[] {
  const found: string[] = [];
  visitSyntax(text, (node, parent) => {
    if (!FUNCTIONS.includes(node.type) || (node.body as Node | null)?.type !== 'BlockStatement') return;
    const first = lineAt(text, node.start);
    const lines = lineAt(text, node.end) - first + 1;
    if (lines <= MOST_LINES) return;
    const name = nameOf(node) ?? nameOf(parent) ?? 'a function without a name';
    found.push(`${path}:${first}: ${name} has ${lines} lines, at most ${MOST_LINES} are allowed; divide it`);
  });
  return found;
}

/** The name of a function, or of the method or variable that it is the value of. */
function nameOf(node: Node | undefined): string | undefined {
  const name = ((node?.id ?? node?.key) as Node | null | undefined)?.name;
  return typeof name === 'string' ? name : undefined;
}
