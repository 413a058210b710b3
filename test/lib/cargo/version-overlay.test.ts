// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { parse, stringify, TomlDate } from 'smol-toml';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  makeOverlay,
  type Overlay,
  planOverlay,
  stampedManifest,
  verifyVersion,
} from '../../../lib/cargo/version-overlay.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { Signals } from '../../../lib/process/signals.ts';
import { anyText } from '../../support/any-text.ts';
import { runProcess } from '../../support/run-task.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** Makes an overlay, with nobody to tell about it. */
const make = (overlay: Overlay) =>
  makeOverlay({ signals: new Signals(), terminal: new Terminal(QUIET, QUIET, {}) }, overlay);

const QUIET = { write: () => true };
const MODULE = join(import.meta.dirname, '../../../lib');
const MANIFEST = '[workspace.package]\nversion = "0.0.0"\n';
const LONGEST = `1.2.3-${'a'.repeat(122)}`;

describe('a version (fault C13)', () => {
  test.each([
    '0.0.0',
    '1.2.3',
    '10.20.30',
    '1.2.3-rc.1',
    '1.2.3-0',
    '1.2.3-0a',
    '1.2.3--',
    '1.2.3+build.5',
    '1.2.3+001',
    '1.2.3-rc.1+build.5',
    '1.2.3-99999999999999999999',
    '18446744073709551615.0.0',
    LONGEST,
  ])('%j', (version) => {
    expect(verifyVersion('X', version)).toBe(version);
  });

  test.each([
    '',
    '1',
    '1.2',
    '1.2.3.4',
    'v1.2.3',
    '01.2.3',
    '1.02.3',
    '1.2.03',
    '1.2.3-01',
    '1.2.3-',
    '1.2.3-a..b',
    '1.2.3+',
    '1.2.3+a+b',
    '1.2.3+a&b',
    '1.2.3"\nedition = "2015',
    "1.2.3'",
    '1.2.3\\1',
    'feature/x',
    '1.2.3/..',
    '../1.2.3',
    '1.2.3\n',
    '\n1.2.3',
    ' 1.2.3',
    '1.2.3 ',
    '1.2.x',
    '-1.2.3',
    '1.2.3-ä',
    '१.2.3',
    `1.2.3-${'a.'.repeat(100_000)}`,
  ])('%j is refused', (version) => {
    expect(refusalOf(() => verifyVersion('OPENSHELL_CARGO_VERSION', version))).toMatch(
      /^2: OPENSHELL_CARGO_VERSION is '[^\n]{0,200}'; allowed is a semantic version such as 1\.2\.3 or 1\.2\.3-rc\.1\+build\.5; change it or unset it$/,
    );
  });

  /** Near to versions, so that both sides occur. */
  const near = fc.oneof(
    fc.stringMatching(/^(0|[1-9]\d{0,4})(\.\d{1,3}){2}(-[0-9a-zA-Z.-]{1,9})?(\+[0-9a-zA-Z.&"/-]{1,9})?$/),
    anyText(),
  );

  test('an accepted one is a plain name, and comes back out of TOML as it was', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(near, async (version) => {
        try {
          verifyVersion('X', version);
        } catch {
          expect(refusalOf(() => verifyVersion('X', version))).toMatch(/^2: X is /);
          return;
        }
        accepted++;
        expect(version).toMatch(/^[0-9A-Za-z.+-]{5,128}$/);
        expect(basename(version)).toBe(version);
        expect(parse(await stampedManifest(MANIFEST, version))).toEqual({ workspace: { package: { version } } });
      }),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});

/** Reads TOML without losing what numbers are. */
const read = (text: string) => parse(text, { integersAsBigInt: true });

describe('the stamped manifest', () => {
  test('everything that a manifest may hold is as it was, only the shared version is another', async () => {
    const before = `# a comment
[workspace]
members = ["crates/*"]
resolver = "2"
[workspace.package]
edition = "2024"
version = "0.0.0" # a comment
rust-version = "1.90"
[workspace.dependencies]
serde = { version = "0.0.0", features = ["derive"], default-features = false }
"quoted key" = 'C:\\literal'
a.b.c = true
[profile.release]
opt-level = 3
lto = "thin"
[[bin]]
name = "one"
version = "0.0.0"
[[bin]]
name = "two"
[workspace.metadata]
big = 9223372036854775807
hex = 0xdead_beef
float = 1.0
small = -0.5e-10
odd = [inf, -inf, nan]
when = 1979-05-27T07:32:00.5-08:00
day = 1979-05-27
time = 07:32:00
empty = []
mixed = [1, "two", [3.0], { four = 4 }]
text = """
several
lines \\u00e9 "quoted" """
`;
    const after = await stampedManifest(before, '1.2.3-rc.1+build.5');
    const expected = read(before) as { workspace: { package: { version: string } } };
    expected.workspace.package.version = '1.2.3-rc.1+build.5';
    expect(read(after)).toEqual(expected);
    expect(after).toContain('float = 1.0');
    expect(after).toContain('big = 9223372036854775807');
    expect(after).toContain('day = 1979-05-27\n');
    expect(after).toMatch(/when = 1979-05-27T07:32:00\.5\d*-08:00/);
  });

  const key = fc.oneof(
    fc.stringMatching(/^[a-z][a-z-]{0,8}$/),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
    fc.constantFrom('version', 'package', 'workspace', '__proto__', 'constructor', '', 'a.b', 'quo"te'),
  );
  const scalar = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.double().map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.boolean(),
    fc.constantFrom('1979-05-27', '07:32:00', '1979-05-27T07:32:00Z').map((text) => new TomlDate(text)),
  );
  const { table } = fc.letrec<{ value: unknown; table: Record<string, unknown> }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      scalar,
      tie('table'),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
    table: fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  }));

  test('whatever else stands in it stays', async () => {
    await fc.assert(
      fc.asyncProperty(table, table, table, async (top, workspace, shared) => {
        const whole = (version: string) => ({
          ...top,
          workspace: { ...workspace, package: { ...shared, version } },
        });
        const before = stringify(whole('0.0.0'), { numbersAsFloat: true });
        expect(read(await stampedManifest(before, '9.8.7'))).toEqual(
          read(stringify(whole('9.8.7'), { numbersAsFloat: true })),
        );
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ['', 'no workspace'],
    ['[workspace]\n', 'no package'],
    ['workspace = 5\n', 'not a table'],
    ['[[workspace]]\n[workspace.package]\nversion = "0.0.0"\n', 'a list'],
    ['[workspace.package]\nedition = "2024"\n', 'no version'],
    ['[workspace.package]\nversion = 1\n', 'not a text'],
    ['[workspace.package]\nversion.workspace = true\n', 'inherited'],
    ['[package]\nversion = "0.0.0"\n', 'only a package'],
  ])('%j has no shared version: %s', async (text) => {
    expect(await refusalFrom(() => stampedManifest(text, '1.2.3'))).toBe(
      '2: Cargo.toml has no version in [workspace.package] to stamp; unset OPENSHELL_CARGO_VERSION',
    );
  });

  test.each(['[workspace', 'version = "0.0.0', '[a]\n[a]\n', 'x = [1,'])('%j is not TOML', async (text) => {
    expect(await refusalFrom(() => stampedManifest(text, '1.2.3'))).toMatch(
      /^2: Cargo\.toml cannot be read as TOML: Invalid TOML/,
    );
  });
});

describe('the overlay (faults C10, C11, C12)', () => {
  let root: string;
  beforeEach(() => {
    root = join(temporaryDirectory(), "a checkout's root");
    for (const directory of ['.git', '.cargo', 'crates/openshell-server/src', 'target/release', 'proto']) {
      mkdirSync(join(root, directory), { recursive: true });
    }
    writeFileSync(join(root, 'Cargo.toml'), `# comment\n[workspace]\nmembers = ["crates/*"]\n${MANIFEST}`);
    writeFileSync(join(root, 'Cargo.lock'), 'version = 4\n');
    writeFileSync(join(root, 'rust-toolchain.toml'), '');
    writeFileSync(join(root, 'crates/openshell-server/src/main.rs'), 'fn main() {}\n');
    symlinkSync('rust-toolchain.toml', join(root, 'a link'));
  });

  const planned = (targetDirectory: string) => planOverlay(root, targetDirectory, '1.2.3');
  const inside = () => planned(join(root, 'target'));
  const linksOf = (directory: string) =>
    readdirSync(directory)
      .filter((name) => lstatSync(join(directory, name)).isSymbolicLink())
      .sort();

  /** Every file of the checkout but cargo's output, with kind, mode, time and content. */
  function snapshot(directory = root): string[] {
    return readdirSync(directory)
      .filter((name) => directory !== root || name !== 'target')
      .sort()
      .flatMap((name) => {
        const path = join(directory, name);
        const stat = lstatSync(path);
        if (stat.isDirectory()) return [`${path}/ ${stat.mode} ${stat.mtimeMs}`, ...snapshot(path)];
        const content = stat.isSymbolicLink() ? readlinkSync(path) : readFileSync(path);
        const hash = createHash('sha256').update(content).digest('hex');
        return [`${path} ${stat.ino} ${stat.mode} ${stat.mtimeMs} ${hash}`];
      });
  }

  test('its place: one directory for each version, below the target directory', () => {
    expect(planOverlay('/c', '/c/target', '1.2.3+b')).toEqual({
      root: '/c',
      targetDirectory: '/c/target',
      directory: '/c/target/openshell-version/1.2.3+b',
      version: '1.2.3+b',
    });
  });

  test('a stamped manifest, a copy of the lock file, links to the rest; the checkout is untouched', async () => {
    const before = snapshot();
    const overlay = inside();
    await make(overlay);
    await make(overlay);
    expect(snapshot()).toEqual(before);
    expect(read(readFileSync(join(overlay.directory, 'Cargo.toml'), 'utf8'))).toEqual({
      workspace: { members: ['crates/*'], package: { version: '1.2.3' } },
    });
    expect(lstatSync(join(overlay.directory, 'Cargo.lock')).isFile()).toBe(true);
    expect(readFileSync(join(overlay.directory, 'Cargo.lock'), 'utf8')).toBe('version = 4\n');
    expect(linksOf(overlay.directory)).toEqual(['a link', 'crates', 'proto', 'rust-toolchain.toml']);
    expect(readdirSync(overlay.directory).sort()).toEqual([
      'Cargo.lock',
      'Cargo.toml',
      'a link',
      'crates',
      'proto',
      'rust-toolchain.toml',
    ]);
    for (const name of linksOf(overlay.directory)) {
      expect(realpathSync(join(overlay.directory, name))).toBe(realpathSync(join(root, name)));
    }
  });

  test('what cargo writes into its lock file does not reach the checkout', async () => {
    const overlay = inside();
    await make(overlay);
    writeFileSync(join(overlay.directory, 'Cargo.lock'), 'moved');
    expect(readFileSync(join(root, 'Cargo.lock'), 'utf8')).toBe('version = 4\n');
    await make(overlay);
    expect(readFileSync(join(overlay.directory, 'Cargo.lock'), 'utf8')).toBe('version = 4\n');
  });

  test('a checkout without a lock file', async () => {
    rmSync(join(root, 'Cargo.lock'));
    await make(inside());
    expect(existsSync(join(inside().directory, 'Cargo.lock'))).toBe(false);
  });

  test('outside the checkout it has the same links', async () => {
    const overlay = planned(join(temporaryDirectory(), 'out'));
    await make(overlay);
    expect(linksOf(overlay.directory)).toEqual(['a link', 'crates', 'proto', 'rust-toolchain.toml']);
  });

  test('a target directory of another name is not linked into itself', async () => {
    mkdirSync(join(root, '..output'));
    const overlay = planned(join(root, '..output'));
    await make(overlay);
    expect(linksOf(overlay.directory)).toEqual(['a link', 'crates', 'proto', 'rust-toolchain.toml']);
  });

  test('a target directory below a source directory does not hide that directory', async () => {
    const overlay = planned(join(root, 'crates/openshell-server/target'));
    await make(overlay);
    expect(linksOf(overlay.directory)).toContain('crates');
    expect(statSync(join(overlay.directory, 'crates/openshell-server/src/main.rs')).isFile()).toBe(true);
  });

  test('brought up to date: new entries come, stale links go, wrong ones are set right, the rest stays', async () => {
    const overlay = inside();
    await make(overlay);
    const { ino } = lstatSync(join(overlay.directory, 'crates'));
    writeFileSync(join(root, 'new file'), '');
    rmSync(join(root, 'proto'), { recursive: true });
    rmSync(join(overlay.directory, 'rust-toolchain.toml'));
    symlinkSync('/somewhere/else', join(overlay.directory, 'rust-toolchain.toml'));
    symlinkSync('nowhere', join(overlay.directory, `.crates.${process.pid}.tmp`));
    symlinkSync(join(root, '.git'), join(overlay.directory, '.git'));
    writeFileSync(join(overlay.directory, 'notes of a user'), '');
    writeFileSync(join(root, 'Cargo.toml'), `[workspace]\nresolver = "3"\n${MANIFEST}`);
    await make(overlay);
    expect(linksOf(overlay.directory)).toEqual(['a link', 'crates', 'new file', 'rust-toolchain.toml']);
    expect(readlinkSync(join(overlay.directory, 'rust-toolchain.toml'))).toBe(join(root, 'rust-toolchain.toml'));
    expect(lstatSync(join(overlay.directory, 'crates')).ino).toBe(ino);
    expect(existsSync(join(overlay.directory, 'notes of a user'))).toBe(true);
    expect(readFileSync(join(overlay.directory, 'Cargo.toml'), 'utf8')).toContain('resolver = "3"');
  });

  test('unchanged files keep their time, so that cargo has nothing to do', async () => {
    const overlay = inside();
    await make(overlay);
    const times = () =>
      ['Cargo.toml', 'Cargo.lock', 'crates'].map((name) => lstatSync(join(overlay.directory, name)).mtimeMs);
    const before = times();
    await make(overlay);
    expect(times()).toEqual(before);
  });

  test('a real directory in the place of a link is an error and is kept', async () => {
    const path = join(inside().directory, 'crates');
    mkdirSync(path, { recursive: true });
    await expect(make(inside())).rejects.toThrow('is a directory');
    expect(lstatSync(path).isSymbolicLink()).toBe(false);
  });

  test("links where our two files belong are replaced, the checkout's files that they lead to are untouched", async () => {
    const before = snapshot();
    mkdirSync(inside().directory, { recursive: true });
    for (const name of ['Cargo.toml', 'Cargo.lock']) symlinkSync(join(root, name), join(inside().directory, name));
    await make(inside());
    expect(snapshot()).toEqual(before);
    expect(readFileSync(join(inside().directory, 'Cargo.toml'), 'utf8')).toContain('1.2.3');
  });

  test('a manifest without a version: nothing is made', async () => {
    writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
    expect(await refusalFrom(() => make(inside()))).toMatch(/^2: Cargo\.toml has no version/);
    expect(existsSync(inside().directory)).toBe(false);
  });

  test('F8: four runs at once over 200 entries, each several times: none takes the links of another away', async () => {
    for (let n = 0; n < 200; n++) writeFileSync(join(root, `entry-${n}`), '');
    const overlay = inside();
    const script = `
      const { makeOverlay } = await import(${JSON.stringify(join(MODULE, 'cargo/version-overlay.ts'))});
      const { Signals } = await import(${JSON.stringify(join(MODULE, 'process/signals.ts'))});
      const terminal = { say: () => undefined };
      for (let round = 0; round < 3; round++) {
        (await import('node:fs')).rmSync(${JSON.stringify(join(overlay.directory, 'entry-7'))}, { force: true });
        await makeOverlay({ signals: new Signals(), terminal }, ${JSON.stringify(overlay)});
      }`;
    const args = ['--input-type=module-typescript', '-e', script];
    const four = Array.from({ length: 4 }, () => runProcess(process.execPath, args, { cwd: '/', env: {} }));
    for (const result of await Promise.all(four)) expect(result).toMatchObject({ status: 0, stderr: '' });
    const links = readdirSync(overlay.directory).filter((name) => name.startsWith('entry-'));
    expect(links.length).toBeGreaterThanOrEqual(199);
    expect(readdirSync(overlay.directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
