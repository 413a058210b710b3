// SPDX-License-Identifier: Apache-2.0

/** The checks of where files are. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, readSource } from './source.ts';

const MOST_FILES = 8;
const MOST_LINES = 300;
const LICENCE = '// SPDX-License-Identifier: Apache-2.0';

/** More files directly in lib/ than can be taken in at a glance. */
export function checkTopOfLib(root: string): string[] {
  const files = filesBelow(root, ['lib']).filter((path) => path.split('/').length === 2);
  if (files.length <= MOST_FILES) return [];
  return [`lib:1: ${files.length} files directly in lib/, at most ${MOST_FILES} are allowed; move some to directories`];
}

/** Test files that are neither beside what they test, in test/flows, nor among the tests' own tools. */
export function checkMirror(root: string): string[] {
  return filesBelow(root, ['test'])
    .filter((path) => path.endsWith('.test.ts') && !path.startsWith('test/fixtures/'))
    .flatMap((path) => {
      const task = path.replace('test/', 'tasks/').replace(/\.test\.ts$/, '.ts');
      if (/^test\/[^/]+$/.test(path) && existsSync(join(root, task))) {
        return [`${path}:1: it is a test of ${task}; move it to test/tasks`];
      }
      if (/^test\/((flows|bench|support)\/|[^/]+$)/.test(path)) return [];
      const source = path.replace(/^test\//, '').replace(/\.test\.ts$/, '.ts');
      if (/^(lib|tasks)\//.test(source) && existsSync(join(root, source))) return [];
      return [`${path}:1: there is no ${source}; name it after what it tests, or move it to test/flows`];
    });
}

/** Files without their licence, and files of lib/ that have outgrown one concern. */
export function checkFiles(root: string): string[] {
  return filesBelow(root, ['lib', 'tasks', 'test']).flatMap((path) => {
    if (!path.endsWith('.ts') || path.startsWith('test/fixtures/')) return [];
    const lines = readSource(root, path).replace(/\n$/, '').split('\n');
    const isLong = path.startsWith('lib/') && lines.length > MOST_LINES;
    return [
      ...(lines.slice(0, 2).includes(LICENCE) ? [] : [`${path}:1: no licence; begin with ${LICENCE}`]),
      ...(isLong ? [`${path}:1: ${lines.length} lines, at most ${MOST_LINES} are allowed; split it by concern`] : []),
    ];
  });
}
