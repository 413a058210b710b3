// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { findCheckout, isCheckout, parseDotEnv, SUITE_ROOT, withDotEnv } from '../../lib/checkout.ts';
import { runProcess, SUITE_ROOT as TEST_SUITE_ROOT } from '../support/run-task.ts';
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

/** A checkout with this `.env`. */
function checkoutWith(text: string | undefined): string {
  directory = temporaryDirectory();
  const root = checkout('co');
  if (text !== undefined) writeFileSync(join(root, '.env'), text);
  return root;
}

const CLEAR = [
  '# a comment "with" $everything',
  '',
  'PORT=18602',
  'export NAME=mine',
  '  SPACED = x ',
  'EMPTY=',
  'BLANK= ',
  "AFTER='a'",
  'COMMENTED=a # b',
  'URL=http://u:p@h:1/x?a=1&b=2;c',
  'DOUBLE="a # b, it\'s\\n two"',
  "SINGLE='$HOME `x` \\n #'",
  'LINES="1',
  '2"',
  "MORE='1",
  "2'",
  'DOTTED.name=ünï',
  'PORT=18603',
].join('\n');

const VALUES = {
  ...{ PORT: '18603', NAME: 'mine', SPACED: 'x', EMPTY: '', BLANK: '', AFTER: 'a', COMMENTED: 'a' },
  ...{ URL: 'http://u:p@h:1/x?a=1&b=2;c', DOUBLE: "a # b, it's\n two", SINGLE: '$HOME `x` \\n #' },
  ...{ LINES: '1\n2', MORE: '1\n2', 'DOTTED.name': 'ünï' },
};

describe('R17: the text of a .env', () => {
  test.each(['\n', '\r\n'])('is read as real mise reads it, with lines that end in %j', async (end) => {
    const text = end === '\n' ? CLEAR : CLEAR.replaceAll(/"1\n2"|'1\n2'/g, '1').replaceAll('\n', end);
    const root = temporaryDirectory();
    writeFileSync(join(root, '.env'), text);
    writeFileSync(join(root, 'mise.toml'), '[env]\n_.file = ".env"\n');
    const own = Object.fromEntries(['DATA', 'CACHE', 'CONFIG'].map((name) => [`MISE_${name}_DIR`, join(root, name)]));
    const env = { ...own, HOME: root, PATH: '/usr/bin:/bin', MISE_TRUSTED_CONFIG_PATHS: root, MISE_OFFLINE: '1' };
    const { stdout } = await runProcess(join(TEST_SUITE_ROOT, 'node_modules/.bin/mise'), ['env', '--json'], {
      cwd: root,
      env,
    });
    const { PATH: _, ...ofMise } = JSON.parse(stdout);
    const ours = parseDotEnv('.env', text);
    expect(ours).toEqual(ofMise);
    if (end === '\n') expect(ours).toEqual(VALUES);
  });

  test.each([
    'A=a#b',
    'A=$HOME/x',
    'A="$HOME"',
    'A=a b',
    'A="a"b',
    "A='it''s'",
    'A=a\\nb',
    'A="\\t"',
    'A=`x`',
    'A="open',
    'A=\0',
    'export A',
    'A-b=1',
    '<<<<<<< HEAD',
  ])('%j, which programs read differently, is refused by its line, without the value', (line) => {
    const refusal = refusalOf(() => parseDotEnv('/co/.env', `FIRST=1\n# two\n${line}\nB=2\n`));
    expect(refusal).toBe(
      '2: /co/.env: line 3 is not NAME=value as every program reads it; put the value itself in single quotes',
    );
  });
});

describe('R17: what it adds to the environment', () => {
  const added = (text: string | undefined, env: Record<string, string> = {}, isRootForUser = false) => {
    const OPENSHELL_ROOT = checkoutWith(text);
    const result = withDotEnv({ OPENSHELL_ROOT, ...env }, '/', isRootForUser);
    const { OPENSHELL_ROOT: _, ...rest } = result.env;
    return { env: rest, names: result.added?.names, refused: result.added?.refused };
  };

  test('the environment wins, set but empty too; what is the same is not said', () => {
    const env = { A: 'mine', B: '', C: 'same' };
    expect(added('A=1\nB=2\nC=same\nD=4\n', env)).toEqual({ env: { ...env, D: '4' }, names: ['D'], refused: [] });
    expect(added('A=1\nC=same\n', { A: '1', C: 'same' }).names).toBeUndefined();
  });

  test('no file, an empty one, no checkout: nothing', () => {
    expect(added(undefined).names).toBeUndefined();
    expect(added('').names).toBeUndefined();
    expect(withDotEnv({ A: '1' }, '/nowhere')).toEqual({ env: { A: '1' } });
  });

  test('a directory, or a pipe, is not read; a link to a file is', () => {
    const root = checkoutWith(undefined);
    mkdirSync(join(root, '.env'));
    expect(withDotEnv({}, root).added).toBeUndefined();
    const other = checkoutWith(undefined);
    execFileSync('mkfifo', [join(other, '.env')]);
    expect(withDotEnv({}, other).added).toBeUndefined();
    const linked = checkoutWith(undefined);
    execFileSync('ln', ['-s', join(checkoutWith('A=1'), '.env'), join(linked, '.env')]);
    expect(withDotEnv({}, join(linked, 'crates')).env).toEqual({ A: '1' });
  });

  test('one that cannot be read is one line', () => {
    const root = checkoutWith(undefined);
    // A file whose first bytes nobody can read, not even root.
    symlinkSync('/proc/self/mem', join(root, '.env'));
    expect(() => withDotEnv({}, root)).toThrow(expect.objectContaining({ syscall: 'read', path: join(root, '.env') }));
  });

  test('VT-22: as root for a user only what the tasks check: no file of a checkout says how root’s programs are loaded', () => {
    const text =
      'LD_PRELOAD=/x.so\nNODE_OPTIONS=--require=/x\nBASH_ENV=/x\nIMAGE_TAG=t\nOPENSHELL_GATEWAY=g\nDOCKER_HOST=x\n';
    const taken = { IMAGE_TAG: 't', OPENSHELL_GATEWAY: 'g' };
    expect(added(text, {}, true)).toEqual({
      env: taken,
      names: ['IMAGE_TAG', 'OPENSHELL_GATEWAY'],
      refused: ['LD_PRELOAD', 'NODE_OPTIONS', 'BASH_ENV', 'DOCKER_HOST'],
    });
    expect(added(text)).toMatchObject({ env: { ...taken, DOCKER_HOST: 'x' }, refused: [] });
  });
});
