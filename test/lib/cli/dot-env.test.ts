// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDotEnv, withDotEnv } from '../../../lib/cli/dot-env.ts';
import { runProcess, SUITE_ROOT } from '../../support/run-task.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A checkout with this `.env`. */
function checkoutWith(text: string | undefined): string {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'crates/openshell-server'), { recursive: true });
  writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
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
    const { stdout } = await runProcess(join(SUITE_ROOT, 'node_modules/.bin/mise'), ['env', '--json'], {
      cwd: root,
      env,
    });
    const { PATH: _, ...ofMise } = JSON.parse(stdout);
    const ours = parseDotEnv('.env', text);
    expect(ours).toEqual(ofMise);
    if (end === '\n') expect(ours).toEqual(VALUES);
  });

  test.each([
    ['A=a#b', "has a value for 'A'"],
    ['A=$HOME/x', "has a value for 'A'"],
    ['A="$HOME"', "has a value for 'A'"],
    ['A=a b', "has a value for 'A'"],
    ['A="a"b', "has a value for 'A'"],
    ["A='it''s'", "has a value for 'A'"],
    ['A=a\\nb', "has a value for 'A'"],
    ['A="\\t"', "has a value for 'A'"],
    ['A=`x`', "has a value for 'A'"],
    ['A="open', "has a value for 'A'"],
    ['A=\0', "has a value for 'A'"],
    ['export A', 'is neither NAME=value nor a comment'],
    ['A-b=1', 'is neither NAME=value nor a comment'],
    ['<<<<<<< HEAD', 'is neither NAME=value nor a comment'],
  ])('%j, which programs read differently, is refused by its line, without the value', (line, problem) => {
    const refusal = refusalOf(() => parseDotEnv('/co/.env', `FIRST=1\n# two\n${line}\nB=2\n`));
    expect(refusal).toMatch(new RegExp(`^2: /co/.env: line 3 ${problem}`));
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

  test.each(['x', '\\n'])('AL-1: one that is larger than any value may be is one line: %j', (text) => {
    const root = checkoutWith(`A="${text.repeat(5_000_000)}"`);
    expect(refusalOf(() => withDotEnv({}, root))).toBe(`2: ${root}/.env has more than 1 MiB; make it smaller`);
  });

  test('one that cannot be read is one line', () => {
    const root = checkoutWith(undefined);
    // A file whose first bytes nobody can read, not even root.
    symlinkSync('/proc/self/mem', join(root, '.env'));
    expect(refusalOf(() => withDotEnv({}, root))).toMatch(/^2: .*\.env cannot be read; /);
  });

  test('as root for a user only what the tasks check: no file of a checkout says how root’s programs are loaded', () => {
    const text =
      'LD_PRELOAD=/x.so\nNODE_OPTIONS=--require=/x\nBASH_ENV=/x\nIMAGE_TAG=t\nOPENSHELL_GATEWAY=g\nDOCKER_HOST=x\n';
    const taken = { IMAGE_TAG: 't', OPENSHELL_GATEWAY: 'g' };
    expect(added(text, {}, true)).toEqual({
      env: taken,
      names: ['IMAGE_TAG', 'OPENSHELL_GATEWAY'],
      refused: ['LD_PRELOAD', 'NODE_OPTIONS', 'BASH_ENV', 'DOCKER_HOST'],
    });
    expect(added(text)).toMatchObject({
      env: { ...taken, DOCKER_HOST: 'x' },
      refused: ['LD_PRELOAD', 'NODE_OPTIONS', 'BASH_ENV'],
    });
  });

  test('VT-22: who the user is, and what is loaded into programs, is never taken from a file', () => {
    const names = [
      ...['SUDO_USER', 'SUDO_UID', 'SUDO_GID', 'HOME', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'LD_AUDIT', 'ENV', 'BASH_ENV'],
      ...['DYLD_INSERT_LIBRARIES', 'GCONV_PATH', 'NODE_OPTIONS', 'GIT_CONFIG_GLOBAL', 'GIT_EXEC_PATH'],
    ];
    const text = `A=1\n${names.map((name) => `${name}=/x\n`).join('')}`;
    expect(added(text)).toEqual({ env: { A: '1' }, names: ['A'], refused: names });
    // That of the user stays.
    expect(added('HOME=/evil\n', { HOME: '/home/me' }).env).toEqual({ HOME: '/home/me' });
  });
});
