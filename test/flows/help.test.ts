// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Declaration, defaultText, helpText, meaningText } from '../../lib/cli/args.ts';
import { VARIABLES } from '../../lib/cli/variables.ts';
import { runTaskFile, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

test('a help text, whole', () => {
  const declaration: Declaration = {
    name: 'tasks/x.ts',
    summary: 'Do x.',
    positionals: {
      target: { help: 'What to do.', count: 'one', choices: ['all', 'some'] },
      file: { help: 'Which files.', count: 'any', afterDashes: ['x'] },
    },
    examples: [
      ['mise run x', 'Do x here.'],
      ['IMAGE_TAG=a-long-tag mise run x -- all -- some', 'Do all of x.'],
    ],
    flags: {
      arch: { value: 'ARCH', help: 'For which machine.', choices: ['amd64', 'arm64'] },
      'dry-run': { help: 'Print the plan, which is a text that is too long for one line of a hundred columns.' },
    },
    variables: [
      'OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME',
      'IMAGE_TAG',
      'DOCKER_PUSH',
      'SUPERVISOR_LIBC',
      'GITHUB_ENV',
      'SOURCE_DATE_EPOCH',
    ],
  };
  expect(helpText(declaration)).toMatchInlineSnapshot(`
    "Do x.

    Usage: tasks/x.ts [options] <target> [-- file...]

    Arguments:
      <target>      What to do. One of: all, some.
      [-- file...]  Which files.

    Options:
      --arch ARCH  For which machine. One of: amd64, arm64.
      --dry-run    Print the plan, which is a text that is too long for one line of a hundred columns.
      -h, --help   Show this help.

    Environment:
      OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME
                                          True or false; anything else is refused.
      IMAGE_TAG                           Tag; for a publish the main one; a clean-up keeps it (default:
                                          dev).
      DOCKER_PUSH                         Push what is built (default: no).
      SUPERVISOR_LIBC                     C library of release supervisors; glibc-static only natively
                                          (musl, glibc-static) (default: musl; the VM's supervisor is
                                          dynamic).
      GITHUB_ENV                          File that the variables are appended to; nothing is printed
                                          then.
      SOURCE_DATE_EPOCH                   Time of published images, runtime archives and packages, in
                                          seconds since 1970 (default: 0; for a runtime the time of its
                                          libkrun; for a package now).

    Examples:
      mise run x                          Do x here.
      IMAGE_TAG=a-long-tag mise run x -- all -- some
                                          Do all of x.

    Exit status: 0 done; 1 failed; 2 wrong usage or something missing, and nothing was started; 128+n
    ended by signal n; otherwise that of the program that failed.
    "
  `);
});

test('a task that passes arguments on says so in the usage, after its own', () => {
  const declaration: Declaration = {
    name: 'tasks/x.ts',
    summary: 'Do x.',
    positionals: { target: { help: 'What to do.', count: 'optional' } },
    passThrough: { name: 'build-option', help: 'As they are.' },
  };
  expect(helpText(declaration)).toContain(`
Usage: tasks/x.ts [options] [target] [build-option]...

Arguments:
  [target]           What to do.
  [build-option]...  As they are.
`);
});

test.each([
  ['DOCKER_PUSH', 'no'],
  ['PREBUILT_AUTO_STAGE', 'yes'],
  ['OPENSHELL_DOWNLOAD_TIMEOUT', '30'],
  ['IMAGE_TAG', 'dev'],
  ['DOCKER_REGISTRY', 'required'],
  ['EXTRA_DOCKER_TAGS', undefined],
] as const)('the default of %s is %j for users', (name, text) => {
  expect(defaultText(VARIABLES[name])).toBe(text);
});

test('the meaning of a choice names its values', () => {
  expect(meaningText(VARIABLES.SUPERVISOR_LIBC)).toBe(
    'C library of release supervisors; glibc-static only natively (musl, glibc-static)',
  );
  expect(meaningText(VARIABLES.IMAGE_TAG)).toBe(VARIABLES.IMAGE_TAG.meaning);
});

test('without arguments, flags and variables there is still the help option', () => {
  expect(helpText({ name: 'tasks/x.ts', summary: 'Do x.' })).toMatchInlineSnapshot(`
    "Do x.

    Usage: tasks/x.ts [options]

    Options:
      -h, --help  Show this help.

    Exit status: 0 done; 1 failed; 2 wrong usage or something missing, and nothing was started; 128+n
    ended by signal n; otherwise that of the program that failed.
    "
  `);
});

/** A command is one line, however long it is. */
const isExample = (line: string) => /^ {2}(?:\S+=\S+ )*(?:mise run|node|eval) /.test(line);

const TASKS = readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -3));

test.each(TASKS)('tasks/%s: -h and --help print the same, fit in 100 columns, and need no checkout', async (task) => {
  const options = { cwd: temporaryDirectory(), env: {} };
  const [long, short] = await Promise.all([runTaskFile(task, ['--help'], options), runTaskFile(task, ['-h'], options)]);
  expect(long).toMatchObject({ status: 0, stderr: '' });
  expect(short).toEqual(long);
  expect(long.stdout).toContain(`Usage: tasks/${task}.ts [options]`);
  expect(long.stdout, 'two `examples` in its declaration').toMatch(/\nExamples:\n(.*\n)*?\nExit status: /);
  expect(long.stdout.split('\n').filter((line) => line.length > 100 && !isExample(line))).toEqual([]);
  expect(long.stdout.split('\n').filter((line) => /[ \t]$/.test(line))).toEqual([]);
});

test('every declared variable is in the help of a task', async () => {
  const options = { cwd: temporaryDirectory(), env: {} };
  const helps = await Promise.all(TASKS.map((task) => runTaskFile(task, ['--help'], options)));
  const listed = helps.flatMap(({ stdout }) => [
    ...(stdout.split('\nEnvironment:\n')[1] ?? '').matchAll(/^ {2}(\w+)/gm),
  ]);
  const names = new Set(listed.map(([, name]) => name));
  const unlisted = Object.keys(VARIABLES).filter((name) => !names.has(name));
  expect(unlisted, 'list them in `variables` of the task that reads them').toEqual([]);
});
