// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  argvText,
  type Command,
  type CommandOptions,
  childEnvironment,
  cmd,
  commandText,
  echoText,
  scriptQuote,
  shellQuote,
} from '../../../lib/process/command.ts';
import { anyWord } from '../../support/any-text.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const AT = { cwd: '/checkout' };

/** A command of these arguments. */
const command = (argv: readonly (string | number)[], options: CommandOptions = AT): Command => cmd(options)`${argv}`;

describe('a command looks like one', () => {
  test('blanks separate arguments, however many there are, and line breaks too', () => {
    expect(cmd(AT)`cargo zigbuild --release`.argv).toEqual(['cargo', 'zigbuild', '--release']);
    expect(
      cmd(AT)`
        docker \t run
          --rm
      `.argv,
    ).toEqual(['docker', 'run', '--rm']);
  });

  test('what is not said is empty, and what is said is kept', () => {
    expect(cmd(AT)`cargo build`).toEqual({
      argv: ['cargo', 'build'],
      cwd: '/checkout',
      env: {},
      base: {},
      asInvoker: false,
    });
    const options = { cwd: '/c', env: { A: '1' }, base: { B: '2' }, asInvoker: true };
    expect(cmd(options)`x`).toEqual({ argv: ['x'], ...options });
  });

  test('an interpolation is one argument, whatever it holds', () => {
    const texts = ['a b', '', '*', '$HOME', "it's", 'new\nline', '"', '\\', '-x', '`date`'];
    for (const text of texts) expect(cmd(AT)`cargo -p ${text} x`.argv).toEqual(['cargo', '-p', text, 'x']);
    expect(cmd(AT)`${'my program'} x`.argv).toEqual(['my program', 'x']);
    expect(cmd(AT)`cargo -j ${2} ${0.5} ${-1}`.argv).toEqual(['cargo', '-j', '2', '0.5', '-1']);
  });

  test('text beside an interpolation belongs to the same argument', () => {
    const [name, value, n] = ['a b', "it's", 4];
    expect(cmd(AT)`docker --build-arg=${name}=${value} -j${n}x${''}`.argv).toEqual([
      'docker',
      "--build-arg=a b=it's",
      '-j4x',
    ]);
    expect(cmd(AT)`${'/opt'}/bin/tool x${''} ${''}y`.argv).toEqual(['/opt/bin/tool', 'x', 'y']);
    expect(cmd(AT)`tool ${'a'}${'b'} ${''}${''}`.argv).toEqual(['tool', 'ab', '']);
  });

  test('a list is several arguments, or none', () => {
    expect(cmd(AT)`cargo ${['build', '-j', 2, 'a b', '']} --locked`.argv).toEqual([
      ...['cargo', 'build', '-j', '2', 'a b', '', '--locked'],
    ]);
    expect(cmd(AT)`cargo ${[]} build ${[]}`.argv).toEqual(['cargo', 'build']);
    expect(cmd(AT)`${['cargo']} ${['build']}`.argv).toEqual(['cargo', 'build']);
  });

  test('a list that stands inside an argument is refused', () => {
    const message = new TypeError('a list stands inside an argument of a command');
    expect(() => cmd(AT)`cargo -p${['a']}`).toThrow(message);
    expect(() => cmd(AT)`cargo ${['a']}x`).toThrow(message);
    expect(() => cmd(AT)`cargo ${'x'}${['a']}`).toThrow(message);
    expect(() => cmd(AT)`cargo ${['a']}${['b']}`).toThrow(message);
    expect(() => cmd(AT)`cargo ${['a']}${'b'}`).toThrow(message);
  });

  test('quotes are refused: no shell would take them off', () => {
    expect(() => cmd(AT)`cargo -p 'a b'`).toThrow(new TypeError("the text of a command holds a quote: cargo -p 'a b'"));
    expect(() => cmd(AT)`cargo "${'x'}"`).toThrow(TypeError);
    expect(() => cmd(AT)`cargo \\ x`).toThrow(TypeError);
    expect(() => cmd(AT)`cargo \`x\``).toThrow(TypeError);
    expect(cmd(AT)`cargo $HOME * ~ ; | & $(x) {a,b}`.argv).toEqual([
      ...['cargo', '$HOME', '*', '~', ';', '|', '&', '$(x)', '{a,b}'],
    ]);
  });

  test.each<[unknown, string]>([
    [undefined, 'undefined'],
    [null, 'object'],
    [true, 'boolean'],
    [false, 'boolean'],
    [Number.NaN, 'number'],
    [Number.POSITIVE_INFINITY, 'number'],
    [{ toString: () => 'x' }, 'object'],
    [() => 'x', 'function'],
    [Symbol('x'), 'symbol'],
    [1n, 'bigint'],
    [new String('x'), 'object'],
    [Promise.resolve('x'), 'object'],
  ])('%o is not an argument', (value, type) => {
    const message = `an argument of a command is ${type}, not a finite number or text without NUL bytes`;
    expect(() => cmd(AT)`cargo ${value as string}`).toThrow(new TypeError(message));
    expect(() => cmd(AT)`cargo ${[value as string]}`).toThrow(new TypeError(message));
    expect(() => cmd(AT)`cargo x=${value as string}`).toThrow(new TypeError(message));
    expect(() => cmd(AT)`${value as string} x`).toThrow(TypeError);
  });

  test('a list in a list is not an argument', () => {
    const message = 'a list stands inside an argument of a command';
    expect(() => cmd(AT)`cargo ${['a', ['b'] as unknown as string]}`).toThrow(new TypeError(message));
  });

  test('a NUL byte cannot be passed to a program', () => {
    const message = new TypeError('an argument of a command is string, not a finite number or text without NUL bytes');
    expect(() => cmd(AT)`cargo ${'a\0b'}`).toThrow(message);
    expect(() => cmd(AT)`cargo ${['a\0b']}`).toThrow(message);
    expect(() => cmd(AT)`cargo x${'a\0b'}`).toThrow(message);
  });

  test('without the name of a program there is no command', () => {
    const message = new TypeError('a command needs the name of a program');
    expect(() => cmd(AT)``).toThrow(message);
    expect(() => cmd(AT)` `).toThrow(message);
    expect(() => cmd(AT)`${''}`).toThrow(message);
    expect(() => cmd(AT)`${[]}`).toThrow(message);
    expect(() => cmd(AT)`${['', 'x']}`).toThrow(message);
  });

  test('what is refused when it runs does not compile either', () => {
    const maybe = undefined as string | undefined;
    const some = ['a', undefined];
    // @ts-expect-error: undefined
    expect(() => cmd(AT)`cargo ${maybe}`).toThrow(TypeError);
    // @ts-expect-error: null
    expect(() => cmd(AT)`cargo ${null}`).toThrow(TypeError);
    // @ts-expect-error: a boolean
    expect(() => cmd(AT)`cargo ${some.length > 1 && '--all'}`.argv).not.toThrow();
    // @ts-expect-error: a list that may hold undefined
    expect(() => cmd(AT)`cargo ${some}`).toThrow(TypeError);
    // @ts-expect-error: a list of lists
    expect(() => cmd(AT)`cargo ${[['a']]}`).toThrow(TypeError);
    // @ts-expect-error: an object
    expect(() => cmd(AT)`cargo ${{}}`).toThrow(TypeError);
    // @ts-expect-error: no directory
    expect(() => cmd({})`cargo`).not.toThrow();
  });

  test('for any texts: they come out as they went in', () => {
    const argument = fc.oneof(anyWord(8), fc.constantFrom('', ' ', "'", '"', '\\', '`'));
    fc.assert(
      fc.property(argument, fc.array(argument), argument, (one, many, last) => {
        expect(cmd(AT)`tool ${one} --x=${last} ${many} ${last}${one}`.argv).toEqual([
          ...['tool', one, `--x=${last}`, ...many, `${last}${one}`],
        ]);
      }),
    );
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
    [['a', 'tab\t', 'nl\n', 'esc\u001b', 'é\n'], {}, "a $'tab\\x09' $'nl\\x0a' $'esc\\x1b' $'\\xc3\\xa9\\x0a'"],
    [['a', 'é', '~', '$HOME', '*', '!x', '#'], {}, "a 'é' '~' '$HOME' '*' '!x' '#'"],
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
  });

  test('what comes with the tool chain is not shown: neither in a dry run nor in the echo', () => {
    const value = cmd({ ...AT, base: { PATH: '/mise/bin', RUSTC_WRAPPER: 'sccache' }, env: { A: '1' } })`cargo build`;
    expect(commandText(value)).toBe('A=1 cargo build');
    expect(echoText(value)).toBe('A=1 cargo build');
  });
});

/** Arguments that a process can be given: anything but NUL, as UTF-8 can carry it. */
const argument = fc.oneof(
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
  rest: fc.array(argument, { maxLength: 5 }),
  env: fc.dictionary(name, fc.option(argument, { nil: undefined, freq: 5 }), { maxKeys: 3, noNullPrototype: true }),
});

/** Prints the values of the variables named in `$NAMES`, then its arguments, each with a NUL after it. */
const SHOW = `#!/bin/bash
for name in $NAMES; do if [ -n "\${!name+set}" ]; then printf 'set:%s\\0' "\${!name}"; else printf 'unset\\0'; fi; done
printf '%s\\0' "$#" "$@"
`;

/** What bash makes of lines: for each the variables and arguments that the program gets. */
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
  test.each(['show', 'with blank', "it's", '$x', 'new\nline', 'a;b'])('a program in the directory %j', (directory) => {
    const at = join(temporaryDirectory(), directory);
    mkdirSync(at);
    writeFileSync(join(at, 'show'), SHOW, { mode: 0o755 });
    const value = command([join(at, 'show'), 'x'], { ...AT, env: { FAKE_A: 'a b' } });
    expect(throughBash([value])).toEqual(expected(value));
  });

  test('any arguments, any values, variables that are removed', () => {
    const program = join(temporaryDirectory(), 'show');
    writeFileSync(program, SHOW);
    chmodSync(program, 0o755);
    fc.assert(
      fc.property(fc.array(line, { minLength: 10, maxLength: 10 }), (lines) => {
        const commands = lines.map(({ rest, env }) => command([program, ...rest], { ...AT, env }));
        expect(throughBash(commands)).toEqual(commands.flatMap(expected));
      }),
      { numRuns: 25 },
    );
    const removal = command([program], { ...AT, env: { FAKE_INHERITED: undefined } });
    expect(throughBash([removal])).toEqual(['unset', '0']);
  });

  test('thousands of arguments through the printf of bash itself', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 200, maxLength: 200 }), (texts) => {
        const text = `printf '%s\\0' ${texts.map(shellQuote).join(' ')}`;
        const result = spawnSync('bash', ['--norc', '-c', text], { stdio: ['ignore', 'pipe', 'inherit'] });
        expect(result.stdout.toString().split('\0').slice(0, -1)).toEqual(texts);
      }),
      { numRuns: 30 },
    );
  });

  test('DRY-8: a variable whose name is not one of a shell is quoted', () => {
    const env = { 'CC_<architecture: docker not reachable>_x': '1', A: '2' };
    const text = "env 'CC_<architecture: docker not reachable>_x'=1 A=2 cargo build";
    expect(commandText(cmd({ cwd: '/', env })`cargo build`)).toBe(text);
  });

  test('an argument that is shown never moves the cursor', () => {
    fc.assert(
      fc.property(argument, (text) => {
        expect(shellQuote(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });

  test('for a script, in single quotes or bare: any POSIX shell reads it', () => {
    fc.assert(
      fc.property(fc.array(argument, { minLength: 50, maxLength: 50 }), (texts) => {
        const text = `printf '%s\\0' ${texts.map(scriptQuote).join(' ')}`;
        const result = spawnSync('sh', ['-c', text], { stdio: ['ignore', 'pipe', 'inherit'] });
        expect(result.stdout.toString().split('\0').slice(0, -1)).toEqual(texts);
      }),
      { numRuns: 30 },
    );
  });
});

const INVOKER = { uid: 1000, gid: 1001, user: 'dev', home: '/home/dev' };
const TASK = { PATH: '/none', HOME: '/root', USER: 'root', A: 'task', B: 'task' };

describe('what a child gets', () => {
  test("the task's environment, over it what comes with the tool chain, over that what the command sets", () => {
    const command = cmd({
      cwd: '/',
      base: { PATH: '/mise/bin:/usr/bin', A: 'base', C: 'base', D: 'base' },
      env: { B: 'own', C: 'own', D: undefined },
    })`tool`;
    expect(childEnvironment(TASK, command, undefined)).toEqual({
      PATH: '/mise/bin:/usr/bin',
      HOME: '/root',
      USER: 'root',
      A: 'base',
      B: 'own',
      C: 'own',
      D: undefined,
    });
  });

  test('an empty value is a value', () => {
    const command = cmd({ cwd: '/', base: { A: 'base' }, env: { A: '' } })`tool`;
    expect(childEnvironment(TASK, command, undefined).A).toBe('');
  });
});

describe('under sudo', () => {
  test('a command that needs no privilege is of the user who called it, with that home', () => {
    const command = cmd({ cwd: '/', asInvoker: true })`cargo build`;
    expect(childEnvironment(TASK, command, INVOKER)).toEqual({ ...TASK, HOME: '/home/dev', USER: 'dev' });
  });

  test('the home is that one whatever the tool chain sets, unless the command itself says otherwise', () => {
    const options = { cwd: '/', asInvoker: true, base: { HOME: '/of/mise' } };
    expect(childEnvironment(TASK, cmd(options)`cargo`, INVOKER).HOME).toBe('/home/dev');
    expect(childEnvironment(TASK, cmd({ ...options, env: { HOME: '/own' } })`cargo`, INVOKER).HOME).toBe('/own');
  });

  test('any other command is as it was, and so is each without sudo', () => {
    const plain = cmd({ cwd: '/' })`docker info`;
    expect(childEnvironment(TASK, plain, INVOKER)).toEqual(TASK);
    const asInvoker = cmd({ cwd: '/', asInvoker: true })`cargo`;
    expect(childEnvironment(TASK, asInvoker, undefined)).toEqual(TASK);
  });
});
