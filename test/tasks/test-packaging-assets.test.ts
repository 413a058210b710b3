// SPDX-License-Identifier: Apache-2.0

/** The check of the packages' units as a program. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PRODUCT } from '../../lib/product.ts';
import { FakeCheckout } from '../support/fake-rust.ts';
import { addAssets, specWith, UNIT } from '../support/packaging-assets.ts';
import { realCheckout } from '../support/real-tools.ts';
import { runTaskFile } from '../support/run-task.ts';
import { BARE } from '../support/verifier-binaries.ts';

const check = (cwd: string, args: readonly string[] = []) =>
  runTaskFile('test-packaging-assets', args, { cwd, env: BARE });

function checkout(unit = UNIT, spec = specWith(UNIT)): string {
  const { root } = new FakeCheckout({}, 'a checkout');
  addAssets(root, unit, spec);
  return root;
}

const OK = 'certificates and their directory are as they have to be';
const stdoutOf = (root: string, first = [OK], second = [OK]) =>
  [
    `==> Inspecting ${root}/${PRODUCT.debianUnit}`,
    ...first,
    `==> Inspecting ${root}/${PRODUCT.rpmSpec}`,
    ...second,
    '',
  ].join('\n');

test('both units are right', async () => {
  const root = checkout();
  expect(await check(join(root, 'crates'))).toEqual({ status: 0, signal: null, stdout: stdoutOf(root), stderr: '' });
});

test('each reason is one line with its file, and both files are told', async () => {
  const root = checkout(UNIT.replace('%h/.local/state', '%S'), specWith(UNIT.replace('ExecStartPre', 'ExecStartPost')));
  const result = await check(root);
  expect(result).toMatchObject({ status: 1, stdout: stdoutOf(root, [], []) });
  expect(result.stderr.split('\n').slice(0, -1)).toEqual([
    expect.stringContaining(
      `error: ${root}/${PRODUCT.debianUnit} lacks this line in its section [Service]: Environment=`,
    ),
    expect.stringContaining(
      `error: ${root}/${PRODUCT.debianUnit} has %S/openshell/tls in 'Environment=OPENSHELL_LOCAL_TLS_DIR=%S/openshell/tls'; use %h`,
    ),
    expect.stringContaining(
      `error: ${root}/${PRODUCT.rpmSpec} lacks this line in its section [Service]: ExecStartPre=`,
    ),
    'error: 2 of 2 files failed the check',
  ]);
});

test('SHL-7: a FIFO is not waited for', async () => {
  const root = checkout();
  const path = join(root, PRODUCT.debianUnit);
  rmSync(path);
  execFileSync('mkfifo', [path]);
  const result = await check(root);
  expect(result.status).toBe(1);
  expect(result.stderr).toContain(`error: ${path} cannot be read; get it back from the repository\n`);
});

test('a file that is not there, is a directory, or has no unit', async () => {
  const root = checkout(UNIT, 'Name: openshell\n');
  rmSync(join(root, PRODUCT.debianUnit));
  const result = await check(root);
  expect(result.status).toBe(1);
  expect(result.stderr.split('\n').slice(0, 2)).toEqual([
    `error: ${root}/${PRODUCT.debianUnit} cannot be read; get it back from the repository`,
    expect.stringMatching(/\/openshell\.spec lacks this line in its section \[Service\]: Environment=/),
  ]);
  mkdirSync(join(root, PRODUCT.debianUnit));
  expect((await check(root)).stderr).toContain(`error: ${root}/${PRODUCT.debianUnit} cannot be read`);
});

test('no checkout, and arguments that it does not take, are status 2', async () => {
  const root = checkout();
  expect((await check('/')).status).toBe(2);
  expect(await check(root, ['deb'])).toMatchObject({ status: 2, stdout: '' });
});

const real = realCheckout.path;

describe('a real checkout', realCheckout.options, () => {
  test('its units are right', async () => {
    expect(await check(real)).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(real, PRODUCT.rpmSpec), 'utf8')).toContain('%%h');
  });
});
