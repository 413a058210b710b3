// SPDX-License-Identifier: Apache-2.0

/**
 * No bash script of OpenShell is without a task here. The tables say which mise task called which script, and what has
 * taken its place; where `OPENSHELL_BASH_CHECKOUT` names a checkout, they are compared with its own TOML files.
 */

import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { realCheckout } from './support/real-tools.ts';
import { AMONG_OTHERS, CALLS, replacementOf, SCRIPTS } from './support/replaced-scripts.ts';
import { SUITE_ROOT } from './support/run-task.ts';

interface MiseTask {
  readonly run?: string | readonly string[];
  readonly run_windows?: string;
  readonly depends?: readonly string[];
  readonly hide?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** The harness of the end-to-end tests, which calls the tasks. */
const isHarness = (script: string) => script.startsWith('e2e/');

function tasksIn(path: string): Record<string, MiseTask> {
  return parse(readFileSync(path, 'utf8')) as Record<string, MiseTask>;
}

const { tasks } = tasksIn(join(SUITE_ROOT, 'mise.toml')) as unknown as { tasks: Record<string, MiseTask> };

test.each(SCRIPTS)('%s has its replacement', (script) => {
  expect(existsSync(join(SUITE_ROOT, replacementOf(script))), replacementOf(script)).toBe(true);
});

test.each(Object.entries(CALLS))('mise run %s is ours, as it was', (name, row) => {
  const ours = tasks[name];
  expect(ours, `mise.toml has no ${name}`).toBeDefined();
  const run = String(ours?.run);
  const file = replacementOf(row.script);
  if (row.args === undefined) expect(run).toContain(file);
  else expect(run.replace(/^exec /, '')).toBe(`node "$MISE_CONFIG_ROOT/${file}"${row.args && ` ${row.args}`}`);
  expect(ours?.hide ?? false).toBe(row.isHidden ?? false);
  expect(ours?.env ?? {}).toEqual(row.env ?? {});
  if (row.isSkippedOnWindows) expect(ours?.run_windows).toMatch(new RegExp(`^echo Skipping ${name}: `));
});

test('keycloak:k8s:teardown, which was no script, is there too', () => {
  expect(tasks['keycloak:k8s:teardown']?.hide ?? false).toBe(false);
  expect(String(tasks['keycloak:k8s:teardown']?.run ?? 'absent')).not.toBe('absent');
});

const checkout = realCheckout.path;

describe('a real checkout', realCheckout.options, () => {
  const real = Object.assign({}, ...globSync(join(checkout, 'tasks/*.toml')).map(tasksIn)) as Record<string, MiseTask>;
  const scriptsOf = ({ run = '', run_windows = '' }: MiseTask) => [
    ...new Set(
      [...`${[run, run_windows].flat().join('\n')}`.matchAll(/(?<![\w./-])(?:[\w.-]+\/)+[\w.-]+\.(?:sh|bash)\b/g)].map(
        ([path]) => path,
      ),
    ),
  ];
  const called = Object.entries(real).flatMap(([name, task]) =>
    scriptsOf(task)
      .filter((script) => !isHarness(script))
      .map((script) => [name, script] as const),
  );

  test('its mise tasks call no other scripts', () => {
    const rows = [
      ...Object.entries(CALLS).map(([name, { script }]) => [name, script]),
      ...Object.entries(AMONG_OTHERS),
    ];
    expect(called.length).toBeGreaterThan(30);
    expect(called.map(String).sort()).toEqual(rows.map(String).sort());
  });

  test('they are hidden and have variables as the table says', () => {
    for (const [name, row] of Object.entries(CALLS)) {
      expect(real[name]?.hide ?? false, name).toBe(row.isHidden ?? false);
      expect(real[name]?.env ?? {}, name).toEqual(row.env ?? {});
      expect(real[name]?.run_windows !== undefined, name).toBe(row.isSkippedOnWindows ?? false);
    }
  });

  test('it has no other scripts beside these', () => {
    const found = globSync('tasks/scripts/**/*.sh', { cwd: checkout }).sort();
    expect(found).toEqual(SCRIPTS.filter((script) => script.startsWith('tasks/')));
  });
});
