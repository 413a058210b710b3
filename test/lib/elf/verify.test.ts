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
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  glibcReasons,
  highestGlibc,
  inspectExecutable,
  inspectGlibc,
  inspectStatic,
  inspectTelemetry,
  kindOf,
  parseGlibcLimit,
  reasonsAgainst,
  type Verdict,
} from '../../../lib/elf/verify.ts';
import { TaskError } from '../../../lib/errors.ts';
import { TELEMETRY } from '../../../lib/product.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe, writeElf } from '../../support/elf-builder.ts';
import { parse } from '../../support/elf-reads.ts';
import { buildRealBinaries, canCompile, type RealKind } from '../../support/real-binaries.ts';
import { machO } from '../../support/runtime-parts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

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
const ARM64 = 183;

function file(name: string, contents: Uint8Array | string): string {
  return writeElf(join(directory, name), Buffer.from(contents));
}
const fileOf = (recipe: Recipe) => parse(buildElf(recipe).bytes);
const built = (name: string, recipe: Recipe) => file(name, buildElf(recipe).bytes);

/** The reasons of a refusal; an acceptance fails the test. Each is one line that begins with the path. */
function reasonsOf(path: string, verdict: Verdict): readonly string[] {
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
/** The verdict of every check over the same binary. */
function everyVerdict(binary: Parameters<typeof inspectStatic>[0], machine?: 'amd64' | 'arm64'): Verdict[] {
  const max = { major: 99, minor: 0 };
  return [
    inspectStatic(binary, { machine }),
    inspectGlibc(binary, { machine, max }),
    inspectExecutable(binary, { machine }),
  ];
}

describe('a static executable', () => {
  test.each([
    ['classic, amd64', {}, 'amd64', 'static', 'x86-64'],
    ['classic, arm64', { machine: ARM64 }, 'arm64', 'static', 'aarch64'],
    ['static-PIE, amd64', STATIC_PIE, 'amd64', 'static-pie', 'x86-64'],
    ['static-PIE, arm64', { ...STATIC_PIE, machine: ARM64 }, 'arm64', 'static-pie', 'aarch64'],
    ['stripped of its section headers', { ...STATIC_PIE, sections: false }, 'amd64', 'static-pie', 'x86-64'],
  ] as const)('%s is accepted', (_name, recipe, machine, kind, machineName) => {
    const path = built('accepted', recipe);
    const facts = { kind, machine: machineName, size: readFileSync(path).length, glibc: 'none' };
    for (const verdict of everyVerdict(path, machine)) expect(verdict).toEqual({ ok: true, facts });
    expect(inspectStatic(path)).toEqual({ ok: true, facts });
  });

  // Rows 1 to 10 of the contract: each file breaks that row, and as far as it can no other.
  const rows: [string, () => string, string][] = [
    ['1 no such file', () => join(directory, 'nowhere'), 'cannot be read: it does not exist (ENOENT)'],
    ['1 below a file', () => join(built('a-file', {}), 'nowhere'), 'a part of the path is not a directory (ENOTDIR)'],
    ['1 a directory', () => directory, 'is not a regular file'],
    ['1 a device', () => '/dev/null', 'is not a regular file'],
    ['2 text', () => file('text', 'not a binary\n'), 'is not an ELF file: it begins with the bytes 6e6f74'],
    ['2 empty', () => file('empty', ''), 'is not an ELF file: it is empty'],
    ['2 header cut off', () => file('cut', buildElf().bytes.subarray(0, 40)), 'the file, which has 40 bytes'],
    ['2 section table cut off', () => file('cut', buildElf().bytes.subarray(0, -1)), 'are outside the file'],
    ['3 relocatable', () => built('object', { type: 1 }), 'is of the ELF type 0x1, wanted an executable'],
    ['3 core dump', () => built('core', { type: 4 }), 'is of the ELF type 0x4, wanted an executable'],
    ['3 no type', () => built('none', { type: 0 }), 'is of the ELF type 0x0, wanted an executable'],
    ['3 another type', () => built('other', { type: 0xfe00 }), 'is of the ELF type 0xfe00'],
    ['4 no PT_LOAD', () => built('no-load', { load: false }), 'has no PT_LOAD segment'],
    [
      '5 PT_LOAD after the end',
      () => file('short', buildElf({ sections: false, payload: 4096 }).bytes.subarray(0, 3000)),
      'program header 0 ends at',
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
      'PT_DYNAMIC is not where the dynamic section is',
    ],
    ['9 needed library', () => built('needed', { ...STATIC_PIE, needed: ['libc.so.6'] }), "(DT_NEEDED) 'libc.so.6'"],
    ['10 no DF_1_PIE', () => built('library', { type: 3, dynamic: true }), 'is a shared library (ET_DYN without'],
    ['10 no dynamic section', () => built('library', { type: 3 }), 'is a shared library (ET_DYN without'],
  ];
  test.each(rows)('row %s', (_name, make, message) => {
    const path = make();
    expect(staticReasons(path).join('\n')).toContain(message);
  });

  test('all reasons are given', () => {
    const reasons = staticReasons(built('all', { ...DYNAMIC_RECIPE, machine: ARM64 }), 'amd64');
    expect(reasons).toHaveLength(3);
    expect(reasons[0]).toContain('is for aarch64, wanted amd64 (x86-64); build it for amd64');
    expect(reasons[1]).toContain('is dynamically linked');
    expect(reasons[2]).toContain("'libm.so.6', 'libc.so.6'");
  });

  test('a damaged file is not accused of what it may only have lost', () => {
    const path = file('damaged', buildElf(DYNAMIC_RECIPE).bytes.subarray(0, 100));
    const reasons = staticReasons(path).join('\n');
    expect(reasons).toContain('are outside the file');
    expect(reasons).not.toContain('PT_LOAD segment');
    expect(reasons).not.toContain('shared library');
    expect(inspectGlibc(path, { max: LIMIT })).not.toHaveProperty('facts');
  });

  test('names from inside the file are shown harmlessly', () => {
    const hostile = 'lib\n\x1b[2Kstatically linked.so';
    const path = built('hostile', { ...DYNAMIC_RECIPE, interpreter: hostile, needed: [hostile] });
    expect(staticReasons(path)[0]).toContain('lib\\n\\x1b[2K');
  });

  test('a link to a binary is as good as the binary', () => {
    const link = join(directory, 'link');
    symlinkSync(built('target', {}), link);
    expect(inspectStatic(link).ok).toBe(true);
  });
});

describe('every check', () => {
  test('refuses what cannot ship with one reason, whatever machine is wanted', () => {
    const path = file('cannot-ship', buildElf().with({ EI_CLASS: 1 }));
    for (const verdict of [...everyVerdict(path), ...everyVerdict(path, 'amd64')]) {
      expect(reasonsOf(path, verdict)).toEqual([expect.stringContaining('is not a 64-bit little-endian ELF file')]);
    }
  });

  test('refuses another machine than the wanted one', () => {
    const path = built('machine', { machine: ARM64 });
    for (const verdict of everyVerdict(path, 'amd64')) {
      expect(reasonsOf(path, verdict)).toEqual([expect.stringContaining('is for aarch64')]);
    }
    expect(inspectStatic(path).ok).toBe(true);
  });

  test('C20: an x86-64 file is refused where arm64 is wanted', () => {
    const path = built('supervisor', {});
    expect(staticReasons(path, 'arm64')).toEqual([
      `${path}: is for x86-64, wanted arm64 (aarch64); build it for arm64`,
    ]);
    expect(inspectStatic(path, { machine: 'amd64' }).ok).toBe(true);
  });

  test('inspects content in memory under its name', () => {
    const content = buildElf(DYNAMIC_RECIPE).bytes;
    expect(inspectExecutable({ name: 'its content', content })).toMatchObject({ ok: true, facts: { kind: 'dynamic' } });
    expect(reasonsOf('its content', inspectStatic({ name: 'its content', content }))).toHaveLength(2);
    const [verdict] = everyVerdict({ name: 'its content', content: content.subarray(0, 3) });
    expect(verdict).toMatchObject({ reasons: [expect.stringContaining('its content: is not an ELF file')] });
  });
});

describe('the glibc', () => {
  test('the highest is given of a refused file, too', () => {
    const versions = [{ library: 'libc.so.6', names: ['GLIBC_2.17', 'GLIBC_2.34'] }];
    const path = built('glibc', { ...DYNAMIC_RECIPE, versions });
    const verdict = inspectGlibc(path, { max: LIMIT });
    expect(verdict).toMatchObject({ ok: false, facts: { glibc: 'GLIBC_2.34' } });
    expect(reasonsOf(path, verdict)).toEqual([expect.stringContaining('needs GLIBC_2.34 of')]);
  });

  test('a shared library may be inspected; an object file is not a binary', () => {
    const library = built('library', { type: 3, needed: ['libc.so.6'] });
    expect(inspectGlibc(library, { max: LIMIT })).toMatchObject({ ok: true, facts: { kind: 'shared-library' } });
    const object = built('object', { type: 1 });
    const verdict = inspectGlibc(object, { max: LIMIT });
    expect(reasonsOf(object, verdict)).toEqual([expect.stringContaining('of the ELF type 0x1')]);
  });
});

describe('any executable', () => {
  test.each([
    ['dynamic PIE', DYNAMIC_RECIPE, 'dynamic'],
    ['static', {}, 'static'],
  ])('%s is accepted', (_name, recipe, kind) => {
    const verdict = inspectExecutable(built('executable', recipe), { machine: 'amd64' });
    expect(verdict).toMatchObject({ ok: true, facts: { kind } });
  });

  test('a shared library is refused', () => {
    const path = built('not-executable', { type: 3, needed: ['libc.so.6'] });
    expect(reasonsOf(path, inspectExecutable(path))).toEqual([expect.stringContaining('is a shared library')]);
  });
});

/** Every verdict over these bytes is a refusal. */
function expectRefused(content: Uint8Array, note: string): void {
  const verdicts = everyVerdict({ name: 'x', content });
  expect(
    verdicts.map(({ ok }) => ok),
    note,
  ).toEqual([false, false, false]);
}

describe('a truncated file is never accepted', () => {
  test('hand-built images, cut at every byte', () => {
    for (const recipe of [{}, STATIC_PIE, DYNAMIC_RECIPE]) {
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
        for (const verdict of everyVerdict(path)) if (!verdict.ok) reasonsOf(path, verdict);
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
    ['relocatable', 'is of the ELF type 0x1'],
  ];
  test.for(expected)('%s', ([kind, reason], { skip }) => {
    const path = real.get(kind);
    if (path === undefined) return skip(`no C compiler that can build ${kind}`);
    const verdict = inspectStatic(path);
    if (reason === '') expect(verdict).toMatchObject({ ok: true, facts: { kind } });
    else expect(reasonsOf(path, verdict).join('\n')).toContain(reason);
  });

  test('Node itself is a dynamic executable for the machine it runs on', ({ skip }) => {
    if (process.platform !== 'linux') return skip('not an ELF platform');
    const machine = ({ x64: 'amd64', arm64: 'arm64' } as const)[process.arch as 'x64' | 'arm64'];
    const verdict = inspectExecutable(process.execPath, { machine });
    expect(verdict).toMatchObject({ ok: true, facts: { kind: 'dynamic' } });
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
    expect(reasonsOf(path, JSON.parse(stdout))).toEqual([expect.stringContaining('is not a regular file')]);
  });

  test('one without permission', ({ skip }) => {
    const path = built('secret', {});
    chmodSync(path, 0o000);
    const isRoot = process.getuid?.() === 0;
    const { error, stdout, stderr } = inspectElsewhere(path, isRoot ? { uid: 65534 } : {});
    if (error !== undefined || (stdout === '' && /EACCES|MODULE_NOT_FOUND/.test(stderr)))
      return skip('another user cannot read this checkout');
    expect(reasonsOf(path, JSON.parse(stdout))).toEqual([
      expect.stringContaining('cannot be read: permission is denied; check its owner and mode (EACCES)'),
    ]);
  });

  test('X8: no program is needed, so the verdict is the same without any', () => {
    const path = built('no-tools', DYNAMIC_RECIPE);
    const { stdout } = inspectElsewhere(path, { env: { PATH: join(directory, 'no-such-directory') } });
    expect(reasonsOf(path, JSON.parse(stdout)).join('\n')).toContain('is dynamically linked');
  });

  test('links that go round', () => {
    const loop = join(directory, 'loop');
    symlinkSync(loop, loop);
    expect(staticReasons(loop)).toEqual([
      expect.stringContaining('cannot be read: too many symbolic links; check where they lead (ELOOP)'),
    ]);
  });

  test('a name with control characters is shown harmlessly', () => {
    const odd = join(directory, 'odd');
    mkdirSync(odd);
    const path = join(odd, 'a\nb');
    copyFileSync(built('odd-source', { type: 1 }), path);
    const verdict = inspectStatic(path);
    expect(verdict.ok ? [] : verdict.reasons).toEqual([expect.stringContaining('a\\nb: is of the ELF type 0x1')]);
  });
});

describe('the rules', () => {
  test.each([
    ['dynamic PIE', DYNAMIC_RECIPE, 'dynamic'],
    ['dynamic, classic', { ...DYNAMIC_RECIPE, type: 2, pie: false }, 'dynamic'],
    ['dynamic PIE of an old linker, without DF_1_PIE', { ...DYNAMIC_RECIPE, pie: false }, 'dynamic'],
    ['static', {}, 'static'],
    ['static-PIE', STATIC_PIE, 'static-pie'],
  ] as const)('%s is an executable', (_name, recipe, kind) => {
    const file = fileOf(recipe);
    expect(kindOf(file)).toBe(kind);
    expect(reasonsAgainst(file, 'amd64', 'executable')).toEqual([]);
  });

  test.each([
    ['a shared library', { type: 3, needed: ['libc.so.6'] }, 'is a shared library'],
    ['an object file', { type: 1 }, 'is of the ELF type 0x1'],
    ['nothing to load', { load: false }, 'has no PT_LOAD segment'],
    ['another machine', { ...DYNAMIC_RECIPE, machine: ARM64 }, 'wanted amd64'],
  ] as const)('%s is not', (_name, recipe, message) => {
    const file = fileOf(recipe);
    expect(reasonsAgainst(file, 'amd64', 'executable')).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ['aarch64', { machine: ARM64 }, 'is for aarch64, wanted amd64 (x86-64); build it for amd64'],
    ['unknown', { machine: 999 }, 'is for machine 999, wanted amd64 (x86-64); build it for amd64'],
  ])('%s is refused where amd64 is wanted, and where no machine is wanted it is not', (_name, recipe, reason) => {
    expect(reasonsAgainst(fileOf(recipe), 'amd64')).toEqual([reason]);
    expect(reasonsAgainst(fileOf(recipe))).toEqual([]);
  });
});

const needing = (names: readonly string[], recipe: Recipe = {}) =>
  fileOf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names }], ...recipe });
/** The reasons against content that is not read yet; an acceptance gives none. */
function glibcRefusals(content: Uint8Array, max = LIMIT): readonly string[] {
  const verdict = inspectGlibc({ name: 'binary', content }, { max });
  return verdict.ok ? [] : verdict.reasons;
}

describe('what a binary needs', () => {
  test.each([
    [['GLIBC_2.2.5'], 'GLIBC_2.2'],
    [['GLIBC_2.9', 'GLIBC_2.28', 'GLIBC_2.3.4'], 'GLIBC_2.28'],
    [['GLIBC_2.28.1'], 'GLIBC_2.28'],
    [['GLIBC_1.99'], 'GLIBC_1.99'],
    [['GLIBCXX_3.4.30', 'GCC_3.0', 'OPENSSL_3.0.0'], 'none'],
  ])('%j is within 2.28, highest %s', (names, highest) => {
    expect(highestGlibc(needing(names))).toBe(highest);
    expect(glibcReasons(needing(names), LIMIT)).toEqual([]);
  });

  test.each([
    [['GLIBC_2.29'], ['GLIBC_2.29'], 'allowed is up to GLIBC_2.28'],
    [['GLIBC_2.100', 'GLIBC_2.9'], ['GLIBC_2.100'], 'needs GLIBC_2.100'],
    [['GLIBC_3.0'], ['GLIBC_3.0'], 'needs GLIBC_3.0'],
    [['GLIBC_2.34', 'GLIBC_2.29', 'GLIBC_2.34'], ['GLIBC_2.29', 'GLIBC_2.34'], 'needs GLIBC_2.34'],
    [['GLIBC_PRIVATE', 'GLIBC_2.29'], ['GLIBC_2.29', 'GLIBC_PRIVATE'], 'needs GLIBC_2.29'],
    [['GLIBC_2.33.1'], ['GLIBC_2.33.1'], 'needs GLIBC_2.33.1 of'],
    [
      ['GLIBC_ABI_DT_RELR'],
      ['GLIBC_ABI_DT_RELR'],
      'allowed is up to GLIBC_2.28; build it with cargo-zigbuild for a target that ends in .2.28',
    ],
    [['GLIBC_ABI_NEW_THING'], ['GLIBC_ABI_NEW_THING'], 'which is not known here'],
    [['GLIBC_PRIVATE'], ['GLIBC_PRIVATE'], 'which is not known here'],
    [['GLIBC_'], ['GLIBC_'], 'which is not known here'],
    [['GLIBC_2'], ['GLIBC_2'], 'which is not known here'],
    [['GLIBC_2.x'], ['GLIBC_2.x'], 'which is not known here'],
    [['GLIBC_2.1 2.99'], ['GLIBC_2.1 2.99'], 'which is not known here'],
    [['GLIBC_2.99999999999999999999'], ['GLIBC_2.99999999999999999999'], 'which is not known here'],
  ])('%j: %j refused at 2.28', (names, refused, message) => {
    const reasons = glibcReasons(needing(names), LIMIT);
    expect(reasons.join('\n')).toContain(message);
    expect(reasons.map((reason) => /^needs (.*) of 'libc.so.6'/.exec(reason)?.[1])).toEqual(refused);
  });

  test('no limit is high enough for what is not a release', () => {
    const max = { major: 99, minor: 99 };
    for (const name of ['GLIBC_PRIVATE', 'GLIBC_ABI_NEW_THING']) {
      expect(glibcReasons(needing([name]), max)).toHaveLength(1);
      expect(highestGlibc(needing([name]))).toBe('none');
    }
  });

  test('one reason for a version that several libraries have', () => {
    const versions = ['libc.so.6', 'libm.so.6'].map((library) => ({ library, names: ['GLIBC_2.29'] }));
    const file = fileOf({ ...DYNAMIC_RECIPE, versions });
    expect(glibcReasons(file, LIMIT)).toEqual([expect.stringContaining("needs GLIBC_2.29 of 'libc.so.6'")]);
  });

  test('packed relocations count without a version for them, but only together with glibc', () => {
    const file = needing(['GLIBC_2.17'], { relr: true });
    expect(glibcReasons(file, LIMIT)).toEqual([expect.stringContaining('needs DT_RELR')]);
    expect(glibcReasons(file, { major: 2, minor: 36 })).toEqual([]);
    expect(highestGlibc(file)).toBe('GLIBC_2.36');
    const isolated = fileOf({ type: 3, pie: true, relr: true });
    expect(glibcReasons(isolated, LIMIT)).toEqual([]);
    expect(highestGlibc(isolated)).toBe('none');
  });

  test('L15: packed relocations of a real binary need glibc 2.36', ({ skip }) => {
    const path = canCompile() ? buildRealBinaries(temporaryDirectory()).get('packed-relocations') : undefined;
    if (path === undefined) return skip('no linker here that knows -z pack-relative-relocs');
    expect(glibcRefusals(readFileSync(path), { major: 2, minor: 34 })).toEqual([
      expect.stringContaining('needs GLIBC_ABI_DT_RELR of '),
    ]);
    const verdict = inspectGlibc(path, { max: { major: 2, minor: 36 } });
    expect(verdict).toMatchObject({ ok: true, facts: { glibc: 'GLIBC_2.36' } });
  });

  test('a static binary needs none', () => {
    expect(highestGlibc(fileOf({}))).toBe('none');
    expect(glibcReasons(fileOf({}), LIMIT)).toEqual([]);
  });

  test('C21: what is not a whole ELF file is refused', ({ skip }) => {
    expect(glibcRefusals(Buffer.from('just text\n'))).toHaveLength(1);
    expect(glibcRefusals(Buffer.from(''))).toHaveLength(1);
    if (process.platform !== 'linux' || !existsSync('/bin/ls')) return skip('/bin/ls is not an ELF file here');
    const cut = readFileSync('/bin/ls').subarray(0, 3000);
    expect(glibcRefusals(cut).join('\n')).toContain('but the file has 3000 bytes');
    expect(glibcRefusals(cut, { major: 99, minor: 0 })).not.toEqual([]);
  });
});

describe('the limit', () => {
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
    `2.${'9'.repeat(30)}`,
  ])('C21: %j is not a limit', (text) => {
    const parsing = expect(() => parseGlibcLimit(text));
    parsing.toThrow(TaskError);
    parsing.toThrow(expect.objectContaining({ exitCode: 2 }));
    parsing.toThrow(/^[^\n]+MAJOR\.MINOR, such as 2\.28$/);
  });
});

const [ENDPOINT, CLIENT] = TELEMETRY.markers;
const ELF = buildElf({}).bytes;

function joined(...parts: readonly (string | Uint8Array)[]): string {
  const path = join(temporaryDirectory(), 'binary');
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part))));
  return path;
}

const telemetryReasons = (path: string, wanted: 'present' | 'absent') => {
  const verdict = inspectTelemetry(path, wanted);
  return verdict.ok ? [] : verdict.reasons;
};

describe('each marker is judged', () => {
  test('SHL-3: both, between other bytes', () => {
    const path = joined(ELF, `\0https://${ENDPOINT}/v1`, CLIENT, CLIENT, '\xff');
    expect(inspectTelemetry(path, 'present')).toEqual({
      ok: true,
      facts: `${ENDPOINT}, ${CLIENT}`,
    });
    expect(telemetryReasons(path, 'absent')).toEqual([
      `${path}: has the telemetry marker '${ENDPOINT}', wanted none; build with --no-default-features`,
      `${path}: has the telemetry marker '${CLIENT}', wanted none; build with --no-default-features`,
    ]);
  });

  test('one of the two fails either way, and is the one that is named', () => {
    const path = joined(ELF, CLIENT);
    expect(telemetryReasons(path, 'absent')).toEqual([expect.stringContaining(`'${CLIENT}', wanted none`)]);
    expect(telemetryReasons(path, 'present')).toEqual([expect.stringContaining(`'${ENDPOINT}', wanted it`)]);
  });

  test('neither, and what is nearly one', () => {
    const path = joined(ELF, ENDPOINT.slice(0, -1), '\0m', CLIENT.slice(1), ENDPOINT.toUpperCase());
    expect(inspectTelemetry(path, 'absent').ok).toBe(true);
    expect(telemetryReasons(path, 'present')).toHaveLength(2);
  });

  test('a program for macOS has no ELF sections, and is searched all the same', () => {
    for (const arch of ['amd64', 'arm64'] as const) {
      const program = (text: string) => machO(arch, false, Buffer.from(text));
      expect(inspectTelemetry(joined(program('x')), 'absent').ok).toBe(true);
      expect(inspectTelemetry(joined(program(`${ENDPOINT}${CLIENT}`)), 'present').ok).toBe(true);
    }
  });
});

describe('what is not a whole program proves nothing', () => {
  test.each([
    ['L14: an empty file', '', /is not an ELF file: it is empty/],
    ['a text', '#!/bin/sh\n', /is not an ELF file: it begins with/],
    ['three bytes', 'abc', /is not an ELF file/],
    ['AR-4: the mark of a program for macOS', Buffer.from('cffaedfe', 'hex'), /is not a whole program for macOS/],
    ["AR-4: Java's class", Buffer.from(`cafebabe${'0'.repeat(40)}`, 'hex'), /is not a whole program for macOS/],
    ['a program that was cut', ELF.subarray(0, ELF.length - 1), /wanted a complete ELF file/],
    ['an object file', buildElf({ type: 1 }).bytes, /of the ELF type 0x1/],
  ])('%s', (_, content, reason) => {
    for (const wanted of ['present', 'absent'] as const) {
      const path = joined(content);
      expect(telemetryReasons(path, wanted)).toEqual([expect.stringMatching(reason)]);
      expect(telemetryReasons(path, wanted)[0]?.startsWith(`${path}: `)).toBe(true);
    }
  });

  test('what is not there, or no file', () => {
    const directory = join(temporaryDirectory(), 'directory');
    mkdirSync(directory);
    expect(telemetryReasons(join(directory, 'x'), 'absent')).toEqual([
      expect.stringContaining('it does not exist (ENOENT)'),
    ]);
    expect(telemetryReasons(directory, 'absent')).toEqual([expect.stringContaining('is not a regular file')]);
  });
});
