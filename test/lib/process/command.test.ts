// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { argvText, type Command, command, commandText, echoText, shellQuote } from '../../../lib/process/command.ts';
import { anyWord } from '../../support/any-text.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const AT = { cwd: '/checkout' };

describe('making a command', () => {
  test('strings and finite numbers are words', () => {
    expect(command(['cargo', 'build', '-j', 2, 0.5, ''], AT)).toEqual({
      argv: ['cargo', 'build', '-j', '2', '0.5', ''],
      cwd: '/checkout',
      env: {},
      secret: false,
      asInvoker: false,
    });
  });

  test.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'null'],
    [true, 'boolean'],
    [false, 'boolean'],
    [Number.NaN, 'number'],
    [Number.POSITIVE_INFINITY, 'number'],
    [['a', 'b'], 'a list'],
    [{ toString: () => 'x' }, 'object'],
    [() => 'x', 'function'],
    [Symbol('x'), 'symbol'],
    [1n, 'bigint'],
    [new String('x'), 'object'],
  ])('%o is no word', (word, type) => {
    const message = `word 1 of a command is ${type}, not a string`;
    expect(() => command(['cargo', word], AT)).toThrow(new TypeError(message));
  });

  test('a NUL byte cannot be handed over', () => {
    expect(() => command(['cargo', 'a\0b'], AT)).toThrow(new TypeError('word 1 of a command holds a NUL byte'));
  });

  test.each([[[]], [['']], [['', 'x']]])('%j has no program', (words) => {
    expect(() => command(words, AT)).toThrow(new TypeError('a command needs the name of a program'));
  });
});

describe('the line that a user can paste', () => {
  test.each<[readonly [string, ...string[]], Command['env'], string]>([
    [['cargo', 'build'], {}, 'cargo build'],
    [['cargo', '--features', 'a b'], {}, "cargo --features 'a b'"],
    [['cargo', ''], { A: '' }, "A='' cargo ''"],
    [['cargo'], { A: '1', B: 'x y' }, "A=1 B='x y' cargo"],
    [['cargo'], { A: undefined, B: '1' }, 'env -u A B=1 cargo'],
    [["it's"], {}, "'it'\\''s'"],
    [['a', 'tab\t', 'nl\n', 'esc\u001b', 'é\n'], {}, "a $'tab\\x09' $'nl\\n' $'esc\\x1b' $'\\xc3\\xa9\\n'"],
    [['a', 'é', '~', '$HOME', '*', '!x', '#'], {}, "a 'é' '~' '$HOME' '*' '!x' '#'"],
    [['a=b', 'c=d'], {}, "''a=b c=d"],
  ])('%j with %j', (argv, env, text) => {
    expect(commandText(command(argv, { ...AT, env }))).toBe(text);
  });

  test('without the variables, for messages', () => {
    expect(argvText(command(['cargo', 'a b'], { ...AT, env: { A: '1' } }))).toBe("cargo 'a b'");
  });

  test('echoed: the variables too while they are few, else how many they are', () => {
    const withVariables = (count: number) =>
      command(['cargo', 'a b'], {
        ...AT,
        env: Object.fromEntries(Array.from({ length: count }, (_, n) => [`V${n}`, 'x'])),
      });
    expect(echoText(withVariables(3))).toBe(commandText(withVariables(3)));
    expect(echoText(withVariables(10))).toBe("cargo 'a b' # and 10 variables: --dry-run");
    expect(echoText({ ...withVariables(10), secret: true })).not.toContain('a b');
  });

  test('a secret command shows its program only', () => {
    const secret = command(['openshell', '--key', 'hunter2'], {
      ...AT,
      env: { TOKEN: 'hunter2', X: undefined },
      secret: true,
    });
    expect(commandText(secret)).toBe('openshell [arguments hidden]');
    expect(argvText(secret)).toBe('openshell [arguments hidden]');
  });
});

/** Words that a process can be given: anything but NUL, as UTF-8 can carry it. */
const word = fc.oneof(
  anyWord(12),
  fc.string({
    unit: fc.constantFrom("'", '"', '\\', '$', '`', '!', '\n', '\r', ' ', '\u001b', 'x', '0', '~', '=', '*'),
  }),
  fc.constantFrom(
    '',
    '-',
    '--',
    '-n',
    '-e',
    '~',
    '$(echo no)',
    '{a,b}',
    'a\u2028b',
    '\u009b2J',
    "$'x'",
    '\\',
    '%s',
    '%n',
  ),
);
const name = fc.stringMatching(/^FAKE_[A-Za-z0-9_]{1,6}$/);
const line = fc.record({
  words: fc.array(word, { maxLength: 5 }),
  env: fc.dictionary(name, fc.option(word, { nil: undefined, freq: 5 }), { maxKeys: 3, noNullPrototype: true }),
});

/** Prints the values of the variables named in `$NAMES`, then its words, each with a NUL behind it. */
const SHOW = `#!/bin/bash
for name in $NAMES; do if [ -n "\${!name+set}" ]; then printf 'set:%s\\0' "\${!name}"; else printf 'unset\\0'; fi; done
printf '%s\\0' "$#" "$@"
`;

/** What bash makes of lines: for each the variables and words that the program gets. */
function throughBash(commands: readonly Command[]): string[] {
  const script = commands.map((value) => `NAMES='${Object.keys(value.env).join(' ')}'\n${commandText(value)}\n`);
  const env = { PATH: process.env.PATH, NAMES: '', FAKE_INHERITED: 'yes' };
  const result = spawnSync('bash', ['--norc', '-c', script.join('')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  expect(result.stderr.toString()).toBe('');
  return result.stdout.toString().split('\0').slice(0, -1);
}

function expected(value: Command): string[] {
  const values = Object.values(value.env).map((text) => (text === undefined ? 'unset' : `set:${text}`));
  return [...values, String(value.argv.length - 1), ...value.argv.slice(1)];
}

describe('bash reads the line as it was meant', () => {
  test.each(['show', 'with blank', "it's", 'a=b', '$x', 'new\nline', 'a;b'])(
    'a program in the directory %j',
    (directory) => {
      const at = join(temporaryDirectory(), directory);
      mkdirSync(at);
      writeFileSync(join(at, 'show'), SHOW, { mode: 0o755 });
      const value = command([join(at, 'show'), 'x'], { ...AT, env: { FAKE_A: 'a b' } });
      expect(throughBash([value])).toEqual(expected(value));
    },
  );

  test('any words, any values, variables that are removed', () => {
    const program = join(temporaryDirectory(), 'show');
    writeFileSync(program, SHOW);
    chmodSync(program, 0o755);
    fc.assert(
      fc.property(fc.array(line, { minLength: 10, maxLength: 10 }), (lines) => {
        const commands = lines.map(({ words, env }) => command([program, ...words], { ...AT, env }));
        expect(throughBash(commands)).toEqual(commands.flatMap(expected));
      }),
      { numRuns: 25 },
    );
    const removal = command([program], { ...AT, env: { FAKE_INHERITED: undefined } });
    expect(throughBash([removal])).toEqual(['unset', '0']);
  });

  test('thousands of words through the printf of bash itself', () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 200, maxLength: 200 }), (words) => {
        const text = `printf '%s\\0' ${words.map(shellQuote).join(' ')}`;
        const result = spawnSync('bash', ['--norc', '-c', text], { stdio: ['ignore', 'pipe', 'inherit'] });
        expect(result.stdout.toString().split('\0').slice(0, -1)).toEqual(words);
      }),
      { numRuns: 30 },
    );
  });

  test('a word that is shown never moves the cursor', () => {
    fc.assert(
      fc.property(word, (text) => {
        expect(shellQuote(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });
});
