// SPDX-License-Identifier: Apache-2.0

/** The wiring: every mise task points at a file that is there, and every task file can be reached. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { FakeCheckout } from './support/fake-rust.ts';
import { runMise } from './support/run-mise.ts';
import { SUITE_ROOT } from './support/run-task.ts';

interface MiseTask {
  readonly run?: string;
  readonly depends?: readonly string[];
  readonly hide?: boolean;
  readonly dir?: string;
}

const mise = parse(readFileSync(join(SUITE_ROOT, 'mise.toml'), 'utf8')) as unknown as {
  tasks: Record<string, MiseTask>;
  tools: Record<string, string>;
};

/** Used by path, from workflows and scripts; bash has no mise task for them either. And the task that brings the others. */
const USED_BY_PATH = [
  'tasks/adopt.ts',
  'tasks/setup-zig-cc-wrapper.ts',
  'tasks/snap-gateway-wrapper.ts',
  'tasks/verify-glibc-symbols.ts',
  'tasks/verify-static-binary.ts',
  'tasks/verify-telemetry-compiled-out.ts',
  'tasks/vm/build-libkrun-macos.ts',
  'tasks/vm/build-libkrun.ts',
  'tasks/vm/compress-vm-runtime.ts',
  'tasks/vm/download-kernel-runtime.ts',
  'tasks/vm/package-vm-runtime.ts',
];

function taskFiles(): string[] {
  return readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `tasks/${name}`)
    .sort();
}

function filesNamedBy(task: MiseTask): string[] {
  return [...(task.run ?? '').matchAll(/(?:tasks|test)\/[\w./-]+\.ts/g)].map(([name]) => name);
}

test('every file and every task that a mise task names is there', () => {
  for (const [name, task] of Object.entries(mise.tasks)) {
    const depends = task.depends ?? [];
    expect(filesNamedBy(task).length + depends.length, name).toBeGreaterThan(0);
    for (const other of depends) expect(Object.keys(mise.tasks), name).toContain(other);
    for (const file of filesNamedBy(task))
      expect(statSync(join(SUITE_ROOT, file)).isFile(), `${name}: ${file}`).toBe(true);
  }
});

test('every task file is named by a mise task, or is used by path', () => {
  const wired = Object.values(mise.tasks).flatMap(filesNamedBy);
  const message = 'received: no mise task names these; add one to mise.toml, or the file to USED_BY_PATH';
  expect(
    taskFiles().filter((file) => !wired.includes(file)),
    message,
  ).toEqual(USED_BY_PATH);
});

test('the help of a task names the mise tasks that run it', () => {
  const missing = Object.entries(mise.tasks).flatMap(([name, task]) => {
    const example = new RegExp(`'[^'\\n]*mise run ${name}(?: [^'\\n]*)?',`);
    return filesNamedBy(task)
      .filter((file) => file.startsWith('tasks/'))
      .map((file) => (file.startsWith('tasks/gateway') ? 'lib/gateway/declarations.ts' : file))
      .filter((file) => !example.test(readFileSync(join(SUITE_ROOT, file), 'utf8')))
      .map((file) => `${file}: mise run ${name}`);
  });
  expect(missing, 'received: files, and what has to be among their `examples`').toEqual([]);
});

test('every task file can be executed, says what it is, and fits on a screen', () => {
  for (const file of taskFiles()) {
    const text = readFileSync(join(SUITE_ROOT, file), 'utf8');
    expect(text.split('\n').slice(0, 2), file).toEqual([
      '#!/usr/bin/env node',
      '// SPDX-License-Identifier: Apache-2.0',
    ]);
    expect(statSync(join(SUITE_ROOT, file)).mode & 0o111, `not executable: chmod +x ${file}`).toBe(0o111);
    expect(text.split('\n').length, file).toBeLessThan(90);
  }
});

describe('real mise', () => {
  test('mise run build:docker:prebuilt stages both binaries, and arguments after it are passed on', async () => {
    const checkout = new FakeCheckout();
    const extra = checkout.env({ DOCKER_PLATFORM: 'linux/amd64' });
    const all = await runMise(['run', 'build:docker:prebuilt'], SUITE_ROOT, extra);
    expect(all.stdout).toBe(
      `${checkout.staged('amd64', 'openshell-gateway')}\n${checkout.staged('amd64', 'openshell-sandbox')}\n`,
    );
    const one = await runMise(['run', 'build:docker:prebuilt', '--', 'supervisor', '--dry-run'], SUITE_ROOT, extra);
    expect(one.stdout).toContain('cargo zigbuild --release --target x86_64-unknown-linux-musl');
    expect(one.stdout).not.toContain('openshell-server');
  });

  test('the exit status passes through', async () => {
    const checkout = new FakeCheckout();
    expect((await runMise(['run', 'build:docker:prebuilt', 'bogus'], SUITE_ROOT, checkout.env())).status).toBe(2);
    checkout.setCargo({ before: 'exit 101' });
    expect((await runMise(['run', 'build:docker:prebuilt'], SUITE_ROOT, checkout.env())).status).toBe(101);
  });

  test('mise knows the tasks', async () => {
    const listed = await runMise(['tasks', '--hidden', '--json'], SUITE_ROOT, new FakeCheckout().env());
    const names = (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(Object.keys(mise.tasks).sort());
  });
});
