// SPDX-License-Identifier: Apache-2.0

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compareUpstream, readUpstream, upstreamIncludes } from '../../../lib/adopt/upstream.ts';
import { FakeAdoption } from '../../support/fake-adoption.ts';
import { SUITE_ROOT } from '../../support/run-task.ts';
import { refusalOf } from '../../support/task-errors.ts';

const OURS = new Map([
  ['gateway', ['tasks/gateway.ts']],
  ['gateway:docker', ['tasks/gateway-docker.ts']],
]);
const FILES = ['tasks/gateway.ts', 'tasks/gateway-docker.ts', 'tasks/verify-static-binary.ts'];

/** What a change of the checkout is said to be. */
function differences(change: (fake: FakeAdoption) => void) {
  const fake = new FakeAdoption();
  const before = readUpstream(fake.root);
  change(fake);
  return compareUpstream(before, readUpstream(fake.root), OURS, FILES);
}

const GATEWAY = '[gateway]\nrun = "bash tasks/scripts/gateway.sh"\n';
const DOCKER = '["gateway:docker"]\nrun = "bash tasks/scripts/gateway-docker.sh"\n';
const THEIRS = '[theirs]\nrun = "bash tasks/scripts/theirs.sh"\n';
const tasks =
  (...parts: string[]) =>
  (fake: FakeAdoption) =>
    fake.write('tasks/gateway.toml', parts.join('\n'));

test('ADP-4: nothing, where nothing or only a description has changed', () => {
  expect(differences(() => undefined)).toEqual([]);
  expect(
    differences(tasks('[gateway]\ndescription = "x"\nrun = "bash tasks/scripts/gateway.sh"\n', DOCKER, THEIRS)),
  ).toEqual([]);
});

test.each([
  ['new', tasks(GATEWAY, DOCKER, THEIRS, '["gateway:new"]\nrun = "x"\n'), [['task gateway:new: new', []]]],
  ['removed', tasks(DOCKER, THEIRS), [['task gateway: removed', ['gateway']]]],
  ['one of theirs', tasks(GATEWAY, DOCKER), [['task theirs: removed', []]]],
  [
    'other arguments',
    tasks('[gateway]\nrun = "bash tasks/scripts/gateway.sh --fast"\nusage = "flag"\n', DOCKER, THEIRS),
    [['task gateway: other run, usage', ['gateway']]],
  ],
  ['nothing but a command', tasks('gateway = "x"\n', DOCKER, THEIRS), [['task gateway: other run', ['gateway']]]],
])('ADP-4: a task: %s', (_, change, expected) => {
  expect(differences(change)).toEqual(expected);
});

test.each([
  ['a script that another one runs', 'gateway-docker.sh', ['gateway', 'gateway:docker']],
  ['a script that only a comment names', 'theirs.sh', []],
  ['a script that only workflows run', 'verify-static-binary.sh', ['tasks/verify-static-binary.ts']],
])('ADP-4: %s has another content', (_, name, ours) => {
  const change = (fake: FakeAdoption) => fake.write(`tasks/scripts/${name}`, 'echo changed\n');
  expect(differences(change)).toEqual([[`script tasks/scripts/${name}: other content`, ours]]);
});

test('ADP-4: scripts that are new, or gone', () => {
  expect(
    differences((fake) => {
      fake.write('tasks/scripts/x.sh', '');
      for (const name of ['gateway', 'verify-static-binary']) rmSync(join(fake.root, `tasks/scripts/${name}.sh`));
    }),
  ).toEqual([
    ['script tasks/scripts/gateway.sh: removed', ['tasks/gateway.ts']],
    ['script tasks/scripts/verify-static-binary.sh: removed', ['tasks/verify-static-binary.ts']],
    ['script tasks/scripts/x.sh: new', []],
  ]);
});

test('a checkout whose configuration does not say where its tasks are', () => {
  const fake = new FakeAdoption();
  fake.write('mise.toml', '[env]\n');
  expect(refusalOf(() => upstreamIncludes(fake.root))).toContain('sets no includes in [task_config]');
  fake.write('mise.toml', '[task_config]\nincludes = ["tasks/*.toml"]\n');
  fake.write('tasks/gateway.toml', 'x');
  expect(refusalOf(() => readUpstream(fake.root))).toMatch(/gateway\.toml cannot be read as TOML/);
});

test('what is recorded of upstream are names and digests, and nothing of its texts', () => {
  const { tasks: recorded, scripts } = JSON.parse(readFileSync(join(SUITE_ROOT, 'pins/upstream-tasks.json'), 'utf8'));
  const digests = [
    ...Object.values<object>(recorded).flatMap((task) => Object.values(task)),
    ...Object.values(scripts),
  ];
  expect(digests.length).toBeGreaterThan(300);
  expect(digests.filter((digest) => !/^[0-9a-f]{16}$/.test(String(digest)))).toEqual([]);
});
