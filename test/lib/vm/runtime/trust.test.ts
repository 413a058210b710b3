// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { distrustText, remember, trustProblem } from '../../../../lib/vm/runtime/trust.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const KEY = 'o/r/releases/download/v1/x';

function place(record: object = { platform: 'linux-x86_64', sources: { [KEY]: 'a'.repeat(64) }, files: {} }) {
  const directory = temporaryDirectory();
  const pinsPath = join(directory, 'pins.json');
  writeFileSync(pinsPath, '{}');
  writeFileSync(join(directory, '.verified.json'), JSON.stringify(record));
  return { directory, pinsPath, ctx: inProcess(fakeTools()) };
}

test('VT-1: a record counts where a run of this user has written it, and for no other text', () => {
  const { ctx, directory, pinsPath } = place();
  const problem = () => trustProblem(ctx, directory, pinsPath);
  expect(problem()).toBe('no run of this user has written it, so nothing vouches for the files');
  remember(ctx, directory);
  expect(problem()).toBeUndefined();
  expect(distrustText(ctx, directory, pinsPath)).toContain(
    'is NOT verified: it is of an archive that the user named; set',
  );
  const path = join(directory, '.verified.json');
  writeFileSync(path, `${readFileSync(path, 'utf8')} `);
  expect(problem()).toMatch(/^no run of this user/);
});

test('VT-1: a home that a file of the checkout names does not count', () => {
  const { ctx, directory, pinsPath } = place();
  remember(ctx, directory);
  const dotEnv = { path: '/x/.env', names: ['HOME'], refused: [] };
  expect(trustProblem({ ...ctx, dotEnv }, directory, pinsPath)).toMatch(/^no run of this user/);
});

test('VT-2: another digest that is recorded by now', () => {
  const { ctx, directory, pinsPath } = place();
  remember(ctx, directory);
  writeFileSync(pinsPath, JSON.stringify({ [KEY]: 'a'.repeat(64) }));
  expect(trustProblem(ctx, directory, pinsPath)).toBeUndefined();
  writeFileSync(pinsPath, JSON.stringify({ [KEY]: 'b'.repeat(64) }));
  expect(trustProblem(ctx, directory, pinsPath)).toBe(`another SHA-256 is recorded of ${KEY} by now`);
});

test('without a home it is said that the next run will not know', () => {
  const { ctx, directory } = place();
  remember({ ...ctx, env: { ...ctx.env, HOME: '' } }, directory);
  expect(ctx.screen.stderr()).toMatch(/^warning: \S+ is verified, and the next run will not know: HOME is not set$/m);
  expect(readdirSync(directory)).toContain('.verified.json');
});
