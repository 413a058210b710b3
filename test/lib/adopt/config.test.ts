// SPDX-License-Identifier: Apache-2.0

import { symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { resolveCheckout, userPath } from '../../../lib/adopt/config.ts';
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
  for (const name of ['checkout', root, 'link']) expect(resolveCheckout(ctx, name, FLAGS)).toBe(root);
  const inside = { ...ctx, startDirectory: join(root, 'crates') };
  expect(resolveCheckout(inside, undefined, FLAGS)).toBe(root);
});

test('the programs of npm packages are not on the PATH on which mise is looked for', () => {
  const { ctx } = context({ PATH: '/clone/node_modules/.bin:/usr/bin:/node_modules/.bin/:/x/node_modules/.bin2' });
  expect(userPath(ctx.env)).toBe('/usr/bin:/x/node_modules/.bin2');
});

test('refused: another directory, both flags', () => {
  const { ctx } = context();
  const refusal = (name: string, flags?: object) => refusalOf(() => resolveCheckout(ctx, name, { ...FLAGS, ...flags }));
  expect(refusal('nowhere')).toMatch(/nowhere' is not an OpenShell checkout .*; name the directory of one$/);
  expect(refusal('checkout', { check: true, undo: true })).toBe('2: --check and --undo cannot go together; choose one');
});

test('flags that npm has taken for its own: npm run adopt --undo CHECKOUT', () => {
  const refusal = (extra: Readonly<Record<string, string>>, flags = FLAGS) =>
    refusalOf(() => resolveCheckout(context(extra).ctx, 'checkout', flags));
  const npm = { npm_lifecycle_event: 'adopt' };
  expect(refusal({ ...npm, npm_config_undo: 'true' })).toBe(
    '2: npm has kept --undo for itself; put -- before it: npm run adopt -- --undo CHECKOUT',
  );
  expect(refusal({ ...npm, npm_config_dry_run: 'true' })).toMatch(/^2: npm has kept --dry-run for itself; /);
  const { ctx, root } = context({ ...npm, npm_config_undo: 'true' });
  expect(resolveCheckout(ctx, 'checkout', { ...FLAGS, undo: true })).toBe(root);
  const other = context({ npm_lifecycle_event: 'test', npm_config_undo: 'true' });
  expect(resolveCheckout(other.ctx, 'checkout', FLAGS)).toBe(other.root);
});
