// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseElf } from '../../../lib/elf/read.ts';
import { memorySource } from '../../../lib/elf/source.ts';
import {
  describeBinary,
  ElfError,
  inspectExecutable,
  inspectGlibc,
  inspectStatic,
  judgeExecutable,
  judgeGlibc,
  judgeStatic,
  parseGlibcLimit,
  type Verdict,
  verifyExecutable,
  verifyGlibc,
  verifyStatic,
} from '../../../lib/elf/verify.ts';
import { TaskError } from '../../../lib/errors.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe, writeElf } from '../../support/elf-builder.ts';
import { buildRealBinaries, canCompile, type RealKind } from '../../support/real-binaries.ts';

let directory: string;
let real = new Map<RealKind, string>();

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'verify-binary-'));
  chmodSync(directory, 0o755);
  if (canCompile()) real = buildRealBinaries(directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const LIMIT = { major: 2, minor: 28 };
const STATIC_PIE: Recipe = { type: 3, pie: true };
const AMD64 = 62;
const ARM64 = 183;

function file(name: string, contents: Uint8Array | string): string {
  return writeElf(join(directory, name), Buffer.from(contents));
}
const built = (name: string, recipe: Recipe) => file(name, buildElf(recipe).bytes);

/** The reasons of a refusal; an acceptance fails the test. Each is one line that begins with the path. */
function reasonsOf(path: string, verdict: Verdict<unknown>): string[] {
  if (verdict.ok) throw new Error(`${path} was accepted`);
  expect(verdict.reasons.length).toBeGreaterThan(0);
  for (const reason of verdict.reasons) {
    expect(reason.startsWith(`${path}: `)).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a hostile name must not reach the terminal
    expect(reason).not.toMatch(/[\u0000-\u001f]|undefined|NaN/);
  }
  return verdict.reasons;
}
const staticReasons = (path: string, machine?: 'amd64' | 'arm64') => reasonsOf(path, inspectStatic(path, { machine }));
const glibcReasons = (path: string, max = LIMIT) => reasonsOf(path, inspectGlibc(path, { max }));

describe('a static executable', () => {
  test.each([
    ['classic, amd64', {}, 'amd64', 'static'],
    ['classic, arm64', { machine: ARM64 }, 'arm64', 'static'],
    ['static-PIE, amd64', STATIC_PIE, 'amd64', 'static-pie'],
    ['static-PIE, arm64', { ...STATIC_PIE, machine: ARM64 }, 'arm64', 'static-pie'],
    ['stripped of its section headers', { ...STATIC_PIE, sections: false }, 'amd64', 'static-pie'],
  ] as const)('%s is accepted', (_name, recipe, machine, kind) => {
    const path = built('accepted', recipe);
    expect(verifyStatic(path, { machine })).toMatchObject({ path, kind, class: 64, endian: 'little', needed: [] });
    expect(verifyStatic(path).size).toBe(readFileSync(path).length);
  });

  // Rows 1 to 10 of the contract: each file breaks that row, and as far as it can no other.
  const rows: [string, () => string, string][] = [
    ['1 no such file', () => join(directory, 'nowhere'), 'no such file; build it first'],
    ['1 below a file', () => join(built('a-file', {}), 'nowhere'), 'no such file'],
    ['1 a directory', () => directory, 'is a directory, wanted a regular file'],
    ['1 a device', () => '/dev/null', 'is a device, wanted a regular file'],
    ['1 a path with NUL', () => 'with\0nul', 'the path holds a NUL character'],
    ['2 text', () => file('text', 'not a binary\n'), 'is not an ELF file: it begins with the bytes 6e 6f'],
    ['2 empty', () => file('empty', ''), 'is not an ELF file: it is empty'],
    ['2 header cut off', () => file('cut', buildElf().bytes.subarray(0, 40)), 'has 64 bytes but the file has 40'],
    ['2 section table cut off', () => file('cut', buildElf().bytes.subarray(0, -1)), 'section header table at offset'],
    ['3 relocatable', () => built('object', { type: 1 }), 'is a relocatable object (ET_REL), wanted an executable'],
    ['3 core dump', () => built('core', { type: 4 }), 'is a core dump (ET_CORE), wanted an executable'],
    ['3 another type', () => built('other', { type: 0xfe00 }), 'is of the ELF type 0xfe00'],
    ['4 no PT_LOAD', () => built('no-load', { load: false }), 'has no PT_LOAD segment'],
    [
      '5 PT_LOAD after the end',
      () => file('short', buildElf({ sections: false, payload: 4096 }).bytes.subarray(0, 3000)),
      'program header 0 at offset 0x40: segment ends at',
    ],
    [
      '6 interpreter',
      () => built('interpreter', { interpreter: '/lib/ld-musl-x86_64.so.1' }),
      "the interpreter (PT_INTERP) '/lib/ld-musl-x86_64.so.1'",
    ],
    [
      '7 dynamic section unreadable',
      () => file('dynamic', buildElf(STATIC_PIE).with({ 'PT_DYNAMIC.p_filesz': 16 })),
      'has no DT_NULL',
    ],
    [
      '8 dynamic section elsewhere',
      () => file('tampered', buildElf(STATIC_PIE).with({ 'PT_DYNAMIC.p_offset': 0x40, 'PT_DYNAMIC.p_vaddr': 0x40 })),
      'the file is malformed or was tampered with',
    ],
    [
      '8 dynamic section only',
      () => file('tampered', buildElf(STATIC_PIE).with({ 'PT_DYNAMIC.p_type': 0 })),
      'PT_DYNAMIC is nowhere but the dynamic section is at offset',
    ],
    ['9 needed library', () => built('needed', { ...STATIC_PIE, needed: ['libc.so.6'] }), "(DT_NEEDED) 'libc.so.6'"],
    ['10 no DF_1_PIE', () => built('library', { type: 3, dynamic: true }), 'is a shared library (ET_DYN without'],
    ['10 no dynamic section', () => built('library', { type: 3 }), 'is a shared library (ET_DYN without'],
  ];
  test.each(rows)('row %s', (_name, make, message) => {
    const path = make();
    const verdict = inspectStatic(path);
    expect(verdict.ok).toBe(false);
    expect(verdict.ok ? '' : verdict.reasons.join('\n')).toContain(message);
    expect(() => verifyStatic(path)).toThrow(ElfError);
  });

  test('all reasons are given, and the error has them in one line', () => {
    const path = built('all', { ...DYNAMIC_RECIPE, machine: ARM64 });
    const reasons = staticReasons(path, 'amd64');
    expect(reasons).toHaveLength(3);
    expect(reasons[0]).toContain('is for aarch64 (64-bit, little-endian), wanted amd64 (x86-64, 64-bit');
    expect(reasons[1]).toContain('is dynamically linked');
    expect(reasons[2]).toContain("'libm.so.6', 'libc.so.6'");
    const error = thrown(() => verifyStatic(path, { machine: 'amd64' }));
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({ exitCode: 1 });
    expect(error.message.split(path)).toHaveLength(2);
    for (const reason of reasons) expect(error.message).toContain(reason.slice(path.length + 2));
  });

  test('a damaged file is not accused of what it may only have lost', () => {
    const path = file('damaged', buildElf(DYNAMIC_RECIPE).bytes.subarray(0, 100));
    const reasons = staticReasons(path).join('\n');
    expect(reasons).toContain('program header table');
    expect(reasons).not.toContain('PT_LOAD segment');
    expect(reasons).not.toContain('shared library');
    expect(inspectGlibc(path, { max: LIMIT })).not.toHaveProperty('facts');
  });

  test('names from inside the file are shown harmlessly', () => {
    const hostile = 'lib\n\x1b[2Kstatically linked.so';
    const path = built('hostile', { ...DYNAMIC_RECIPE, interpreter: hostile, needed: [hostile] });
    expect(staticReasons(path)[0]).toContain('lib\\n\\x1b[2K');
    const many = built('many', { needed: Array.from({ length: 30 }, (_, index) => `lib${index}.so`) });
    expect(staticReasons(many)[0]).toContain("'lib9.so' and 20 more");
  });

  test('a link to a binary is as good as the binary', () => {
    const link = join(directory, 'link');
    symlinkSync(built('target', {}), link);
    expect(inspectStatic(link).ok).toBe(true);
  });
});

function thrown(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('nothing was thrown');
}

describe('the machine', () => {
  const images: [string, Recipe, string][] = [
    ['aarch64', { machine: ARM64 }, 'aarch64 (64-bit, little-endian)'],
    ['x32', { machine: AMD64, class: 32 }, 'x32 (32-bit, little-endian)'],
    ['i386', { machine: 3, class: 32 }, 'i386 (32-bit, little-endian)'],
    ['s390x', { machine: 22, endian: 'big' }, 's390x (64-bit, big-endian)'],
    ['big-endian x86-64', { machine: AMD64, endian: 'big' }, 'x86-64 (64-bit, big-endian)'],
    ['unknown', { machine: 999 }, 'machine 999'],
  ];
  test.each(images)('%s is refused where amd64 is wanted, by every check', (_name, recipe, found) => {
    const path = built('machine', recipe);
    const verdicts: Verdict<unknown>[] = [
      inspectStatic(path, { machine: 'amd64' }),
      inspectExecutable(path, { machine: 'amd64' }),
      inspectGlibc(path, { machine: 'amd64', max: LIMIT }),
    ];
    for (const verdict of verdicts) expect(reasonsOf(path, verdict)).toEqual([expect.stringContaining(found)]);
    expect(inspectStatic(path).ok).toBe(true);
  });

  test('C20: an x86-64 file is refused where arm64 is wanted', () => {
    const path = built('supervisor', {});
    expect(staticReasons(path, 'arm64')).toEqual([
      `${path}: is for x86-64 (64-bit, little-endian), wanted arm64 (aarch64, 64-bit, little-endian); build it for arm64`,
    ]);
    expect(inspectStatic(path, { machine: 'amd64' }).ok).toBe(true);
  });
});

describe('the glibc', () => {
  const dynamic = (names: readonly string[], recipe: Recipe = {}) =>
    built('glibc', { ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names }], ...recipe });

  test.each([
    [['GLIBC_2.2.5'], 'GLIBC_2.2'],
    [['GLIBC_2.9', 'GLIBC_2.28', 'GLIBC_2.3.4'], 'GLIBC_2.28'],
    [['GLIBC_2.28.1'], 'GLIBC_2.28'],
    [['GLIBC_1.99'], 'GLIBC_1.99'],
    [['GLIBCXX_3.4.30', 'GCC_3.0', 'OPENSSL_3.0.0'], 'none'],
  ])('%j is within 2.28, highest %s', (names, highest) => {
    const path = dynamic(names);
    expect(verifyGlibc(path, { max: LIMIT })).toMatchObject({ highest, refused: [], kind: 'dynamic' });
  });

  test.each([
    [['GLIBC_2.29'], ['GLIBC_2.29'], 'allowed is up to GLIBC_2.28'],
    [['GLIBC_2.100', 'GLIBC_2.9'], ['GLIBC_2.100'], 'needs GLIBC_2.100'],
    [['GLIBC_3.0'], ['GLIBC_3.0'], 'needs GLIBC_3.0'],
    [['GLIBC_2.34', 'GLIBC_2.29', 'GLIBC_2.34'], ['GLIBC_2.29', 'GLIBC_2.34'], 'needs GLIBC_2.34'],
    [['GLIBC_2.33.1'], ['GLIBC_2.33.1'], '(glibc 2.33)'],
    [
      ['GLIBC_ABI_DT_RELR'],
      ['GLIBC_ABI_DT_RELR'],
      "(glibc 2.36), allowed is up to GLIBC_2.28; link it without '-z pack",
    ],
    [['GLIBC_ABI_NEW_THING'], ['GLIBC_ABI_NEW_THING'], 'a version that is not known here'],
    [['GLIBC_PRIVATE'], ['GLIBC_PRIVATE'], "do not use glibc's internals"],
    [['GLIBC_'], ['GLIBC_'], 'a version that is not known here'],
    [['GLIBC_2'], ['GLIBC_2'], 'a version that is not known here'],
    [['GLIBC_2.x'], ['GLIBC_2.x'], 'a version that is not known here'],
    [['GLIBC_2.1 2.99'], ['GLIBC_2.1 2.99'], 'a version that is not known here'],
    [['GLIBC_2.99999999999999999999'], ['GLIBC_2.99999999999999999999'], 'a version that is not known here'],
  ])('%j: %j refused at 2.28', (names, refused, message) => {
    const path = dynamic(names);
    const verdict = inspectGlibc(path, { max: LIMIT });
    const reasons = reasonsOf(path, verdict);
    expect(reasons).toHaveLength(refused.length);
    expect(reasons.join('\n')).toContain(message);
    expect(verdict.ok ? [] : verdict.facts?.refused.map((need) => need.name)).toEqual(refused);
  });

  test('no limit is high enough for what is not a release', () => {
    const max = { major: 99, minor: 99 };
    for (const name of ['GLIBC_PRIVATE', 'GLIBC_ABI_NEW_THING'])
      expect(glibcReasons(dynamic([name]), max)).toHaveLength(1);
  });

  test('one reason for a version that several libraries have', () => {
    const versions = ['libc.so.6', 'libm.so.6'].map((library) => ({ library, names: ['GLIBC_2.29'] }));
    const path = built('twice', { ...DYNAMIC_RECIPE, versions });
    expect(glibcReasons(path)).toEqual([expect.stringContaining("needs GLIBC_2.29 of 'libc.so.6'")]);
  });

  test('packed relocations count without a version for them, but only together with glibc', () => {
    const path = dynamic(['GLIBC_2.17'], { relr: true });
    expect(glibcReasons(path)).toEqual([expect.stringContaining('needs DT_RELR')]);
    expect(verifyGlibc(path, { max: { major: 2, minor: 36 } }).highest).toBe('GLIBC_2.36');
    expect(verifyGlibc(built('static-relr', { ...STATIC_PIE, relr: true }), { max: LIMIT }).highest).toBe('none');
  });

  test('the highest is told of a refused file, too', () => {
    const path = dynamic(['GLIBC_2.17', 'GLIBC_2.34']);
    expect(inspectGlibc(path, { max: LIMIT })).toMatchObject({ ok: false, facts: { highest: 'GLIBC_2.34' } });
  });

  test('a static binary needs none; an object file is no binary', () => {
    expect(verifyGlibc(built('none', {}), { max: LIMIT })).toMatchObject({
      highest: 'none',
      needs: [],
      kind: 'static',
    });
    expect(glibcReasons(built('object', { type: 1 }))).toEqual([expect.stringContaining('relocatable object')]);
  });

  test('needs that are hidden from the loader or from tools are damage', () => {
    const image = buildElf(DYNAMIC_RECIPE);
    const hidden = file('hidden', image.with({ 'DT_VERNEED.tag': 21, 'DT_VERNEEDNUM.tag': 21 }));
    expect(glibcReasons(hidden)).toEqual([expect.stringContaining('has no DT_VERNEED')]);
    const shortened = file('shortened', image.with({ 'verneed0.vn_next': 0, DT_VERNEEDNUM: 2 }));
    expect(glibcReasons(shortened)).toEqual([expect.stringContaining('DT_VERNEEDNUM says 2')]);
  });

  test.each([
    ['2.28', { major: 2, minor: 28 }],
    ['2.4', { major: 2, minor: 4 }],
    ['10.0', { major: 10, minor: 0 }],
  ])('%s is a limit', (text, version) => {
    expect(parseGlibcLimit(text)).toEqual(version);
  });

  test.each([
    'nonsense',
    '',
    '2',
    '2.',
    '.28',
    '2.28.1',
    ' 2.28',
    '2.28\n',
    'v2.28',
    '2,28',
    '-2.28',
    '2.0x1c',
    '2.1e3',
  ])('C21: %j is no limit', (text) => {
    const error = thrown(() => parseGlibcLimit(text));
    expect(error).toMatchObject({ exitCode: 2 });
    expect(error.message).toContain('MAJOR.MINOR, such as 2.28');
    expect(error.message).not.toContain('\n');
  });
  test('a limit of thirty digits is no limit', () => {
    expect(() => parseGlibcLimit(`2.${'9'.repeat(30)}`)).toThrow(TaskError);
  });

  test('C21: what is not a whole ELF file is refused', ({ skip }) => {
    expect(glibcReasons(file('text', 'just text\n'))).toHaveLength(1);
    expect(glibcReasons(file('empty', ''))).toHaveLength(1);
    if (process.platform !== 'linux' || !existsSync('/bin/ls')) return skip('/bin/ls is no ELF file here');
    const cut = file('ls-cut', readFileSync('/bin/ls').subarray(0, 3000));
    expect(glibcReasons(cut).join('\n')).toContain('but the file has 3000 bytes');
    expect(glibcReasons(cut, { major: 99, minor: 0 })).not.toEqual([]);
  });
});

describe('any executable', () => {
  test.each([
    ['dynamic PIE', DYNAMIC_RECIPE, 'dynamic'],
    ['dynamic, classic', { ...DYNAMIC_RECIPE, type: 2, pie: false }, 'dynamic'],
    ['dynamic PIE of an old linker, without DF_1_PIE', { ...DYNAMIC_RECIPE, pie: false }, 'dynamic'],
    ['static', {}, 'static'],
    ['static-PIE', STATIC_PIE, 'static-pie'],
  ])('%s is accepted', (_name, recipe, kind) => {
    expect(verifyExecutable(built('executable', recipe), { machine: 'amd64' }).kind).toBe(kind);
  });

  test.each([
    ['a shared library', { type: 3, needed: ['libc.so.6'] }, 'is a shared library'],
    ['an object file', { type: 1 }, 'is a relocatable object'],
    ['nothing to load', { load: false }, 'has no PT_LOAD segment'],
    ['another machine', { ...DYNAMIC_RECIPE, machine: ARM64 }, 'wanted amd64'],
  ])('%s is refused', (_name, recipe, message) => {
    const path = built('not-executable', recipe);
    expect(reasonsOf(path, inspectExecutable(path, { machine: 'amd64' })).join('\n')).toContain(message);
    expect(() => verifyExecutable(path, { machine: 'amd64' })).toThrow(ElfError);
  });

  test.each([
    [{}, /^64-bit x86-64 static executable, \d+ bytes$/],
    [{ ...STATIC_PIE, machine: ARM64 }, /^64-bit aarch64 static-PIE executable, /],
    [{ ...DYNAMIC_RECIPE, machine: 22, endian: 'big' }, /^64-bit big-endian s390x dynamic executable, /],
    [{ type: 3, dynamic: true, class: 32, machine: 3 }, /^32-bit i386 shared library, /],
  ] as [Recipe, RegExp][])('%j is described', (recipe, line) => {
    const verdict = inspectGlibc(built('described', recipe), { max: { major: 9, minor: 0 } });
    expect(verdict.facts && describeBinary(verdict.facts)).toMatch(line);
  });
});

/** Every verdict over these bytes is a refusal. */
function expectRefused(bytes: Uint8Array, note: string): void {
  let file: ReturnType<typeof parseElf>;
  try {
    file = parseElf(memorySource(bytes));
  } catch (error) {
    expect(error, note).toBeInstanceOf(ElfError);
    return;
  }
  const max = { major: 99, minor: 0 };
  expect([judgeStatic(file, 'x').ok, judgeGlibc(file, 'x', { max }).ok, judgeExecutable(file, 'x').ok], note).toEqual([
    false,
    false,
    false,
  ]);
}

describe('a truncated file is never accepted', () => {
  test('hand-built images, cut at every byte', () => {
    for (const recipe of [{}, STATIC_PIE, DYNAMIC_RECIPE, { ...DYNAMIC_RECIPE, class: 32, endian: 'big' } as const]) {
      const { bytes } = buildElf(recipe);
      for (let length = 0; length < bytes.length; length += 1) expectRefused(bytes.subarray(0, length), `${length}`);
    }
  });

  test.for(['static', 'static-pie', 'dynamic-pie'] as const)('a real %s one', (kind, { skip }) => {
    const path = real.get(kind);
    if (path === undefined) return skip(`no C compiler that can build ${kind}`);
    const bytes = readFileSync(path);
    const length = fc.oneof(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 5000 }));
    fc.assert(
      fc.property(length, (at) => expectRefused(bytes.subarray(0, Math.min(at, bytes.length - 1)), `${at}`)),
      { numRuns: 500 },
    );
  });

  test('mutated bytes never bring anything but a verdict', () => {
    const { bytes } = buildElf(DYNAMIC_RECIPE);
    const edit = fc.tuple(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 10 }), (edits) => {
        const copy = Buffer.from(bytes);
        for (const [at, value] of edits) copy[at] = value;
        const path = file('mutated', copy);
        for (const verdict of [inspectStatic(path), inspectGlibc(path, { max: LIMIT }), inspectExecutable(path)]) {
          if (!verdict.ok) reasonsOf(path, verdict);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('real binaries', () => {
  const expected: [RealKind, string][] = [
    ['static', ''],
    ['static-pie', ''],
    ['dynamic-pie', 'is dynamically linked, with the interpreter (PT_INTERP)'],
    ['dynamic-exec', 'is dynamically linked, with the interpreter (PT_INTERP)'],
    ['shared-library', 'is a shared library (ET_DYN without DF_1_PIE)'],
    ['relocatable', 'is a relocatable object (ET_REL)'],
  ];
  test.for(expected)('%s', ([kind, reason], { skip }) => {
    const path = real.get(kind);
    if (path === undefined) return skip(`no C compiler that can build ${kind}`);
    const verdict = inspectStatic(path);
    if (reason === '') expect(verdict).toMatchObject({ ok: true, facts: { kind } });
    else expect(reasonsOf(path, verdict).join('\n')).toContain(reason);
  });

  test('L15: packed relocations need glibc 2.36', ({ skip }) => {
    const path = real.get('packed-relocations');
    if (path === undefined) return skip('no linker here that knows -z pack-relative-relocs');
    const reasons = glibcReasons(path, { major: 2, minor: 34 });
    expect(reasons).toEqual([expect.stringContaining('needs GLIBC_ABI_DT_RELR of ')]);
    expect(verifyGlibc(path, { max: { major: 2, minor: 36 } }).highest).toBe('GLIBC_2.36');
  });

  test('Node itself is a dynamic executable for the machine it runs on', ({ skip }) => {
    if (process.platform !== 'linux') return skip('no ELF platform');
    const machine = ({ x64: 'amd64', arm64: 'arm64' } as const)[process.arch as 'x64' | 'arm64'];
    expect(verifyExecutable(process.execPath, { machine })).toMatchObject({ kind: 'dynamic' });
    expect(staticReasons(process.execPath).join('\n')).toContain('depends on shared libraries');
  });

  test('the check of a file of 200 MB reads only what it has to', () => {
    const path = file('large', buildElf({ payload: 200_000_000 }).bytes);
    const started = process.cpuUsage();
    expect(inspectStatic(path).ok).toBe(true);
    const { user, system } = process.cpuUsage(started);
    // It takes about one; reading the file whole takes over a hundred.
    expect((user + system) / 1000).toBeLessThan(40);
    rmSync(path);
  });
});

/** What `inspectStatic` says in a process of its own: it cannot block this one, and may be another user. */
function inspectElsewhere(path: string, options: { uid?: number; env?: Record<string, string> } = {}) {
  const library = new URL('../../../lib/elf/verify.ts', import.meta.url).href;
  const program = `import { inspectStatic } from ${JSON.stringify(library)};
    process.stdout.write(JSON.stringify(inspectStatic(${JSON.stringify(path)})));`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
    ...options,
  });
}

describe('files that cannot be read', () => {
  test('a FIFO is refused at once, and not waited for', ({ skip }) => {
    const path = join(directory, 'fifo');
    if (spawnSync('mkfifo', [path]).status !== 0) return skip('no mkfifo');
    const { stdout, signal } = inspectElsewhere(path);
    expect(signal).toBeNull();
    expect(reasonsOf(path, JSON.parse(stdout))).toEqual([expect.stringContaining('is a FIFO, wanted a regular file')]);
  });

  test('one without permission', ({ skip }) => {
    const path = built('secret', {});
    chmodSync(path, 0o000);
    const isRoot = process.getuid?.() === 0;
    const { stdout, stderr } = inspectElsewhere(path, isRoot ? { uid: 65534 } : {});
    if (stdout === '' && /EACCES|MODULE_NOT_FOUND/.test(stderr)) return skip('another user cannot read this checkout');
    expect(reasonsOf(path, JSON.parse(stdout))).toEqual([
      expect.stringContaining('permission denied; make it readable'),
    ]);
  });

  test('X8: no program is needed, so the answer is the same without any', () => {
    const path = built('no-tools', DYNAMIC_RECIPE);
    const { stdout } = inspectElsewhere(path, { env: { PATH: join(directory, 'no-such-directory') } });
    expect(reasonsOf(path, JSON.parse(stdout)).join('\n')).toContain('is dynamically linked');
  });

  test('links that go round', () => {
    const loop = join(directory, 'loop');
    symlinkSync(loop, loop);
    expect(staticReasons(loop)).toEqual([expect.stringContaining('cannot be examined: ELOOP')]);
  });

  test('a name with control characters is shown harmlessly', () => {
    const odd = join(directory, 'odd');
    mkdirSync(odd);
    const path = join(odd, 'a\nb');
    copyFileSync(built('odd-source', { type: 1 }), path);
    const verdict = inspectStatic(path);
    expect(verdict.ok ? [] : verdict.reasons).toEqual([expect.stringContaining('a\\nb: is a relocatable')]);
    expect(thrown(() => verifyStatic(path)).message).toContain('a\\nb: is a relocatable object');
  });
});
