// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Declaration } from '../../../lib/cli/args.ts';
import { helpText } from '../../../lib/cli/help.ts';
import { runTaskFile, SUITE_ROOT } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test('a help text, whole', () => {
  const declaration: Declaration = {
    name: 'tasks/x.ts',
    summary: 'Do x.',
    words: [
      { name: 'target', help: 'What to do.', min: 0, max: 1, choices: ['all', 'some'] },
      { name: 'file', help: 'Which files.', min: 1, max: Number.POSITIVE_INFINITY },
    ],
    flags: {
      arch: { value: 'ARCH', help: 'For which machine.', choices: ['amd64', 'arm64'] },
      'dry-run': { help: 'Print the plan, which is a text that is too long for one line of a hundred columns.' },
    },
    variables: {
      A_NAME_THAT_IS_LONGER_THAN_ITS_COLUMN_ALLOWS: 'Stands on a line of its own.',
      SHORT: 'Does not.',
    },
  };
  expect(helpText(declaration)).toMatchInlineSnapshot(`
    "Do x.

    Usage: tasks/x.ts [options] [target] <file>...

    Arguments:
      [target]   What to do. One of: all, some.
      <file>...  Which files.

    Options:
      --arch ARCH  For which machine. One of: amd64, arm64.
      --dry-run    Print the plan, which is a text that is too long for one line of a hundred columns.
      -h, --help   Show this help.

    Environment:
      A_NAME_THAT_IS_LONGER_THAN_ITS_COLUMN_ALLOWS
                                          Stands on a line of its own.
      SHORT                               Does not.
    "
  `);
});

test('without words, flags and variables there is still the help option', () => {
  expect(helpText({ name: 'tasks/x.ts', summary: 'Do x.' })).toMatchInlineSnapshot(`
    "Do x.

    Usage: tasks/x.ts [options]

    Options:
      -h, --help  Show this help.
    "
  `);
});

const TASKS = readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -3));

test.each(TASKS)('tasks/%s: -h and --help print the same, fit in 100 columns, and need no checkout', async (task) => {
  const options = { cwd: temporaryDirectory(), env: {} };
  const [long, short] = await Promise.all([runTaskFile(task, ['--help'], options), runTaskFile(task, ['-h'], options)]);
  expect(long).toMatchObject({ status: 0, stderr: '' });
  expect(short).toEqual(long);
  expect(long.stdout).toContain(`Usage: tasks/${task}.ts [options]`);
  expect(long.stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
  expect(long.stdout.split('\n').filter((line) => /[ \t]$/.test(line))).toEqual([]);
});
