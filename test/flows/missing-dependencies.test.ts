// SPDX-License-Identifier: Apache-2.0

/** A clone whose packages are missing: every task says so in one line. */

import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bashQuote, FakeTools } from '../support/fake-tools.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Copies what a task needs, with all packages but one; `undefined` for none at all. */
function clone(missing?: string): string {
  const root = join(temporaryDirectory(), "a clone's");
  for (const name of ['lib', 'tasks', 'package.json', 'pins'])
    cpSync(join(SUITE_ROOT, name), join(root, name), { recursive: true });
  if (missing === undefined) return root;
  mkdirSync(join(root, 'node_modules'));
  for (const name of readdirSync(join(SUITE_ROOT, 'node_modules'))) {
    symlinkSync(join(SUITE_ROOT, 'node_modules', name), join(root, 'node_modules', name));
  }
  rmSync(join(root, 'node_modules', missing));
  return root;
}

const run = (root: string, task: string, args: readonly string[] = []) =>
  runProcess(process.execPath, [join(root, 'tasks', task), ...args], {
    cwd: root,
    env: { OPENSHELL_ROOT: '/nonexistent' },
  });

const line = (root: string, name: string) =>
  `error: the tasks' dependencies are missing (${name}); run: npm ci --omit=dev --prefix ${bashQuote(root)}\n`;

test('W1: without npm install every task says what to run, and blames nobody', async () => {
  const root = clone();
  const tasks = readdirSync(join(root, 'tasks'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  expect(tasks.length).toBeGreaterThan(10);
  for (const task of tasks) {
    const result = await run(root, task, ['--help']);
    expect(result, task).toMatchObject({ status: 2, stdout: '', stderr: line(root, 'minimist') });
  }
});

test.each([
  ['zx', 'docker-build-ci.ts'],
  ['minimist', 'stage.ts'],
])('W1: where only %s is missing, %s names it', async (name, task) => {
  const root = clone(name);
  const tools = new FakeTools().addSilent('docker');
  const env = { PATH: tools.bin, OPENSHELL_ROOT: join(SUITE_ROOT, 'test/fixtures/openshell') };
  const result = await runProcess(process.execPath, [join(root, 'tasks', task), '--dry-run'], { cwd: root, env });
  expect(result).toMatchObject({ status: 2, stderr: line(root, name) });
});
