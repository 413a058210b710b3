// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Arguments,
  type Declaration,
  type FlagSpec,
  parseArguments,
  type WordSpec,
} from '../../../lib/cli/args.ts';
import { describeError, shown } from '../../../lib/errors.ts';
import { anyText } from '../../support/any-text.ts';
import { refusalOf, taskErrorOf } from '../../support/task-errors.ts';

const DECLARATION = {
  name: 'tasks/x.ts',
  summary: 'Does x.',
  words: [
    { name: 'target', help: 'What.', min: 0, max: 1, choices: ['all', 'gateway'] },
    { name: 'file', help: 'Which.', min: 1, max: 2 },
  ],
  flags: {
    arch: { value: 'ARCH', help: 'Which machine.', choices: ['amd64', 'arm64', '-odd'] },
    name: { value: 'NAME', help: 'Called how.' },
    'no-proxy': { value: 'HOSTS', help: 'Which hosts.' },
    'dry-run': { help: 'Only look.' },
    'no-activate': { help: 'Leave the active one.' },
  },
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
  const { help, flags, words } = parseArguments(declaration, line);
  return { help, flags, words };
}

describe('what is taken', () => {
  test.each<[string[], Partial<Record<keyof typeof DEFAULTS, unknown>>, string[]]>([
    [['f'], {}, ['f']],
    [['--arch', 'arm64', 'f'], { arch: 'arm64' }, ['f']],
    [['f', '--arch=arm64'], { arch: 'arm64' }, ['f']],
    [['--arch=-odd', 'f'], { arch: '-odd' }, ['f']],
    [['--name', '0010', '0010'], { name: '0010' }, ['0010']],
    [['--name', '1e3', '0x10'], { name: '1e3' }, ['0x10']],
    [['--name', 'false', 'true'], { name: 'false' }, ['true']],
    [['--name=a=b', 'f'], { name: 'a=b' }, ['f']],
    [['--name=a\nb', 'f'], { name: 'a\nb' }, ['f']],
    [['--name=--', 'f'], { name: '--' }, ['f']],
    [['--no-proxy', 'localhost', 'f'], { 'no-proxy': 'localhost' }, ['f']],
    [['--no-activate', 'f'], { 'no-activate': true }, ['f']],
    [['--dry-run', 'f'], { 'dry-run': true }, ['f']],
    [['--dry-run', '--', '--dry-run'], { 'dry-run': true }, ['--dry-run']],
    [['all', '--', '--', '-h'], {}, ['all', '--', '-h']],
    [['-'], {}, ['-']],
    [[''], {}, ['']],
    [['gateway', 'f'], {}, ['gateway', 'f']],
    [['gateway'], {}, ['gateway']],
    [['all', 'f', 'g'], {}, ['all', 'f', 'g']],
  ])('%j', (words, flags, expected) => {
    expect(parsed(DECLARATION, words)).toEqual({
      help: false,
      flags: { ...DEFAULTS, ...flags },
      words: expected,
    });
  });

  test('a switch does not swallow the word behind it', () => {
    const takesAll = { ...DECLARATION, words: [{ name: 'w', help: '', min: 0, max: 9 }] };
    expect(parseArguments(takesAll, ['--dry-run', 'false', '--no-activate', 'true'])).toMatchObject({
      flags: { 'dry-run': true, 'no-activate': true },
      words: ['false', 'true'],
    });
  });

  test.each([[['-h']], [['--help']], [['--help', '-h']], [['too', 'many', 'words', 'here', '-h']]])(
    '%j asks for help, and words are then not counted',
    (words) => {
      expect(parseArguments(DECLARATION, words).help).toBe(true);
    },
  );

  test('a -h behind -- is a word', () => {
    expect(parseArguments(DECLARATION, ['--', '-h'])).toMatchObject({ help: false, words: ['-h'] });
  });
});

describe('what is refused', () => {
  const SEE = '; see tasks/x.ts --help';
  const FLAGS = 'allowed are --arch, --name, --no-proxy, --dry-run, --no-activate, --help';
  test.each([
    [['--bogus', 'f'], `unknown option '--bogus'; ${FLAGS}`],
    [['--bogus=1', 'f'], `unknown option '--bogus=1'; ${FLAGS}`],
    [['-x', 'f'], `unknown option '-x'; ${FLAGS}`],
    [['-help', 'f'], `unknown option '-help'; ${FLAGS}`],
    [['--h', 'f'], `unknown option '--h'; ${FLAGS}`],
    [['--help=no', 'f'], `unknown option '--help=no'; ${FLAGS}`],
    [['-1', 'f'], `unknown option '-1'; ${FLAGS}`],
    [['---', 'f'], `unknown option '---'; ${FLAGS}`],
    [['--=x', 'f'], `unknown option '--=x'; ${FLAGS}`],
    [['--Arch', 'f'], `unknown option '--Arch'; ${FLAGS}`],
    [['--proxy', 'f'], `unknown option '--proxy'; ${FLAGS}`],
    [['--no-dry-run', 'f'], `unknown option '--no-dry-run'; ${FLAGS}`],
    [['--_', 'f'], `unknown option '--_'; ${FLAGS}`],
    [['--__proto__', 'f'], `unknown option '--__proto__'; ${FLAGS}`],
    [['--__proto__=x', 'f'], `unknown option '--__proto__=x'; ${FLAGS}`],
    [['--constructor', 'f'], `unknown option '--constructor'; ${FLAGS}`],
    [['--toString=1', 'f'], `unknown option '--toString=1'; ${FLAGS}`],
    [['--a\nb', 'f'], `unknown option '--a\\nb'; ${FLAGS}`],
    [['--arch', 'arm64', '--arch=amd64', 'f'], '--arch is given more than once; give it once'],
    [['--dry-run', '--dry-run', 'f'], '--dry-run is given more than once; give it once'],
    [['--arch'], '--arch needs a value: --arch ARCH'],
    [['--arch=', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '--', 'f'], '--arch needs a value: --arch ARCH'],
    [['--arch', '-odd', 'f'], "--arch needs a value, '-odd' follows; one with a dash: --arch=-..."],
    [['--arch', '--dry-run', 'f'], "--arch needs a value, '--dry-run' follows; one with a dash: --arch=-..."],
    [['--arch', 'arm', 'f'], "--arch is 'arm'; allowed are amd64, arm64, -odd"],
    [['--arch', 'ARM64', 'f'], "--arch is 'ARM64'; allowed are amd64, arm64, -odd"],
    [['--dry-run=true', 'f'], "--dry-run takes no value (got 'true')"],
    [['--dry-run=false', 'f'], "--dry-run takes no value (got 'false')"],
    [['--dry-run=', 'f'], "--dry-run takes no value (got '')"],
    [[], '<file> is missing: Which'],
    [['--dry-run'], '<file> is missing: Which'],
    [['else', 'f'], "target is 'else'; allowed are all, gateway"],
    [['--dry-run', 'false', 'f'], "target is 'false'; allowed are all, gateway"],
    [['all', 'f', 'g', 'h', 'i'], "unexpected word 'h'; tasks/x.ts takes [target] <file>..."],
  ])('%j', (words, message) => {
    expect(refusalOf(() => parseArguments(DECLARATION, words))).toBe(`2: ${message}${SEE}`);
  });

  test('a word for a task that takes none', () => {
    const bare = { name: 'tasks/bare.ts', summary: 'Does it.' };
    expect(parsed(bare, [])).toEqual({ help: false, flags: {}, words: [] });
    expect(refusalOf(() => parseArguments(bare, ['word']))).toBe(
      "2: unexpected word 'word'; tasks/bare.ts takes no words; see tasks/bare.ts --help",
    );
    expect(refusalOf(() => parseArguments(bare, ['--flag']))).toContain('allowed are --help;');
  });
});

describe('words for another program', () => {
  const passing = {
    name: 'tasks/image.ts',
    summary: 'Builds.',
    words: [{ name: 'target', help: 'What.', min: 1, max: 1, choices: ['gateway'] }],
    passedOn: { name: 'build-option', help: 'As they are.' },
    flags: { 'dry-run': { help: 'Only look.' } },
  } as const satisfies Declaration;
  const { words: _, ...wordless } = passing;
  const given = (declaration: Declaration, line: readonly string[]) => {
    const { flags, words, passedOn } = parseArguments(declaration, line);
    return { dryRun: flags['dry-run'], words, passedOn };
  };

  test.each<[string[], boolean, string[]]>([
    [['gateway'], false, []],
    [['gateway', '--no-cache', '--build-arg', 'A=b', ''], false, ['--no-cache', '--build-arg', 'A=b', '']],
    [['--dry-run', 'gateway', '--no-cache'], true, ['--no-cache']],
    [['gateway', '--no-cache', '--dry-run', 'x'], true, ['--no-cache', 'x']],
    [['gateway', '--build-arg', 'dry-run', 'gateway'], false, ['--build-arg', 'dry-run', 'gateway']],
    [['gateway', '-x', '--', '--dry-run', '--help', '--'], false, ['-x', '--dry-run', '--help', '--']],
  ])('%j', (line, dryRun, passedOn) => {
    expect(given(passing, line)).toEqual({ dryRun, words: ['gateway'], passedOn });
    const behind = line.filter((word, index) => word !== 'gateway' || index !== line.indexOf('gateway'));
    expect(given(wordless, behind)).toEqual({ dryRun, words: [], passedOn });
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
    expect(parseArguments(DECLARATION, ['f']).passedOn).toEqual([]);
  });
});

const flagName = fc
  .oneof(fc.stringMatching(/^[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4}){0,2}$/), fc.constantFrom('no-x', 'x', 'true', 'no-no'))
  .filter((name) => name !== 'h' && name !== 'help');
const anyWord = fc.oneof(
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
  choices.map((words) => ({ help: 'A choice.', value: 'V', choices: words })),
);
const wordSpec: fc.Arbitrary<WordSpec> = fc
  .record({
    name: fc.constantFrom('one', 'two'),
    min: fc.constantFrom(0, 0, 1, 2),
    more: fc.constantFrom(0, 1, 2, Number.POSITIVE_INFINITY),
    choices: fc.option(choices, { nil: undefined, freq: 4 }),
  })
  .map(({ name, min, more, choices: words }) => ({
    name,
    help: 'A word.',
    min,
    max: Math.max(1, min + more),
    ...(words === undefined ? {} : { choices: words }),
  }));
const declaration = fc.record({
  name: fc.constant('tasks/any.ts'),
  summary: fc.constant('Any.'),
  flags: fc.dictionary(flagName, flagSpec, { maxKeys: 4 }),
  words: fc.array(wordSpec, { maxLength: 3 }),
});

/** Words that now and then hit the declaration. */
function wordsFor(declared: { flags: Record<string, FlagSpec> }): fc.Arbitrary<string[]> {
  const names = Object.keys(declared.flags);
  const value = fc.oneof(anyWord, fc.constantFrom('a', 'b', 'true', '0010'));
  const hits =
    names.length === 0
      ? [anyWord]
      : [
          fc.constantFrom(...names).map((name) => `--${name}`),
          fc.tuple(fc.constantFrom(...names), value).map(([name, text]) => `--${name}=${text}`),
        ];
  return fc.array(fc.oneof(value, ...hits), { maxLength: 5 });
}

/** What was typed, read without any check. */
function asTyped(declared: { flags: Record<string, FlagSpec> }, words: readonly string[]) {
  const flags: Record<string, unknown> = Object.fromEntries(
    Object.entries(declared.flags).map(([name, spec]) => [name, spec.value === undefined ? false : undefined]),
  );
  const plain: string[] = [];
  let help = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '--') return { help, flags, words: [...plain, ...words.slice(at + 1)] };
    const name = word.slice(2).split('=')[0] ?? '';
    if (word === '-h' || word === '--help') help = true;
    else if (!word.startsWith('--')) plain.push(word);
    else if (declared.flags[name]?.value === undefined) flags[name] = true;
    else flags[name] = word.includes('=') ? word.slice(word.indexOf('=') + 1) : words[++at];
  }
  return { help, flags, words: plain };
}

describe('for any declaration', () => {
  test('the result is exactly what was typed, or one line that names what is wrong', () => {
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(
        declaration.chain((declared) => fc.tuple(fc.constant(declared), wordsFor(declared))),
        ([declared, words]) => {
          let result: Arguments<typeof declared>;
          try {
            result = parseArguments(declared, words);
          } catch {
            refused++;
            const error = taskErrorOf(() => parseArguments(declared, words));
            expect(error.exitCode).toBe(2);
            expect(error.message).toBe(describeError(error));
            const names = [
              ...words.map((word) => shown(word)),
              ...words.map((word) => shown(word.slice(word.indexOf('=') + 1))),
              ...Object.keys(declared.flags).map((name) => `--${name} `),
              ...declared.words.map((spec) => `<${spec.name}> is missing`),
            ];
            expect(names.filter((name) => error.message.includes(name))).not.toEqual([]);
            return;
          }
          taken++;
          const { help, flags, words: plain } = result;
          expect({ help, flags, words: plain }).toEqual(asTyped(declared, words));
          if (result.help) return;
          const least = declared.words.reduce((sum, { min }) => sum + min, 0);
          const most = declared.words.reduce((sum, { max }) => sum + max, 0);
          expect(result.words.length).toBeGreaterThanOrEqual(least);
          expect(result.words.length).toBeLessThanOrEqual(most);
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
    const plain = fc.array(anyWord, { maxLength: 6 });
    fc.assert(
      fc.property(given, plain, plain, fc.infiniteStream(fc.boolean()), (flags, words, tail, coin) => {
        const declared = {
          name: 'tasks/any.ts',
          summary: 'Any.',
          flags: Object.fromEntries(
            flags.map(([name, text]) => [name, text === undefined ? { help: '' } : { help: '', value: 'V' }]),
          ),
          words: [{ name: 'word', help: '', min: 0, max: Number.POSITIVE_INFINITY }],
        };
        const before = words.filter((word) => !word.startsWith('-') || word === '-');
        const queue = flags.map(([name, text, joined]) => {
          if (text === undefined) return [`--${name}`];
          return joined || text.startsWith('-') ? [`--${name}=${text}`] : [`--${name}`, text];
        });
        const line: string[] = [];
        for (const word of before) {
          while (queue.length > 0 && coin.next().value) line.push(...(queue.shift() ?? []));
          line.push(word);
        }
        line.push(...queue.flat(), '--', ...tail);
        expect(parsed(declared, line)).toEqual({
          help: false,
          flags: Object.fromEntries(flags.map(([name, text]) => [name, text ?? true])),
          words: [...before, ...tail],
        });
      }),
      { numRuns: 1000 },
    );
  });
});
