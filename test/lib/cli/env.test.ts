// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  definedOnly,
  firstOf,
  misspelt,
  notAllowed,
  parseBoolean,
  parseChoice,
  parseCount,
  readPath,
  readVariable,
  textOf,
} from '../../../lib/cli/env.ts';
import { VARIABLES, type Variable, type VariableName } from '../../../lib/cli/variables.ts';
import { describeError } from '../../../lib/errors.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('booleans: one dialect (fault L1)', () => {
  test.each(['1', 'true', 'yes', 'on', 'TRUE', 'True', 'YES', 'yEs', 'ON', 'On'])('%j is true', (value) => {
    expect(parseBoolean('X', value)).toBe(true);
  });

  test.each(['0', 'false', 'no', 'off', 'FALSE', 'False', 'NO', 'nO', 'OFF', 'Off'])('%j is false', (value) => {
    expect(parseBoolean('X', value)).toBe(false);
  });

  test.each([
    ['PREBUILT_AUTO_STAGE', true],
    ['DOCKER_PUSH', false],
  ] as const)('unset and empty are the default: %s is %j', (name, standard) => {
    expect(readVariable({}, name)).toBe(standard);
    expect(readVariable({ [name]: undefined }, name)).toBe(standard);
    expect(readVariable({ [name]: '' }, name)).toBe(standard);
    expect(readVariable({ [name]: standard ? 'no' : 'yes' }, name)).toBe(!standard);
  });

  test.each([
    ' true',
    'true ',
    '\ttrue',
    'true\n',
    ' ',
    '2',
    '-1',
    '00',
    '01',
    'y',
    'n',
    't',
    'f',
    'enabled',
    'truthy',
  ])('%j is refused', (value) => {
    expect(refusalOf(() => readVariable({ DOCKER_PUSH: value }, 'DOCKER_PUSH'))).toBe(
      `2: DOCKER_PUSH is '${value.replace('\n', '\\n').replace('\t', '\\t')}'; ` +
        'allowed are 1/true/yes/on, 0/false/no/off; change it or unset it',
    );
  });

  test('other values that the caller takes are named first', () => {
    expect(refusalOf(() => parseBoolean('X', 'maybe', ['auto', 'never']))).toBe(
      "2: X is 'maybe'; allowed are auto, never, 1/true/yes/on, 0/false/no/off; change it or unset it",
    );
  });

  test('there is no third way: every value is one of the eight, or is refused', () => {
    const allowed = ['1', 'true', 'yes', 'on', '0', 'false', 'no', 'off'];
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.mixedCase(fc.constantFrom(...allowed))), (value) => {
        const at = allowed.indexOf(value.toLowerCase());
        if (at >= 0) expect(parseBoolean('X', value)).toBe(at < 4);
        else expect(refusalOf(() => parseBoolean('X', value))).toMatch(/^2: X is '/);
      }),
    );
  });
});

describe('whole numbers', () => {
  test.each([
    ['1', 1],
    ['8192', 8192],
    ['0010', 10],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%j', (value, number) => {
    expect(parseCount('X', value, 1)).toBe(number);
  });

  test('unset and empty are the default, where there is one', () => {
    expect(readVariable({}, 'OPENSHELL_BUILD_NOFILE_LIMIT')).toBeUndefined();
    expect(readVariable({ OPENSHELL_BUILD_NOFILE_LIMIT: '' }, 'OPENSHELL_BUILD_NOFILE_LIMIT')).toBeUndefined();
    expect(readVariable({ OPENSHELL_DOWNLOAD_TIMEOUT: '' }, 'OPENSHELL_DOWNLOAD_TIMEOUT')).toBe(30);
  });

  test.each([
    '1e4',
    '0x10',
    '0b1',
    '0',
    '-1',
    '+1',
    ' 5',
    '5 ',
    '5\n',
    '5.0',
    '5.',
    '.5',
    '1_000',
    '1,000',
    '५',
    'five',
    'NaN',
    'Infinity',
    'unlimited',
    '9007199254740993',
    '9'.repeat(400),
  ])('%j is refused', (value) => {
    expect(refusalOf(() => parseCount('LIMIT', value, 1))).toMatch(
      /^2: LIMIT is '[^\n]+'; allowed is a whole number of at least 1; change it or unset it$/,
    );
  });

  test('the least number is allowed, the one below it is not', () => {
    expect(parseCount('X', '0', 0)).toBe(0);
    expect(parseCount('X', '7', 7)).toBe(7);
    expect(refusalOf(() => parseCount('X', '6', 7))).toBe(
      "2: X is '6'; allowed is a whole number of at least 7; change it or unset it",
    );
  });

  test('the least number of a variable is the declared one, else 1', () => {
    expect(readVariable({ SOURCE_DATE_EPOCH: '0' }, 'SOURCE_DATE_EPOCH')).toBe(0);
    expect(readVariable({ OPENSHELL_VM_GPU_VCPUS: '1' }, 'OPENSHELL_VM_GPU_VCPUS')).toBe(1);
    expect(refusalOf(() => readVariable({ OPENSHELL_VM_GPU_VCPUS: '0' }, 'OPENSHELL_VM_GPU_VCPUS'))).toBe(
      "2: OPENSHELL_VM_GPU_VCPUS is '0'; allowed is a whole number of at least 1; change it or unset it",
    );
  });
});

describe('choices', () => {
  const ALLOWED = ['auto', 'on', 'off'] as const;

  test('one of them; unset and empty are none', () => {
    expect(parseChoice('X', 'off', ALLOWED)).toBe('off');
    expect(readVariable({ SUPERVISOR_LIBC: 'musl' }, 'SUPERVISOR_LIBC')).toBe('musl');
    expect(readVariable({ SUPERVISOR_LIBC: '' }, 'SUPERVISOR_LIBC')).toBeUndefined();
    expect(readVariable({}, 'SUPERVISOR_LIBC')).toBeUndefined();
  });

  test.each(['OFF', ' off', 'of', 'auto,on', 'toString', '__proto__'])('%j is refused', (value) => {
    expect(refusalOf(() => parseChoice('X', value, ALLOWED))).toBe(
      `2: X is '${value}'; allowed are auto, on, off; change it or unset it`,
    );
    expect(refusalOf(() => readVariable({ SUPERVISOR_LIBC: value }, 'SUPERVISOR_LIBC'))).toBe(
      `2: SUPERVISOR_LIBC is '${value}'; allowed are musl, glibc-static; change it or unset it`,
    );
  });
});

test('text: set but empty is unset, blanks are a value', () => {
  expect(textOf({ X: ' ' }, 'X')).toBe(' ');
  expect(textOf({ X: '' }, 'X')).toBeUndefined();
  expect(textOf({}, 'X')).toBeUndefined();
});

describe('paths', () => {
  test('are absolute, relative to the directory that the task was started in; unset and empty are the default', () => {
    expect(readPath({ ZIG: 'tools/zig' }, 'ZIG', '/start here')).toBe('/start here/tools/zig');
    expect(readPath({ ZIG: '/opt/zig' }, 'ZIG', '/start here')).toBe('/opt/zig');
    expect(readPath({ ZIG: '' }, 'ZIG', '/start here')).toBeUndefined();
    expect(readPath({}, 'OPENSHELL_VM_DRIVER_STATE_ROOT', '/start here')).toBe('/tmp');
  });

  test('read as they are, they stay as they were written', () => {
    expect(readVariable({ ZIG: '../zig' }, 'ZIG')).toBe('../zig');
  });
});

describe('what a declaration says is what the types say', () => {
  test('a default is never undefined; without one it may be', () => {
    const push: boolean = readVariable({}, 'DOCKER_PUSH');
    const tag: string = readVariable({}, 'IMAGE_TAG');
    const patience: number = readVariable({}, 'OPENSHELL_DOWNLOAD_TIMEOUT');
    const root: string = readPath({}, 'OPENSHELL_VM_DRIVER_STATE_ROOT', '/');
    expect([push, tag, patience, root]).toEqual([false, 'dev', 30, '/tmp']);
    // @ts-expect-error: it has no default
    const limit: number = readVariable({}, 'OPENSHELL_BUILD_NOFILE_LIMIT');
    // @ts-expect-error: neither has this one
    const zig: string = readPath({}, 'ZIG', '/');
    expect([limit, zig]).toEqual([undefined, undefined]);
  });

  test('a choice is one of its values, and a kind is no other', () => {
    const libc: 'musl' | 'glibc-static' | undefined = readVariable({ SUPERVISOR_LIBC: 'musl' }, 'SUPERVISOR_LIBC');
    expect(libc).toBe('musl');
    // @ts-expect-error: it is a boolean
    const push: string = readVariable({}, 'DOCKER_PUSH');
    // @ts-expect-error: it is not a path
    expect(() => readPath({}, 'IMAGE_TAG', '/')).not.toThrow();
    // @ts-expect-error: nothing of this name is declared
    expect(() => readVariable({}, 'NO_SUCH_VARIABLE')).toThrow(TypeError);
    expect(push).toBe(false);
  });

  test.each(Object.keys(VARIABLES) as VariableName[])('%s: its default is one of its values', (name) => {
    const { kind, default: standard, otherwise, choices, min = 1 }: Variable = VARIABLES[name];
    expect(readVariable({}, name)).toBe(standard);
    const type = { boolean: 'boolean', count: 'number', text: 'string', path: 'string', choice: 'string' }[kind];
    if (standard !== undefined) expect(typeof standard).toBe(type);
    if (typeof standard === 'number') expect(standard).toBeGreaterThanOrEqual(min);
    if (choices !== undefined && standard !== undefined) expect(choices).toContain(standard);
    // Either a constant decides, or something that users are told of.
    expect(standard === undefined || otherwise === undefined).toBe(true);
    expect(typeof readVariable({ [name]: { boolean: 'on', choice: choices?.[0] }[kind as string] ?? '7' }, name)).toBe(
      type,
    );
  });
});

describe('one of several variables', () => {
  const NAMES = ['OPENSHELL_VM_GATEWAY_NAME', 'OPENSHELL_GATEWAY_NAME'] as const;

  test.each([
    [{ OPENSHELL_VM_GATEWAY_NAME: 'a', OPENSHELL_GATEWAY_NAME: 'b' }, 'OPENSHELL_VM_GATEWAY_NAME', 'a'],
    [{ OPENSHELL_VM_GATEWAY_NAME: '', OPENSHELL_GATEWAY_NAME: 'b' }, 'OPENSHELL_GATEWAY_NAME', 'b'],
    [{ OPENSHELL_GATEWAY_NAME: 'b' }, 'OPENSHELL_GATEWAY_NAME', 'b'],
    [{ OPENSHELL_GATEWAY_NAME: '' }, 'OPENSHELL_VM_GATEWAY_NAME', undefined],
    [{}, 'OPENSHELL_VM_GATEWAY_NAME', undefined],
  ])('%j: %s', (env, source, text) => {
    expect(firstOf(env, NAMES)).toEqual({ source, text });
  });
});

test('a value that is not allowed: the variable, the value on one line, what is allowed, what to do', () => {
  expect(describeError(notAllowed('X', 'a\nb', 'is a whole number'))).toBe(
    "X is 'a\\nb'; allowed is a whole number; change it or unset it",
  );
  expect(notAllowed('X', 'a', 'are a, b').exitCode).toBe(2);
});

test('a child gets what is set, empty values included', () => {
  expect(definedOnly({ A: '1', B: undefined, C: '' })).toEqual({ A: '1', C: '' });
});

test.each([
  ['OPENSHELL_SEVER_PORT', 'OPENSHELL_SERVER_PORT'],
  ['OPENSHEL_ROOT', 'OPENSHELL_ROOT'],
  ['DOCKER_PLATFROM', 'DOCKER_PLATFORM'],
  ['IMAGE_TAGS', 'IMAGE_TAG'],
  ['PREBUILT_ARCHS', 'PREBUILT_ARCH'],
  ['openshell_root', 'OPENSHELL_ROOT'],
])('%s is meant for %s', (name, meant) => {
  expect(misspelt([name])).toEqual([{ name, meant }]);
});

test('names that are read, and those of other programs, are left alone', () => {
  const others = [
    ...[
      'GITHUB_ACTION',
      'GITHUB_PATH',
      'KUBERNETES_SERVICE_PORT',
      'KUBE_CONFIG',
      'LD_LIBRARY_PATH',
      'DOCKER_HOST',
      'DOCKER_CONTEXT',
      'DOCKER_BUILDKIT',
      'DOCKER_CONFIG',
      'GITLAB_TOKEN',
      'C',
      '',
    ],
    ...['OPENSHELL_GATEWAY', 'OPENSHELL_DB_URL', 'GITHUB_REF', 'GITHUB_JOB', 'CARGO_HOME', 'KUBECONFIG', 'PATH'],
  ];
  expect(misspelt([...Object.keys(VARIABLES), ...others])).toEqual([]);
});

test('one slip in a name is found, wherever it is after the first letters', () => {
  const names = Object.keys(VARIABLES).filter((name) => /^[A-Z_]{6,}$/.test(name));
  const slip = fc.tuple(fc.constantFrom(...names), fc.nat(), fc.constantFrom('drop', 'add', 'change', 'swap'));
  fc.assert(
    fc.property(slip, ([name, nat, kind]) => {
      const at = 3 + (nat % (name.length - 4));
      const [a = '', b = ''] = [name[at], name[at + 1]];
      const middle = { drop: b, add: `x${a}${b}`, change: `x${b}`, swap: `${b}${a}` }[kind];
      const wrong = `${name.slice(0, at)}${middle}${name.slice(at + 2)}`;
      if (wrong in VARIABLES) return;
      expect(misspelt([wrong])).toHaveLength(1);
    }),
  );
});
