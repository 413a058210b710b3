// SPDX-License-Identifier: Apache-2.0

/** The pages in `docs/`, against the code: messages exist, codes have legends, links lead somewhere. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { SUITE_ROOT } from './support/run-task.ts';

const textOf = (path: string) => readFileSync(join(SUITE_ROOT, path), 'utf8');
const PAGES = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(SUITE_ROOT, 'docs')).map((name) => `docs/${name}`)];

/** Messages that come from elsewhere: those of Node, zig, mise and npm. */
const FOREIGN = [
  'Unknown file extension ".ts"',
  'ProcessFdQuotaExceeded',
  'mise ERROR Failed to install tools',
  'npm ERR! enoent ENOENT: no such file or directory, chmod',
];

/** The text of the modules of `lib/`, with messages in one piece. */
function modules(): string[] {
  const names = readdirSync(join(SUITE_ROOT, 'lib'), { recursive: true, encoding: 'utf8' });
  const texts = names.filter((name) => name.endsWith('.ts')).map((name) => textOf(`lib/${name}`));
  return texts.map((text) => text.replace(/['`"]\s*\+\s*['`"]/g, '').replace(/\\'/g, "'"));
}

test('every message of the troubleshooting page is in the code', () => {
  const headings = [...textOf('docs/troubleshooting.md').matchAll(/^### `(.*)`$/gm)].map(([, text = '']) => text);
  expect(headings.length).toBeGreaterThan(12);
  const code = modules();
  // What stands between two values has to be in one module.
  const parts = (heading: string) => heading.split('…').map((part) => part.trim());
  const isThere = (heading: string) => code.some((text) => parts(heading).every((part) => text.includes(part)));
  expect(headings.filter((heading) => !FOREIGN.includes(heading) && !isThere(heading))).toEqual([]);
});

test('every fault code of the page of changes has its legend', () => {
  const codes = [...textOf('docs/changes.md').matchAll(/\b(?:[A-Z][A-Z\d]{1,2}-\d+|[A-Z]\d{1,2}b?)\b/g)].map(
    ([code]) => code,
  );
  expect(codes.length).toBeGreaterThan(40);
  const legends = textOf('test/faults.md');
  expect(codes.filter((code) => !legends.includes(`| ${code} |`))).toEqual([]);
});

test.each(PAGES)('the links of %s lead to files of the repository', (page) => {
  const links = [...textOf(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = '']) => path);
  expect(links.filter((path) => !existsSync(join(SUITE_ROOT, dirname(page), path)))).toEqual([]);
});
