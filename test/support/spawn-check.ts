// SPDX-License-Identifier: Apache-2.0

/**
 * Only the runner starts programs. This reads the syntax tree of every file below `lib/` and
 * `tasks/` and names whatever else could start one: imports (static, dynamic, through require), and the calls
 * of `process` that replace it or reach Node's inside. Modules are allowed by name, not banned by
 * name, so a new one has to be looked at before it can be used.
 */

import { dirname, join } from 'node:path';
import { filesBelow, lineAt, type Node, readSource, visitSyntax } from './structure/source.ts';

/** The files that may, and what each may use. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'lib/build-env.ts': ['node:child_process', 'zx/core', 'execve', 'createRequire', 'node:module#createRequire'],
};

/** Modules that cannot start a program. */
const ALLOWED_MODULES = [
  ...[
    'crypto',
    'fs',
    'fs/promises',
    'http',
    'net',
    'os',
    'path',
    'readline/promises',
    'stream',
    'stream/consumers',
    'timers/promises',
    'url',
    'util',
    'zlib',
  ].map((name) => `node:${name}`),
  'fs-ext-extra-prebuilt',
  'minimist',
  'smol-toml',
  'tar',
];

/** Of these modules only the names given. */
const ALLOWED_NAMES: Readonly<Record<string, readonly string[]>> = {
  'node:module': ['enableCompileCache', 'getCompileCacheDir'],
};

/** Names that lead to a program by whatever object they are reached. */
const BANNED_NAMES = [
  'execve',
  'getBuiltinModule',
  '_linkedBinding',
  'binding',
  'createRequire',
  'require',
  'eval',
  'mainModule',
  'dlopen',
  'Function',
];

const ADVICE =
  'only lib/build-env.ts starts programs; use run, read, probe, cargo, interactive, start, beside or exec of its Runner';

/** Looks through `lib/` and `tasks/` below a directory; returns `path:line: what is banned; what to use`. */
export function checkSpawns(root: string): string[] {
  return filesBelow(root).flatMap((path) => checkFile(path, readSource(root, path)));
}

/** Looks through one file. */
export function checkFile(path: string, text: string): string[] {
  if (!path.endsWith('.ts')) return [`${path}:1: only TypeScript can be checked here; ${ADVICE}`];
  const allowed = EXCEPTIONS[path] ?? [];
  const found: string[] = [];
  const ban = (node: Node, what: string, name: string) => {
    if (allowed.includes(name)) return;
    found.push(`${path}:${lineAt(text, node.start)}: ${what} is banned; ${ADVICE}`);
  };
  const source: Source = { path, ban };
  visitSyntax(text, (node, parent) => judge(node, parent, source));
  return found;
}

/** The file that is looked through, and what to say about it. */
interface Source {
  readonly path: string;
  readonly ban: (node: Node, what: string, name: string) => void;
}

function judge(node: Node, parent: Node | undefined, source: Source): void {
  if (
    node.type === 'ImportDeclaration' ||
    node.type === 'ExportNamedDeclaration' ||
    node.type === 'ExportAllDeclaration'
  ) {
    judgeImport(node, source);
  } else if (node.type === 'ImportExpression') {
    const { value } = node.source as Node;
    if (typeof value !== 'string') source.ban(node, 'import() of a computed path', 'import()');
    else judgeModule(node, value, source);
  } else if (node.type === 'Identifier' && !isTypeOnly(parent)) {
    judgeName(node, parent, source);
  } else if (
    node.type === 'Literal' &&
    typeof node.value === 'string' &&
    BANNED_NAMES.includes(node.value) &&
    isKey(node, parent)
  ) {
    source.ban(node, `'${node.value}'`, node.value);
  }
}

function judgeImport(node: Node, source: Source): void {
  const from = node.source as Node | null | undefined;
  if (from === null || from === undefined || node.importKind === 'type' || node.exportKind === 'type') return;
  const module = String(from.value);
  const names = Object.hasOwn(ALLOWED_NAMES, module) ? ALLOWED_NAMES[module] : undefined;
  if (names === undefined) {
    judgeModule(node, module, source);
    return;
  }
  for (const specifier of node.specifiers as Node[]) {
    const name = String((specifier.imported as Node | undefined)?.name ?? specifier.type);
    if (!names.includes(name)) source.ban(node, `${name} of '${module}'`, `${module}#${name}`);
  }
}

/** A relative import stays inside the directories that are looked through: `../node_modules/zx/…` is zx all the same. */
function judgeModule(node: Node, module: string, { path, ban }: Source): void {
  const target = /^\.\.?\//.test(module) ? join(dirname(path), module) : undefined;
  const isAllowed = target === undefined ? ALLOWED_MODULES.includes(module) : /^(lib|tasks)\//.test(target);
  if (!isAllowed) ban(node, `import of '${module}'`, module);
}

function judgeName(node: Node, parent: Node | undefined, { ban }: Source): void {
  const name = String(node.name);
  if (BANNED_NAMES.includes(name)) ban(node, `'${name}'`, name);
  // The constructor of a function makes functions of text.
  if (name === 'constructor' && parent?.type === 'MemberExpression') ban(node, "'constructor'", name);
  // `process` may be named only to reach one of its members by name.
  if (['process', 'globalThis', 'global'].includes(name)) {
    const isPlainAccess = parent?.type === 'MemberExpression' && parent.object === node && parent.computed !== true;
    if (!isPlainAccess && !isKey(node, parent)) ban(node, `'${name}' as a value`, name);
    if (isPlainAccess && name !== 'process') ban(node, `'${name}'`, name);
  }
}

/** Whether a node is the written name of a property, as in `{ process: 1 }` or `x['execve']`. */
function isKey(node: Node, parent: Node | undefined): boolean {
  if (parent?.type === 'Property' || parent?.type === 'PropertyDefinition') return parent.key === node;
  return parent?.type === 'MemberExpression' && parent.property === node;
}

function isTypeOnly(parent: Node | undefined): boolean {
  return (
    parent !== undefined &&
    (/^TS(?!As|Non|Satisfies|Instantiation)/.test(parent.type) || parent.type === 'ImportSpecifier')
  );
}
