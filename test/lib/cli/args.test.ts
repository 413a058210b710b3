// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Arguments,
  type Declaration,
  type FlagSpec,
  type PositionalSpec,
  parseArguments,
  positionalUsage,
} from '../../../lib/cli/args.ts';
import { describeError, shown } from '../../../lib/errors.ts';
import { anyText } from '../../support/any-text.ts';
import { refusalOf, taskErrorOf } from '../../support/task-errors.ts';

const FLAGS = {
  arch: { value: 'ARCH', help: 'Which machine.', choices: ['amd64', 'arm64', '-odd'] },
  name: { value: 'NAME', help: 'Called how.' },
  'no-proxy': { value: 'HOSTS', help: 'Which hosts.' },
  'dry-run': { help: 'Only look.' },
  'no-activate': { help: 'Leave the active one.' },
} as const;

const DECLARATION = {
  name: 'tasks/x.ts',
  summary: 'Does x.',
  positionals: {
    file: { help: 'Which.', count: 'one' },
    target: { help: 'What.', count: 'optional', choices: ['all', 'gateway'] },
  },
  flags: FLAGS,
} as const satisfies Declaration;

const MANY = {
  name: 'tasks/many.ts',
  summary: 'Does many.',
  positionals: {
    target: { help: 'What.', count: 'one', choices: ['all', 'gateway'] },
    file: { help: 'Which.', count: 'some' },
  },
  flags: FLAGS,
} as const satisfies Declaration;

const DEFAULTS = {
  arch: undefined,
  name: undefined,
  'no-proxy': undefined,
  'dry-run': false,
  'no-activate': false,
};

/** What every declaration gives. */
function parsed(declaration: Declaration, line: readonly string[]) {
  const { help, flags, positionals } = parseArguments(declaration, line);
  return { help, flags, positionals };
}

describe('what is taken', () => {
  test.each<[string[], Partial<Record<keyof typeof DEFAULTS, unknown>>, string, string?]>([
    [['f'], {}, 'f'],
    [['--arch', 'arm64', 'f'], { arch: 'arm64' }, 'f'],
    [['f', '--arch=arm64'], { arch: 'arm64' }, 'f'],
    [['--arch=-odd', 'f'], { arch: '-odd' }, 'f'],
    [['--name', '0010', '0010'], { name: '0010' }, '0010'],
    [['--name', '1e3', '0x10'], { name: '1e3' }, '0x10'],
    [['--name', 'false', 'true'], { name: 'false' }, 'true'],
    [['--name=a=b', 'f'], { name: 'a=b' }, 'f'],
    [['--name=a\nb', 'f'], { name: 'a\nb' }, 'f'],
    [['--name=--', 'f'], { name: '--' }, 'f'],
    [['--no-proxy', 'localhost', 'f'], { 'no-proxy': 'localhost' }, 'f'],
    [['--no-activate', 'f'], { 'no-activate': true }, 'f'],
    [['--dry-run', 'f'], { 'dry-run': true }, 'f'],
    [['--dry-run', '--', '--dry-run'], { 'dry-run': true }, '--dry-run'],
    [['-'], {}, '-'],
    [[''], {}, ''],
    [['f', 'gateway'], {}, 'f', 'gateway'],
    [['gateway'], {}, 'gateway'],
    [['f', '--name', 'n', 'all'], { name: 'n' }, 'f', 'all'],
  ])('%j', (line, flags, file, target) => {
    expect(parsed(DECLARATION, line)).toEqual({
      help: false,
      flags: { ...DEFAULTS, ...flags },
      positionals: { file, target },
    });
  });

  test.each<[string[], string, string[]]>([
    [['all', '--', '--', '-h'], 'all', ['--', '-h']],
    [['all', 'f', 'g'], 'all', ['f', 'g']],
    [['gateway', 'f'], 'gateway', ['f']],
    [['all', 'all'], 'all', ['all']],
  ])('%j: one, then the rest', (line, target, file) => {
    expect(parseArguments(MANY, line).positionals).toEqual({ target, file });
  });

  test('a switch does not swallow the argument after it', () => {
    const takesAny = { ...DECLARATION, positionals: { argument: { help: '', count: 'any' } } } as const;
    expect(parseArguments(takesAny, ['--dry-run', 'false', '--no-activate', 'true'])).toMatchObject({
      flags: { 'dry-run': true, 'no-activate': true },
      positionals: { argument: ['false', 'true'] },
    });
    expect(parseArguments(takesAny, []).positionals).toEqual({ argument: [] });
  });

  test.each([[['-h']], [['--help']], [['--help', '-h']], [['too', 'many', 'arguments', 'here', '-h']]])(
    '%j requests help, and positional arguments are then not counted',
    (line) => {
      expect(parseArguments(DECLARATION, line)).toMatchObject({ help: true, positionals: {} });
    },
  );

  test('a -h after -- is an argument', () => {
    expect(parseArguments(DECLARATION, ['--', '-h'])).toMatchObject({ help: false, positionals: { file: '-h' } });
  });

  test('the types are those of the declaration', () => {
    const { flags, positionals } = parseArguments(DECLARATION, ['f', '--arch=arm64']);
    const arch: 'amd64' | 'arm64' | '-odd' | undefined = flags.arch;
    const dryRun: boolean = flags['dry-run'];
    const file: string = positionals.file;
    const target: 'all' | 'gateway' | undefined = positionals.target;
    const files: readonly string[] = parseArguments(MANY, ['all', 'f']).positionals.file;
    expect([arch, dryRun, file, target, files]).toEqual(['arm64', false, 'f', undefined, ['f']]);
    // @ts-expect-error: an optional argument may be absent
    const absent: string = positionals.target;
    // @ts-expect-error: a flag with a value may be absent
    const value: string = flags.name;
    // @ts-expect-error: it is not declared
    const other = flags.other;
    expect([absent, value, other]).toEqual([undefined, undefined, undefined]);
  });
});

describe('what is refused', () => {
  const SEE = '; see tasks/x.ts --help';
  const ALLOWED = 'allowed are --arch, --name, --no-proxy, --dry-run, --no-activate, --help';
  test.each([
    [['--bogus', 'f'], `unknown option '--bogus'; ${ALLOWED}`],
    [['--bogus=1', 'f'], `unknown option '--bogus=1'; ${ALLOWED}`],
    [['-x', 'f'], `unknown option '-x'; ${ALLOWED}`],
    [['-help', 'f'], `unknown option '-help'; ${ALLOWED}`],
    [['--h', 'f'], `unknown option '--h'; ${ALLOWED}`],
    [['--help=no', 'f'], `unknown option '--help=no'; ${ALLOWED}`],
    [['-1', 'f'], `unknown option '-1'; ${ALLOWED}`],
    [['---', 'f'], `unknown option '---'; ${ALLOWED}`],
    [['--=x', 'f'], `unknown option '--=x'; ${ALLOWED}`],
    [['--Arch', 'f'], `unknown option '--Arch'; ${ALLOWED}`],
    [['--proxy', 'f'], `unknown option '--proxy'; ${ALLOWED}`],
    [['--no-dry-run', 'f'], `unknown option '--no-dry-run'; ${ALLOWED}`],
    [['--_', 'f'], `unknown option '--_'; ${ALLOWED}`],
    [['--__proto__', 'f'], `unknown option '--__proto__'; ${ALLOWED}`],
    [['--__proto__=x', 'f'], `unknown option '--__proto__=x'; ${ALLOWED}`],
    [['--constructor', 'f'], `unknown option '--constructor'; ${ALLOWED}`],
    [['--toString=1', 'f'], `unknown option '--toString=1'; ${ALLOWED}`],
    [['--a\nb', 'f'], `unknown option '--a\\nb'; ${ALLOWED}`],
    [['--arch', 'arm64', '--arch=amd64', 'f'], '--arch is given more than once; give it once'],
    [['--dry-run', '--dry-run', 'f'], '--dry-run is given more than once; give it once'],
    [['--arch'], '--arch needs a value: --arch ARCH'],
    [['--arch=', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '--', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '-odd', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '--dry-run', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', 'arm', 'f'], "--arch is 'arm'; allowed are amd64, arm64, -odd"],
    [['--arch', 'ARM64', 'f'], "--arch is 'ARM64'; allowed are amd64, arm64, -odd"],
    [['--dry-run=true', 'f'], "--dry-run takes no value (got 'true')"],
    [['--dry-run=false', 'f'], "--dry-run takes no value (got 'false')"],
    [['--dry-run=', 'f'], "--dry-run takes no value (got '')"],
    [[], '<file> is missing: Which'],
    [['--dry-run'], '<file> is missing: Which'],
    [['f', 'else'], "target is 'else'; allowed are all, gateway"],
    [['f', ''], "target is ''; allowed are all, gateway"],
    [['f', '--dry-run', 'false'], "target is 'false'; allowed are all, gateway"],
    [['f', 'all', 'h', 'i'], "unexpected argument 'h'; tasks/x.ts takes <file> [target]"],
  ])('%j', (line, message) => {
    expect(refusalOf(() => parseArguments(DECLARATION, line))).toBe(`2: ${message}${SEE}`);
  });

  test.each([
    [[], '<target> is missing: What'],
    [['all'], '<file> is missing: Which'],
    [['--dry-run', 'false', 'f'], "target is 'false'; allowed are all, gateway"],
    [['else', 'f'], "target is 'else'; allowed are all, gateway"],
  ])('%j where one is needed, and some', (line, message) => {
    expect(refusalOf(() => parseArguments(MANY, line))).toBe(`2: ${message}; see tasks/many.ts --help`);
  });

  test('an argument for a task that takes none', () => {
    const bare = { name: 'tasks/bare.ts', summary: 'Does it.' };
    expect(parsed(bare, [])).toEqual({ help: false, flags: {}, positionals: {} });
    expect(refusalOf(() => parseArguments(bare, ['x']))).toBe(
      "2: unexpected argument 'x'; tasks/bare.ts takes none; see tasks/bare.ts --help",
    );
    expect(refusalOf(() => parseArguments(bare, ['--flag']))).toContain('allowed are --help;');
  });

  test.each([
    ['one', '<x>'],
    ['optional', '[x]'],
    ['some', '<x>...'],
    ['any', '[x]...'],
  ] as const)('%s is written %s', (count, usage) => {
    expect(positionalUsage('x', { help: '', count })).toBe(usage);
  });
});

describe('arguments for another program', () => {
  const passing = {
    name: 'tasks/image.ts',
    summary: 'Builds.',
    positionals: { target: { help: 'What.', count: 'one', choices: ['gateway'] } },
    passThrough: { name: 'build-option', help: 'As they are.' },
    flags: { 'dry-run': { help: 'Only look.' } },
  } as const satisfies Declaration;
  const { positionals: _, ...passingAll } = passing;
  const given = (declaration: Declaration, line: readonly string[]) => {
    const { flags, positionals, passThrough } = parseArguments(declaration, line);
    return { dryRun: flags['dry-run'], positionals, passThrough };
  };

  test.each<[string[], boolean, string[]]>([
    [['gateway'], false, []],
    [['gateway', '--no-cache', '--build-arg', 'A=b', ''], false, ['--no-cache', '--build-arg', 'A=b', '']],
    [['--dry-run', 'gateway', '--no-cache'], true, ['--no-cache']],
    [['gateway', '--no-cache', '--dry-run', 'x'], true, ['--no-cache', 'x']],
    [['gateway', '--build-arg', 'dry-run', 'gateway'], false, ['--build-arg', 'dry-run', 'gateway']],
    [['gateway', '-x', '--', '--dry-run', '--help', '--'], false, ['-x', '--dry-run', '--help', '--']],
  ])('%j', (line, dryRun, passThrough) => {
    expect(given(passing, line)).toEqual({ dryRun, positionals: { target: 'gateway' }, passThrough });
    const withoutTarget = line.toSpliced(line.indexOf('gateway'), 1);
    expect(given(passingAll, withoutTarget)).toEqual({ dryRun, positionals: {}, passThrough });
  });

  test.each([
    [[], '<target> is missing'],
    [['--no-cache', 'gateway'], "unknown option '--no-cache'"],
    [['other'], "target is 'other'"],
    [['gateway', '--dry-run=true'], "--dry-run takes no value (got 'true')"],
    [['gateway', '--dry-run', 'x', '--dry-run'], '--dry-run is given more than once'],
  ])('%j is refused', (line, message) => {
    expect(refusalOf(() => parseArguments(passing, line))).toContain(`2: ${message}`);
  });

  test('-h is for the task', () => {
    expect(parseArguments(passing, ['gateway', '--no-cache', '-h']).help).toBe(true);
  });

  test('a task without another program has none', () => {
    expect(parseArguments(DECLARATION, ['f']).passThrough).toEqual([]);
  });
});

describe('a command for another program', () => {
  const commanding = {
    name: 'tasks/sandbox.ts',
    summary: 'Runs.',
    passThrough: { name: 'command', help: 'As it is.', isCommand: true },
    flags: { 'dry-run': { help: 'Only look.' } },
  } as const satisfies Declaration;

  test.each<[string[], boolean, string[]]>([
    [[], false, []],
    [['--dry-run'], true, []],
    [['ls', '--dry-run', '-h', '--'], false, ['ls', '--dry-run', '-h', '--']],
    [['--dry-run', 'ls', '-l'], true, ['ls', '-l']],
    [['--dry-run', '--', '--dry-run', '--help'], true, ['--dry-run', '--help']],
    [['--', '--', 'x'], false, ['--', 'x']],
    [['', 'x'], false, ['', 'x']],
  ])('%j: from its first argument on, no switch is the task’s', (line, dryRun, passThrough) => {
    const { help, flags, passThrough: passed } = parseArguments(commanding, line);
    expect({ help, dryRun: flags['dry-run'], passThrough: passed }).toEqual({ help: false, dryRun, passThrough });
  });

  test('a switch before it is the task’s, and has to be known', () => {
    expect(parseArguments(commanding, ['-h', 'ls']).help).toBe(true);
    expect(refusalOf(() => parseArguments(commanding, ['-l', 'ls']))).toContain("2: unknown option '-l'");
  });
});

const flagName = fc
  .oneof(fc.stringMatching(/^[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4}){0,2}$/), fc.constantFrom('no-x', 'x', 'true', 'no-no'))
  .filter((name) => name !== 'h' && name !== 'help');
const anyArgument = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  anyText({ maxLength: 8 }),
  fc.constantFrom(
    '',
    '-',
    '--',
    '0010',
    '1e3',
    'true',
    'false',
    '-h',
    '--help',
    '--__proto__',
    '--constructor=1',
    '-1',
  ),
);
const choices = fc.array(fc.constantFrom('a', 'b', 'true', '0010', '-x', 'ä'), { minLength: 1, maxLength: 4 });
const flagSpec: fc.Arbitrary<FlagSpec> = fc.oneof(
  fc.constant({ help: 'A switch.' }),
  fc.constant({ help: 'A value.', value: 'V' }),
  choices.map((values) => ({ help: 'A choice.', value: 'V', choices: values })),
);
const positional = (...counts: PositionalSpec['count'][]): fc.Arbitrary<PositionalSpec> =>
  fc
    .record({ count: fc.constantFrom(...counts), choices: fc.option(choices, { nil: undefined, freq: 4 }) })
    .map(({ count, choices: values }) => ({
      help: 'It.',
      count,
      ...(values === undefined ? {} : { choices: values }),
    }));
/** Needed ones first, then those that may be absent, the last one as often as it comes. */
const positionals: fc.Arbitrary<Record<string, PositionalSpec>> = fc
  .tuple(
    fc.array(positional('one'), { maxLength: 2 }),
    fc.array(positional('optional'), { maxLength: 1 }),
    fc.array(positional('some', 'any'), { maxLength: 1 }),
  )
  .map((specs) => Object.fromEntries(specs.flat().map((spec, index) => [`p${index}`, spec])));
const declaration = fc.record({
  name: fc.constant('tasks/any.ts'),
  summary: fc.constant('Any.'),
  flags: fc.dictionary(flagName, flagSpec, { maxKeys: 4 }),
  positionals,
});

/** Arguments that now and then hit the declaration. */
function argumentsFor(declared: { flags: Record<string, FlagSpec> }): fc.Arbitrary<string[]> {
  const names = Object.keys(declared.flags);
  const value = fc.oneof(anyArgument, fc.constantFrom('a', 'b', 'true', '0010'));
  const hits =
    names.length === 0
      ? [anyArgument]
      : [
          fc.constantFrom(...names).map((name) => `--${name}`),
          fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `--${name}=${text}`),
        ];
  return fc.array(fc.oneof(value, ...hits), { maxLength: 5 });
}

/** What was typed, read without any check. */
function asTyped(declared: { flags: Record<string, FlagSpec> }, line: readonly string[]) {
  const flags: Record<string, unknown> = Object.fromEntries(
    Object.entries(declared.flags).map(([name, spec]) => [name, spec.value === undefined ? false : undefined]),
  );
  const plain: string[] = [];
  let help = false;
  for (let at = 0; at < line.length; at++) {
    const argument = line[at] ?? '';
    if (argument === '--') return { help, flags, plain: [...plain, ...line.slice(at + 1)] };
    const name = argument.slice(2).split('=')[0] ?? '';
    if (argument === '-h' || argument === '--help') help = true;
    else if (!argument.startsWith('--')) plain.push(argument);
    else if (declared.flags[name]?.value === undefined) flags[name] = true;
    else flags[name] = argument.includes('=') ? argument.slice(argument.indexOf('=') + 1) : line[++at];
  }
  return { help, flags, plain };
}

/** Whether a value is as often as the count says. */
function fits(count: PositionalSpec['count'], value: unknown): boolean {
  if (count === 'one') return typeof value === 'string';
  if (count === 'optional') return value === undefined || typeof value === 'string';
  return Array.isArray(value) && (count === 'any' || value.length > 0);
}

describe('for any declaration', () => {
  test('the result is exactly what was typed, or one line that names what is wrong', () => {
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        declaration.chain((declared) => fc.tuple(fc.constant(declared), argumentsFor(declared))),
        ([declared, line]) => {
          let result: Arguments<typeof declared>;
          try {
            result = parseArguments(declared, line);
          } catch {
            refused++;
            const error = taskErrorOf(() => parseArguments(declared, line));
            expect(error.exitCode).toBe(2);
            expect(error.message).toBe(describeError(error));
            const names = [
              ...line.map((argument) => shown(argument)),
              ...line.map((argument) => shown(argument.slice(argument.indexOf('=') + 1))),
              ...Object.keys(declared.flags).map((name) => `--${name} `),
              ...Object.keys(declared.positionals).map((name) => `<${name}> is missing`),
            ];
            expect(names.filter((name) => error.message.includes(name))).not.toEqual([]);
            return;
          }
          taken++;
          const { help, flags } = result;
          const { plain, ...typed } = asTyped(declared, line);
          expect({ help, flags }).toEqual(typed);
          if (help) return;
          const given = Object.entries(result.positionals);
          expect(given.map(([name]) => name)).toEqual(Object.keys(declared.positionals));
          expect(given.flatMap(([, value]) => value ?? [])).toEqual(plain);
          for (const [name, value] of given) expect(fits(declared.positionals[name]?.count ?? 'one', value)).toBe(true);
        },
      ),
      { numRuns: 3000 },
    );
    // Neither side of the property may be empty.
    expect(taken).toBeGreaterThan(200);
    expect(refused).toBeGreaterThan(200);
  });

  test('what is written by the rules comes back unchanged', () => {
    const value = anyText({ minLength: 1, maxLength: 12 });
    const given = fc.uniqueArray(fc.tuple(flagName, fc.option(value, { nil: undefined }), fc.boolean()), {
      selector: ([name]) => name,
      maxLength: 5,
    });
    const plain = fc.array(anyArgument, { maxLength: 6 });
    fc.assert(
      fc.property(given, plain, plain, fc.infiniteStream(fc.boolean()), (flags, before, tail, coin) => {
        const declared = {
          name: 'tasks/any.ts',
          summary: 'Any.',
          flags: Object.fromEntries(
            flags.map(([name, text]) => [name, text === undefined ? { help: '' } : { help: '', value: 'V' }]),
          ),
          positionals: { argument: { help: '', count: 'any' } },
        } as const;
        const own = before.filter((argument) => !argument.startsWith('-') || argument === '-');
        const queue = flags.map(([name, text, joined]) => {
          if (text === undefined) return [`--${name}`];
          return joined || text.startsWith('-') ? [`--${name}=${text}`] : [`--${name}`, text];
        });
        const line: string[] = [];
        for (const argument of own) {
          while (queue.length > 0 && coin.next().value) line.push(...(queue.shift() ?? []));
          line.push(argument);
        }
        line.push(...queue.flat(), '--', ...tail);
        expect(parsed(declared, line)).toEqual({
          help: false,
          flags: Object.fromEntries(flags.map(([name, text]) => [name, text ?? true])),
          positionals: { argument: [...own, ...tail] },
        });
      }),
      { numRuns: 1000 },
    );
  });
});
