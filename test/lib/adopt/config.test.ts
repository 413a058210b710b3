// SPDX-License-Identifier: Apache-2.0

import { symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveAdoptConfig } from '../../../lib/adopt/config.ts';
import { FakeCheckout } from '../../support/fake-rust.ts';
import { inProcess } from '../../support/in-process.ts';
import { refusalOf } from '../../support/task-errors.ts';

const FLAGS = { check: false, undo: false, worktrees: false, 'dry-run': false };

function context(extra: Readonly<Record<string, string>> = {}) {
  const { root, tools } = new FakeCheckout();
  return { root, ctx: inProcess(tools, extra, dirname(root)) };
}

test('the checkout: relative to where the task was started, its real path, else the nearest one', () => {
  const { root, ctx } = context();
  symlinkSync(root, join(dirname(root), 'link'));
  for (const name of ['checkout', root, 'link']) expect(resolveAdoptConfig(ctx, name, FLAGS).root).toBe(root);
  const inside = { ...ctx, startDirectory: join(root, 'crates') };
  expect(resolveAdoptConfig(inside, undefined, FLAGS).root).toBe(root);
});

test('the programs of npm packages are not on the PATH on which mise is looked for', () => {
  const { ctx } = context({ PATH: '/clone/node_modules/.bin:/usr/bin:/node_modules/.bin/:/x/node_modules/.bin2' });
  expect(resolveAdoptConfig(ctx, 'checkout', FLAGS).path).toBe('/usr/bin:/x/node_modules/.bin2');
});

test('refused: another directory, both flags, a clone whose path is a pattern to mise', () => {
  const { ctx } = context();
  const refusal = (...[name, flags, suite]: [string?, object?, string?]) =>
    refusalOf(() => resolveAdoptConfig(ctx, name, { ...FLAGS, ...flags }, suite));
  expect(refusal('nowhere')).toMatch(/nowhere' is not an OpenShell checkout .*; name the directory of one$/);
  expect(refusal('checkout', { check: true, undo: true })).toBe('2: --check and --undo cannot go together; choose one');
  for (const suite of ['/a*', '/a?', '/[a]', '/{{a}}', '/a{b,c}']) {
    expect(refusal('checkout', {}, suite)).toMatch(/^2: mise takes a part of '.*' for a pattern; move this clone /);
  }
});

test('flags that npm has taken for its own: npm run adopt --undo CHECKOUT', () => {
  const refusal = (extra: Readonly<Record<string, string>>, flags = FLAGS) =>
    refusalOf(() => resolveAdoptConfig(context(extra).ctx, 'checkout', flags));
  const npm = { npm_lifecycle_event: 'adopt' };
  expect(refusal({ ...npm, npm_config_undo: 'true' })).toBe(
    '2: npm has kept --undo for itself; put -- before it: npm run adopt -- --undo CHECKOUT',
  );
  expect(refusal({ ...npm, npm_config_dry_run: 'true' })).toMatch(/^2: npm has kept --dry-run for itself; /);
  const { ctx, root } = context({ ...npm, npm_config_undo: 'true' });
  expect(resolveAdoptConfig(ctx, 'checkout', { ...FLAGS, undo: true }).root).toBe(root);
  const other = context({ npm_lifecycle_event: 'test', npm_config_undo: 'true' });
  expect(resolveAdoptConfig(other.ctx, 'checkout', FLAGS).root).toBe(other.root);
});
