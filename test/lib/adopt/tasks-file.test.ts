// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, type TomlTable } from 'smol-toml';
import { expect, test } from 'vitest';
import { declaredTasks, tasksFileText } from '../../../lib/adopt/tasks-file.ts';
import { SUITE_ROOT } from '../../support/run-task.ts';

const declared = readFileSync(join(SUITE_ROOT, 'mise.toml'), 'utf8');
const SUITE = `/cl one's $(x) "q" \\n`;

test('every task that mise.toml declares is there, with its settings, and finds the clone', () => {
  const { tasks } = parse(declared) as unknown as { tasks: Record<string, TomlTable> };
  const adopted = parse(tasksFileText(declared, SUITE)) as unknown as Record<string, TomlTable>;
  expect(Object.keys(adopted).sort()).toEqual(Object.keys(tasks).sort());
  for (const [name, { run, env, ...settings }] of Object.entries(adopted)) {
    const { run: own, env: more, ...rest } = tasks[name] ?? {};
    expect({ ...settings }, name).toEqual({ ...rest, ...(rest.dir === '{{config_root}}' ? { dir: SUITE } : {}) });
    if (own === undefined) continue;
    const [, before = '', file = '', after = ''] =
      /^(exec )?node "\$MISE_CONFIG_ROOT\/([^"]+)"(.*)$/.exec(`${own}`) ?? [];
    expect(file, `${name}: start it with: node "$MISE_CONFIG_ROOT/tasks/…"`).not.toBe('');
    const quoted = (path: string) => `'/cl one'\\''s $(x) "q" \\n/${path}'`;
    expect(run).toBe(
      `${before}env OPENSHELL_ROOT="$MISE_CONFIG_ROOT" sh ${quoted('bin/node.sh')} ${quoted(file)}${after}`,
    );
    const cache = { NODE_COMPILE_CACHE: `${SUITE}/node_modules/.cache/openshell-tasks` };
    expect(env).toEqual({ ...cache, ...(more as object | undefined) });
  }
});

test('nothing in it but the working directory is for mise to fill in: a file outside of the checkout is not trusted', () => {
  expect(tasksFileText(declared, SUITE).replaceAll('{{cwd}}', '')).not.toMatch(/\{[{%#]/);
});

test('a task keeps its own variables and arguments', () => {
  const own =
    '[env]\nA = "1"\n[tasks.x]\nrun = \'node "$MISE_CONFIG_ROOT/tasks/x.ts" a\'\nenv = { B = "2" }\nusage = "u"\n';
  const run = 'env OPENSHELL_ROOT="$MISE_CONFIG_ROOT" sh /c/bin/node.sh /c/tasks/x.ts a';
  expect(parse(tasksFileText(own, '/c'))).toEqual({ x: { run, env: { A: '1', B: '2' }, usage: 'u' } });
});

test('a task has the files that it starts', () => {
  const tasks = declaredTasks(declared);
  expect(tasks.get('gateway')).toEqual(['tasks/gateway.ts']);
  expect(tasks.get('build:docker')).toEqual([]);
});
