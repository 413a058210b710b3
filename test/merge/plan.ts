// SPDX-License-Identifier: Apache-2.0

/** The plan of a merge: from the texts of a checkout to those that it gets. */

import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { snapWrapper } from '../../lib/snap/wrapper.ts';
import { rewriteComments, rewriteProse, rewriteSkaffold, rewriteWorkflow } from './call-sites.ts';
import { type OwnTask, rewriteEntries } from './mise-entries.ts';
import { byAnyName, HOME, INSTALL, MAY_NAME, RENDERED, REPLACED, replacementIn } from './scripts.ts';

/** The tracked texts of a checkout that name a script, and the scripts themselves, by path. */
export type Texts = ReadonlyMap<string, string>;

export interface MergePlan {
  /** The new texts, by path, without those that stay as they are. */
  readonly written: Texts;
  readonly removed: readonly string[];
  /** Scripts that start ours, and the files that call them. */
  readonly shims: ReadonlyMap<string, readonly string[]>;
  /** Scripts that stay bash. */
  readonly kept: readonly string[];
}

/** @param own the tasks of the suite's mise.toml */
export function planMerge(texts: Texts, own: Readonly<Record<string, OwnTask>>): MergePlan {
  const scripts = REPLACED.filter((script) => texts.has(script));
  const workflows = [...texts].filter(([path]) => isWorkflow(path)).map(([, text]) => text);
  const edited = new Map(
    [...texts]
      .filter(([path]) => !scripts.includes(path))
      .map(([path, text]) => [path, rewrite(path, text, own, workflows)] as const),
  );
  const shims = new Map(
    scripts.map((script) => [script, callersOf(script, edited)] as const).filter(([, callers]) => callers.length > 0),
  );
  const written = new Map([...edited].filter(([path, text]) => text !== texts.get(path)));
  for (const script of shims.keys()) written.set(script, shim(script, headerOf(texts.get(script) ?? '')));
  const header = headerOf(texts.get('tasks/docker.toml') ?? '');
  written.set('tasks/deps.toml', filled('deps.toml', { HEADER: header, HOME, INSTALL }));
  const kept = [...edited.keys()].filter((path) => /^tasks\/scripts\/.*\.sh$/.test(path) && path !== RENDERED);
  return { written, removed: scripts.filter((script) => !shims.has(script)), shims, kept };
}

/** The files that still name a script, whether they call it or not: a script without any can be removed. */
function callersOf(script: string, texts: Texts): string[] {
  const pattern = byAnyName(script);
  return [...texts].filter(([path, text]) => MAY_NAME[path] === undefined && pattern.test(text)).map(([path]) => path);
}

const isWorkflow = (path: string) => /^\.github\/workflows\/.*\.ya?ml$/.test(path);

function rewrite(
  path: string,
  text: string,
  own: Readonly<Record<string, OwnTask>>,
  workflows: readonly string[],
): string {
  if (MAY_NAME[path] !== undefined) return text;
  if (/^tasks\/[\w-]+\.toml$/.test(path)) return rewriteEntries(rewriteComments(text), own);
  if (isWorkflow(path)) return rewriteWorkflow(text, workflows);
  if (path.endsWith('/skaffold.yaml')) return rewriteSkaffold(text);
  if (/\.mdx?$|(^|\/)Dockerfile|^\.gitignore$/.test(path)) return rewriteProse(text);
  if (path === '.dockerignore') return text.includes('**/node_modules') ? text : `${text}\n# npm\n**/node_modules\n`;
  if (path === RENDERED) return snapWrapper().replace(/^#!.*\n(# SPDX.*\n)+/, () => headerOf(text));
  return path.endsWith('.sh') ? rewriteComments(text) : text;
}

/** The first lines of a file: what starts it, and its licence. */
const headerOf = (text: string) => /^(#!.*\n\s*)?(# SPDX.*\n)*/.exec(text)?.[0] ?? '';

/** A script that starts ours, or says why it cannot. */
const shim = (script: string, header: string) =>
  filled('shim.sh', { HEADER: header, TASK: replacementIn(script), UP: relative(dirname(script), '') });

/** A file of this directory, with its `@NAMES@` filled in. */
function filled(name: string, values: Readonly<Record<string, string>>): string {
  const text = readFileSync(join(import.meta.dirname, name), 'utf8');
  return text.replace(/@([A-Z]+)@/g, (_, key) => values[key] ?? '');
}
