// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { inspectStatic } from '../../lib/elf/verify.ts';
import { CASES } from './cases.ts';
import { Place } from './place.ts';

/** A place, and a way to call the fake tools as the task of the first case would. */
function benchPlace() {
  const place = new Place(undefined);
  onTestFinished(() => rmSync(place.root, { recursive: true, force: true }));
  const [first] = CASES;
  const contestant = first && place.contestant(first, 'mise');
  if (contestant === undefined) throw new Error('there is no first case');
  const { cwd, env } = contestant;
  const call = (line: string, more: Record<string, string> = {}) => {
    const [tool = '', ...args] = line.split(' ');
    return spawnSync(tool, args, { cwd, env: { ...env, ...more }, encoding: 'utf8' });
  };
  return { cwd, call };
}

const SUPERVISOR = '-p openshell-sandbox --bin openshell-sandbox';

test('cargo makes a static executable for each target, and says where only on request', () => {
  const { cwd, call } = benchPlace();
  const targets = '--target x86_64-unknown-linux-gnu.2.28 --target aarch64-unknown-linux-musl';
  const quiet = call(`cargo zigbuild --release ${targets} ${SUPERVISOR}`);
  expect(quiet).toMatchObject({ status: 0, stdout: '', stderr: '' });
  const paths = ['x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-musl'].map((triple) =>
    join(cwd, 'target', triple, 'release', 'openshell-sandbox'),
  );
  expect(paths.map((path) => inspectStatic(path).facts?.machine)).toEqual(['x86-64', 'aarch64']);
  const told = call(`mise x -- cargo build --release ${targets} ${SUPERVISOR} --message-format=json`);
  expect(
    told.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).executable),
  ).toEqual(paths);
});

test('cargo honours CARGO_TARGET_DIR and the profile', () => {
  const { cwd, call } = benchPlace();
  call(`cargo build ${SUPERVISOR}`, { CARGO_TARGET_DIR: join(cwd, 'elsewhere') });
  expect(existsSync(join(cwd, 'elsewhere', 'debug', 'openshell-sandbox'))).toBe(true);
  expect(existsSync(join(cwd, 'target', 'debug'))).toBe(false);
});

test('mise finds what the case has and nothing else', () => {
  const { call } = benchPlace();
  expect(call('mise which cargo').stdout).toMatch(/\/cargo\n$/);
  expect(call('mise which docker')).toMatchObject({ status: 1, stdout: '' });
});

test('a call that nobody expects fails', () => {
  const { call } = benchPlace();
  expect(call('cargo publish')).toMatchObject({ status: 97, stderr: 'fake cargo: unexpected call: publish\n' });
  expect(call('rustup self uninstall').status).toBe(97);
});
