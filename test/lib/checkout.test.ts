// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { findCheckout, isCheckout, SUITE_ROOT } from '../../lib/checkout.ts';
import { SUITE_ROOT as TEST_SUITE_ROOT } from '../support/run-task.ts';
import { refusalOf } from '../support/task-errors.ts';
import { temporaryDirectory } from '../support/temporary.ts';

let directory: string;
let suite: string;
beforeEach(() => {
  directory = temporaryDirectory();
  suite = join(directory, 'suite');
  mkdirSync(suite);
});

/** A checkout below the test's directory; gives its path. */
function checkout(name: string, manifest = '# comment\n[workspace]\nmembers = []\n'): string {
  const root = join(directory, name);
  mkdirSync(join(root, 'crates/openshell-server'), { recursive: true });
  writeFileSync(join(root, 'Cargo.toml'), manifest);
  return root;
}

describe('OPENSHELL_ROOT', () => {
  test('absolute, and relative to where the task was started', () => {
    const root = checkout('named');
    expect(findCheckout({ OPENSHELL_ROOT: root }, '/', suite)).toBe(root);
    expect(findCheckout({ OPENSHELL_ROOT: 'named' }, directory, suite)).toBe(root);
    expect(findCheckout({ OPENSHELL_ROOT: '../named/.' }, suite, suite)).toBe(root);
  });

  test('wins over the directory of the suite and over the current one', () => {
    const root = checkout('named');
    expect(findCheckout({ OPENSHELL_ROOT: root }, checkout('current'), checkout('suite'))).toBe(root);
  });

  test('set but empty is unset', () => {
    const current = checkout('current');
    expect(findCheckout({ OPENSHELL_ROOT: '' }, current, suite)).toBe(current);
  });

  test.each(['nowhere', '.', 'Cargo.toml', '/', ' ', '~', 'x'.repeat(300), 'a\nb'])(
    '%j is not a checkout: an error, and no look elsewhere',
    (value) => {
      const current = checkout('current');
      mkdirSync(join(directory, 'start'));
      expect(refusalOf(() => findCheckout({ OPENSHELL_ROOT: value }, join(directory, 'start'), current))).toMatch(
        /^2: OPENSHELL_ROOT is '.+', which is not an OpenShell checkout \(it needs a Cargo\.toml with \[workspace\] and crates\/openshell-server\); set it to one or unset it$/,
      );
    },
  );

  test('a link that goes in a circle is not a checkout either', () => {
    symlinkSync(join(directory, 'loop'), join(directory, 'loop'));
    expect(refusalOf(() => findCheckout({ OPENSHELL_ROOT: 'loop' }, directory, suite))).toMatch(
      /^2: OPENSHELL_ROOT is/,
    );
  });

  test.each(['new\nline', "it's", 'quo"te', 'x;touch PWNED;#', '$HOME', 'ü ä', '[brackets]'])(
    'in a directory %j',
    (name) => {
      const root = checkout(name);
      expect(findCheckout({ OPENSHELL_ROOT: root }, '/', suite)).toBe(root);
      expect(findCheckout({}, join(root, 'crates'), suite)).toBe(root);
    },
  );
});

describe('without it', () => {
  test('the directory that the suite lives in, when that is a checkout', () => {
    const root = checkout('suite');
    expect(findCheckout({}, checkout('current'), suite)).toBe(root);
  });

  test('the checkout that the suite lives in, however deep, wherever the task was started', () => {
    const root = checkout('outer');
    const inner = join(root, 'tools/openshell-tasks');
    mkdirSync(inner, { recursive: true });
    expect(findCheckout({}, checkout('current'), inner)).toBe(root);
    expect(findCheckout({}, '/', inner)).toBe(root);
  });

  test('the suite is where lib/ is', () => {
    expect(SUITE_ROOT).toBe(TEST_SUITE_ROOT);
  });

  test('else the nearest directory at or above the current one', () => {
    const outer = checkout('outer');
    const inner = checkout('outer/crates/inner');
    mkdirSync(join(inner, 'a/b'), { recursive: true });
    expect(findCheckout({}, outer, suite)).toBe(outer);
    expect(findCheckout({}, join(inner, 'a/b'), suite)).toBe(inner);
    expect(findCheckout({}, inner, suite)).toBe(inner);
    expect(findCheckout({}, join(outer, 'crates/openshell-server'), suite)).toBe(outer);
  });

  test('none: one line that says how to name one', () => {
    mkdirSync(join(directory, 'a\nb'));
    expect(refusalOf(() => findCheckout({}, join(directory, 'a\nb'), suite))).toBe(
      `2: no OpenShell checkout at or above '${directory}/a\\nb'; ` +
        'start the task inside one, or set OPENSHELL_ROOT to its path',
    );
  });
});

test('a link to a checkout gives the real path', () => {
  const root = checkout('real');
  symlinkSync(root, join(directory, 'link'));
  expect(findCheckout({ OPENSHELL_ROOT: 'link' }, directory, suite)).toBe(root);
  expect(findCheckout({}, join(directory, 'link', 'crates'), suite)).toBe(root);
  expect(findCheckout({}, directory, join(directory, 'link'))).toBe(root);
});

describe('what a checkout is', () => {
  test.each([
    ['[workspace]\n', true],
    ['  [workspace] # all\r\n', true],
    ['[package]\nname = "x"\n\n[workspace]\n', true],
    ['[workspace.package]\nversion = "0.0.0"\n', false],
    ['# [workspace]\n', false],
    ['[package]\nname = "x"\n', false],
    ['', false],
  ])('the manifest %j: %j', (manifest, is) => {
    expect(isCheckout(checkout('x', manifest))).toBe(is);
  });

  test('neither .git nor Cargo.lock is needed, the server crate and a readable manifest are', () => {
    const root = checkout('x');
    expect(isCheckout(root)).toBe(true);
    rmSync(join(root, 'crates/openshell-server'), { recursive: true });
    expect(isCheckout(root)).toBe(false);
    writeFileSync(join(root, 'crates/openshell-server'), 'a file');
    expect(isCheckout(root)).toBe(false);
    const other = checkout('y');
    rmSync(join(other, 'Cargo.toml'));
    mkdirSync(join(other, 'Cargo.toml'));
    expect(isCheckout(other)).toBe(false);
  });
});
