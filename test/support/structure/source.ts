// SPDX-License-Identifier: Apache-2.0

/** What the structure checks read: the files of a directory, their syntax trees, and what they import. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
// The parser of vitest's own bundler: it reads TypeScript and is installed wherever the tests are.
import { parseAst } from 'rolldown/parseAst';

/** Where the source of the suite is. */
const SOURCE_DIRECTORIES = ['lib', 'tasks'];

/** A node of a syntax tree. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** An import of one file: static, of types alone, or deferred (`import()`). */
export interface Import {
  readonly from: string;
  readonly line: number;
  readonly kind: 'value' | 'type' | 'deferred';
  /** As it is written. */
  readonly module: string;
  /** Where a relative import leads to, from the root. */
  readonly target: string | undefined;
}

/** All files below directories of `root`, sorted, as paths from it. */
export function filesBelow(root: string, directories: readonly string[] = SOURCE_DIRECTORIES): string[] {
  return directories
    .flatMap((directory) => readdirSync(join(root, directory), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** The text of a file. */
export function readSource(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The line of a position in a text, from 1. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

/** Visits every node of a TypeScript text, parents first. */
export function visitSyntax(text: string, visit: (node: Node, parent: Node | undefined) => void): void {
  walk(parseAst(text, { lang: 'ts' }) as unknown as Node, undefined, visit);
}

function walk(node: Node, parent: Node | undefined, visit: (node: Node, parent: Node | undefined) => void): void {
  visit(node, parent);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child === 'object' && child !== null && typeof (child as Node).type === 'string') {
        walk(child as Node, node, visit);
      }
    }
  }
}

/** Every import of the TypeScript files of the suite. One whose path is computed is left to the spawn check. */
export function importsOf(root: string): Import[] {
  return filesBelow(root)
    .filter((path) => path.endsWith('.ts'))
    .flatMap((from) => {
      const text = readSource(root, from);
      const found: Import[] = [];
      visitSyntax(text, (node) => {
        const kind = kindOf(node);
        const module = (node.source as Node | null | undefined)?.value;
        if (kind === undefined || typeof module !== 'string') return;
        const target = /^\.\.?\//.test(module) ? join(dirname(from), module) : undefined;
        found.push({ from, line: lineAt(text, node.start), kind, module, target });
      });
      return found;
    });
}

function kindOf(node: Node): Import['kind'] | undefined {
  switch (node.type) {
    case 'ImportExpression':
      return 'deferred';
    case 'TSImportType':
      return 'type';
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return isTypeOnly(node) ? 'type' : 'value';
    default:
      return undefined;
  }
}

/** `import type { A }`, and `import { type A }` alike: neither takes a value from the other file. */
function isTypeOnly(node: Node): boolean {
  if (node.importKind === 'type' || node.exportKind === 'type') return true;
  const specifiers = (node.specifiers ?? []) as readonly Node[];
  return specifiers.length > 0 && specifiers.every((one) => one.importKind === 'type' || one.exportKind === 'type');
}
