// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bareTarget, writeZigWrapper, type ZigWrapper, zigWrapper } from '../../../lib/cargo/zig-cc.ts';
import { findProgram } from '../../../lib/process/which.ts';
import { anyWord } from '../../support/any-text.ts';
import { fakeTools } from '../../support/in-process.ts';
import { runTaskFile } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const TARGET = 'x86_64-unknown-linux-gnu.2.28';
const SHELLS = ['sh', 'dash', 'bash'].filter((shell) => findProgram(shell, process.env) !== undefined);
const HOSTILE = [
  'with blank',
  "it's",
  'quo"te',
  '$HOME',
  '$(touch PWNED)',
  'x;touch PWNED;#',
  'new\nline',
  'ä',
  '-n',
  '`x`\\',
];
/** All of them at once, one below the other. */
const ALL_HOSTILE = HOSTILE.join('/');

/** A zig that prints its words, each with a NUL behind it. */
function fakeZig(directory: string): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'zig'), `#!/bin/sh\nprintf '%s\\0' "$@"\n`, { mode: 0o755 });
  return join(directory, 'zig');
}

/** What zig gets when a wrapper is run by a shell. */
function zigArguments(shell: string, script: string, words: readonly string[]): string[] {
  const result = spawnSync(shell, [script, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  expect(result.stderr.toString()).toBe('');
  expect(result.status).toBe(0);
  return result.stdout.toString().split('\0').slice(0, -1);
}

function written(directory: string, zig: string, target = TARGET): ZigWrapper {
  const wrapper = zigWrapper(target, target, directory, zig);
  writeZigWrapper(wrapper);
  return wrapper;
}

describe('what there is', () => {
  test('the variables, in their order, for the target with and without its glibc version', () => {
    expect(zigWrapper(TARGET, TARGET, '/w', '/zig').variables).toEqual([
      ['CC_x86_64_unknown_linux_gnu_2_28', '/w/cc'],
      ['CXX_x86_64_unknown_linux_gnu_2_28', '/w/c++'],
      ['AR_x86_64_unknown_linux_gnu_2_28', '/w/ar'],
      ['RANLIB_x86_64_unknown_linux_gnu_2_28', '/w/ranlib'],
      ['CMAKE_TOOLCHAIN_FILE_x86_64_unknown_linux_gnu_2_28', '/w/toolchain.cmake'],
      ['CC_x86_64_unknown_linux_gnu', '/w/cc'],
      ['CXX_x86_64_unknown_linux_gnu', '/w/c++'],
      ['AR_x86_64_unknown_linux_gnu', '/w/ar'],
      ['RANLIB_x86_64_unknown_linux_gnu', '/w/ranlib'],
      ['CMAKE_TOOLCHAIN_FILE_x86_64_unknown_linux_gnu', '/w/toolchain.cmake'],
    ]);
  });

  test('a target without a version has its five variables once', () => {
    expect(zigWrapper('aarch64-unknown-linux-musl', 'x', '/w', '/zig').variables.map(([name]) => name)).toEqual([
      'CC_aarch64_unknown_linux_musl',
      'CXX_aarch64_unknown_linux_musl',
      'AR_aarch64_unknown_linux_musl',
      'RANLIB_aarch64_unknown_linux_musl',
      'CMAKE_TOOLCHAIN_FILE_aarch64_unknown_linux_musl',
    ]);
  });

  test('the files and their modes; written once, then left alone', () => {
    const directory = join(temporaryDirectory(), 'a/b');
    const wrapper = zigWrapper(TARGET, TARGET, directory, '/opt/zig');
    const before = process.umask(0o077);
    try {
      expect(writeZigWrapper(wrapper)).toBe('written');
    } finally {
      process.umask(before);
    }
    const modes = Object.fromEntries(
      readdirSync(directory).map((name) => [name, (statSync(join(directory, name)).mode & 0o7777).toString(8)]),
    );
    expect(modes).toEqual({ cc: '755', 'c++': '755', ar: '755', ranlib: '755', 'toolchain.cmake': '644' });
    expect(writeZigWrapper(wrapper)).toBe('unchanged');
    expect(writeZigWrapper(zigWrapper(TARGET, TARGET, directory, '/other/zig'))).toBe('written');
  });

  test('what stood in the directory is replaced, a link included', () => {
    const directory = temporaryDirectory();
    const victim = join(temporaryDirectory(), 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(directory, 'cc'));
    writeFileSync(join(directory, 'ar'), 'old', { mode: 0o600 });
    written(directory, '/opt/zig');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(lstatSync(join(directory, 'cc')).isFile()).toBe(true);
    expect(statSync(join(directory, 'ar')).mode & 0o777).toBe(0o755);
  });

  test.each([
    ['x86_64-unknown-linux-gnu.2.28', 'x86_64-unknown-linux-gnu'],
    ['x86_64-unknown-linux-gnu.2.28.1', 'x86_64-unknown-linux-gnu.2'],
    ['x86_64-unknown-linux-gnu', 'x86_64-unknown-linux-gnu'],
    ['x86_64-unknown-linux-musl', 'x86_64-unknown-linux-musl'],
  ])('%s without its glibc version is %s', (target, bare) => {
    expect(bareTarget(target)).toBe(bare);
  });

  test('the cmake file names the system, the processor and the four tools, and needs no program to be linked', () => {
    const text = zigWrapper('aarch64-unknown-linux-gnu.2.28', 'aarch64-unknown-linux-gnu.2.28', '/w', '/zig').files.at(
      -1,
    );
    expect(text).toMatchInlineSnapshot(`
      {
        "mode": 420,
        "path": "/w/toolchain.cmake",
        "text": "set(CMAKE_SYSTEM_NAME "Linux")
      set(CMAKE_SYSTEM_PROCESSOR "aarch64")
      set(CMAKE_C_COMPILER "/w/cc")
      set(CMAKE_CXX_COMPILER "/w/c++")
      set(CMAKE_AR "/w/ar")
      set(CMAKE_RANLIB "/w/ranlib")
      set(CMAKE_TRY_COMPILE_TARGET_TYPE "STATIC_LIBRARY")
      ",
      }
    `);
  });
});

describe.each(SHELLS)('under %s', (shell) => {
  const directory = () => join(temporaryDirectory(), 'wrapper');
  const LEAD = '--target=x86_64-linux-gnu.2.28';

  test.each<[string[], string[]]>([
    [[], []],
    [
      ['-c', 'x.c', '-o', 'x.o'],
      ['-c', 'x.c', '-o', 'x.o'],
    ],
    [['--target=x86_64-unknown-linux-gnu', '-c'], ['-c']],
    [['-target=x', '-c'], ['-c']],
    [['--target', 'x86_64-unknown-linux-gnu', '-c'], ['-c']],
    [['-c', '-target', 'x'], ['-c']],
    [['-c', '--target'], ['-c']],
    [['-target'], []],
    [
      ['--target', '--target', 'a', 'b'],
      ['a', 'b'],
    ],
    [['--target=', 'a', '-target=', '--target=b=c'], ['a']],
    [
      ['--targets=x', '--target-x', 'target', '-targetx', '--Target=x'],
      ['--targets=x', '--target-x', 'target', '-targetx', '--Target=x'],
    ],
    [
      ['', 'a  b', '', '\t', '*', '$HOME', '"', "'", '\\', 'new\nline', '-', '--'],
      ['', 'a  b', '', '\t', '*', '$HOME', '"', "'", '\\', 'new\nline', '-', '--'],
    ],
  ])('cc %j passes on %j', (given, expected) => {
    const at = directory();
    written(at, fakeZig(temporaryDirectory()));
    expect(zigArguments(shell, join(at, 'cc'), given)).toEqual(['cc', LEAD, ...expected]);
    expect(zigArguments(shell, join(at, 'c++'), given)).toEqual(['c++', LEAD, ...expected]);
  });

  test.each(['ar', 'ranlib'])('%s passes on everything', (tool) => {
    const at = directory();
    written(at, fakeZig(temporaryDirectory()));
    const given = ['crs', '--target=x', '', 'a b', '-target', 'x'];
    expect(zigArguments(shell, join(at, tool), given)).toEqual([tool, ...given]);
    expect(zigArguments(shell, join(at, tool), [])).toEqual([tool]);
  });

  test('any arguments: the four forms of the target go, the rest keeps its order', () => {
    const at = directory();
    written(at, fakeZig(temporaryDirectory()));
    const argument = fc.oneof(
      anyWord(6),
      fc.constantFrom('--target', '-target', '--target=x', '-target=x', '', 'a b', '-c', '*'),
    );
    fc.assert(
      fc.property(fc.array(argument, { maxLength: 12 }), (given) => {
        const expected: string[] = [];
        for (let n = 0; n < given.length; n++) {
          const current = given[n] ?? '';
          if (current === '--target' || current === '-target') n++;
          else if (!/^--?target=/.test(current)) expected.push(current);
        }
        expect(zigArguments(shell, join(at, 'cc'), given)).toEqual(['cc', LEAD, ...expected]);
      }),
      { numRuns: 60 },
    );
  });

  test.each(['x;touch PWNED;#', ALL_HOSTILE])('a directory and a zig in %j', (name) => {
    const base = temporaryDirectory();
    const zig = fakeZig(join(base, name, 'zig dir'));
    const at = join(base, name, 'wrapper');
    written(at, zig);
    for (const tool of ['cc', 'ar']) expect(zigArguments(shell, join(at, tool), ['x'])).toContain('x');
    expect(existsSync(join(base, 'PWNED')) || existsSync('PWNED')).toBe(false);
  });
});

const CMAKE = findProgram('cmake', process.env);

describe.skipIf(CMAKE === undefined)('real cmake reads the toolchain file (skipped without cmake)', () => {
  const cmake = (given: readonly string[], cwd: string) => {
    const result = spawnSync(CMAKE ?? '', given, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    return { status: result.status, text: `${result.stdout}${result.stderr}` };
  };

  // A semicolon separates the elements of cmake's lists, and no way of writing brings one through as a compiler's path.
  const readable = HOSTILE.filter((name) => !name.includes(';'));

  // biome-ignore lint/suspicious/noTemplateCurlyInString: cmake's variables look like that
  test.each([...readable, '@NAME@', '[[x]]', '${CMAKE_VERSION}', '\\$x', 'a\\'])('in a directory %j', (name) => {
    const base = temporaryDirectory();
    const directory = join(base, name);
    written(directory, '/opt/zig');
    const names = ['SYSTEM_NAME', 'SYSTEM_PROCESSOR', 'C_COMPILER', 'CXX_COMPILER', 'AR', 'RANLIB'];
    const lines = names.map((variable) => `file(APPEND out "<\${CMAKE_${variable}}>")\n`);
    writeFileSync(
      join(base, 'show.cmake'),
      `${readFileSync(join(directory, 'toolchain.cmake'), 'utf8')}${lines.join('')}`,
    );
    expect(cmake(['-P', 'show.cmake'], base)).toEqual({ status: 0, text: '' });
    const tools = ['cc', 'c++', 'ar', 'ranlib'].map((tool) => `<${directory}/${tool}>`);
    expect(readFileSync(join(base, 'out'), 'utf8')).toBe(`<Linux><x86_64>${tools.join('')}`);
  });

  const CC = findProgram('cc', process.env);
  test.skipIf(CC === undefined)('and configures a project in a directory with blanks (skipped without cc)', () => {
    const base = join(temporaryDirectory(), 'a project');
    const zig = join(base, 'zig');
    mkdirSync(base);
    // Stands in for zig: forgets the tool and the target, and compiles with what is here.
    writeFileSync(
      zig,
      `#!/bin/sh\ntool=$1\nshift\ncase $tool in cc) shift; exec cc "$@" ;; *) exec "$tool" "$@" ;; esac\n`,
      {
        mode: 0o755,
      },
    );
    written(join(base, 'wrapper dir'), zig);
    writeFileSync(join(base, 'x.c'), 'int x;\n');
    writeFileSync(
      join(base, 'CMakeLists.txt'),
      'cmake_minimum_required(VERSION 3.16)\nproject(p C)\nadd_library(x STATIC x.c)\n',
    );
    const configured = cmake(['-B', 'out', '-DCMAKE_TOOLCHAIN_FILE=wrapper dir/toolchain.cmake'], base);
    expect(configured).toMatchObject({ status: 0 });
    expect(cmake(['--build', 'out'], base)).toMatchObject({ status: 0 });
    expect(existsSync(join(base, 'out/libx.a'))).toBe(true);
    const cache = readFileSync(
      join(
        base,
        'out/CMakeFiles',
        readdirSync(join(base, 'out/CMakeFiles')).find((name) => /^\d/.test(name)) ?? '',
        'CMakeCCompiler.cmake',
      ),
      'utf8',
    );
    expect(cache).toContain(`set(CMAKE_C_COMPILER "${base}/wrapper dir/cc")`);
  });
});

describe('tasks/setup-zig-cc-wrapper', () => {
  /** A checkout, a zig and an environment; the directory's name can be hostile. */
  function setting(name: string) {
    const tools = fakeTools();
    const root = join(temporaryDirectory(), name);
    mkdirSync(join(root, 'crates/openshell-server'), { recursive: true });
    writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
    const zig = fakeZig(join(root, 'tools'));
    const run = (words: readonly string[], extra: Record<string, string> = {}) =>
      runTaskFile('setup-zig-cc-wrapper', words, { cwd: root, env: tools.env({ ZIG: zig, ...extra }) });
    return { tools, root, zig, run };
  }

  const expected = (directory: string) => zigWrapper(TARGET, TARGET, directory, '/any').variables;

  /** The values that real bash has after `eval "$(...)"`. */
  function evaluated(text: string, cwd: string): string[] {
    const names = expected('/').map(([name]) => name);
    const script = `set -euo pipefail\neval "$(cat)"\nfor name in ${names.join(' ')}; do printf '%s\\0' "\${!name}"; done\nexport -p | grep -c 'declare -x C[CXM][A-Z_]*_x86' >&2`;
    const result = spawnSync('bash', ['--norc', '-c', script], { cwd, input: text, env: { PATH: process.env.PATH } });
    expect({ status: result.status, exported: result.stderr.toString() }).toEqual({ status: 0, exported: '6\n' });
    return result.stdout.toString().split('\0').slice(0, -1);
  }

  test.each(['plain', 'x;touch PWNED;#', ALL_HOSTILE])(
    'prints lines that bash evaluates to exactly the paths, in %j (fault C14)',
    async (name) => {
      const { root, run } = setting(name);
      const result = await run([TARGET, TARGET, 'target/zig wrapper']);
      expect(result).toMatchObject({ status: 0, stderr: '' });
      const directory = join(root, 'target/zig wrapper');
      expect(evaluated(result.stdout, root)).toEqual(expected(directory).map(([, value]) => value));
      expect(existsSync(join(root, 'PWNED')) || existsSync('PWNED')).toBe(false);
      expect(zigArguments('sh', join(directory, 'cc'), ['-c'])).toEqual(['cc', '--target=x86_64-linux-gnu.2.28', '-c']);
    },
  );

  test('the lines of a plain path are as they always were, absolute for a relative directory (ZIG-2)', async () => {
    const { root, run } = setting('plain');
    const { stdout } = await run([TARGET, TARGET, 'w']);
    expect(stdout).toBe(
      expected(join(root, 'w'))
        .map(([name, value]) => `export ${name}=${value}\n`)
        .join(''),
    );
  });

  test('with GITHUB_ENV the file gets the lines and stdout nothing', async () => {
    const { root, run } = setting('plain');
    writeFileSync(join(root, 'github env'), 'BEFORE=1\n');
    expect(
      await run([TARGET, TARGET, '/tmp/../w w'.replace('/tmp/..', root)], { GITHUB_ENV: 'github env' }),
    ).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
    const lines = expected(join(root, 'w w')).map(([name, value]) => `${name}=${value}\n`);
    expect(readFileSync(join(root, 'github env'), 'utf8')).toBe(`BEFORE=1\n${lines.join('')}`);
  });

  test('a path with a line break goes into GITHUB_ENV in the delimiter form', async () => {
    const { root, run } = setting('two\nEND_OF_VALUE\nlines');
    const file = join(temporaryDirectory(), 'env');
    expect(await run([TARGET, TARGET, 'w'], { GITHUB_ENV: file })).toMatchObject({ status: 0, stdout: '' });
    const text = readFileSync(file, 'utf8');
    const values: [string, string][] = [];
    for (let rest = text; rest !== ''; ) {
      const [, name = '', delimiterLine = ''] = /^(\w+)<<(.+)\n/.exec(rest) ?? [];
      const start = name.length + 2 + delimiterLine.length + 1;
      const end = rest.indexOf(`\n${delimiterLine}\n`, start);
      values.push([name, rest.slice(start, end)]);
      rest = rest.slice(end + delimiterLine.length + 2);
    }
    expect(values).toEqual(expected(join(root, 'w')));
  });

  test('an empty GITHUB_ENV is unset', async () => {
    const { run } = setting('plain');
    expect((await run([TARGET, TARGET, 'w'], { GITHUB_ENV: '' })).stdout).toMatch(/^export CC_/);
  });

  test('a stale cmake cache goes, with a line on stderr, in the target directory that counts', async () => {
    const { root, run } = setting('plain');
    const cache = (target: string) => {
      const directory = join(target, 'x86_64-unknown-linux-gnu/release/build/z3-sys-1/out/build');
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, 'CMakeCache.txt'), '/home/x/.cache/cargo-zigbuild/zigcc');
      return directory;
    };
    const [own, other] = [cache(join(root, 'target')), cache(join(root, 'other'))];
    const second = await run([TARGET, TARGET, 'w'], { CARGO_TARGET_DIR: 'other' });
    expect(second.stderr).toBe(`removed a stale cmake cache: ${other}\n`);
    expect(existsSync(own)).toBe(true);
    expect((await run([TARGET, TARGET, 'w'])).stderr).toBe(`removed a stale cmake cache: ${own}\n`);
    expect(existsSync(own)).toBe(false);
  });

  test.each<[string[], string]>([
    [[], '<cargo-target> is missing'],
    [[TARGET], '<zig-target> is missing'],
    [[TARGET, TARGET], '<wrapper-dir> is missing'],
    [[TARGET, TARGET, 'w', 'x'], "unexpected argument 'x'"],
    [['', TARGET, 'w'], "cargo-target is ''"],
    [['x;touch PWNED', TARGET, 'w'], "cargo-target is 'x;touch PWNED'"],
    [[TARGET, '$(touch PWNED)', 'w'], "zig-target is '$(touch PWNED)'"],
    [[TARGET, 'gnu', 'w'], "zig-target is 'gnu'"],
    [['../x86_64-linux', TARGET, 'w'], "cargo-target is '../x86_64-linux'"],
    [[TARGET, TARGET, ''], "wrapper-dir is ''"],
  ])('%j: exit 2, one line, nothing written', async (words, message) => {
    const { root, run } = setting('plain');
    const before = readdirSync(root);
    const result = await run(words);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
    expect(readdirSync(root)).toEqual(before);
  });

  test.each<[string, Record<string, string>, string]>([
    ['no zig at all', { ZIG: '' }, 'zig is not on PATH and mise does not have it'],
    ['a ZIG that is not there', { ZIG: 'no/such/zig' }, "ZIG is 'no/such/zig', which is not an executable program"],
    ['a ZIG that is a file', { ZIG: './Cargo.toml' }, "ZIG is './Cargo.toml', which is not an executable program"],
    ['no checkout', { OPENSHELL_ROOT: '/' }, "OPENSHELL_ROOT is '/', which is not an OpenShell checkout"],
  ])('%s: exit 2, one line, nothing written', async (_, extra, message) => {
    const { root, run } = setting('plain');
    const result = await run([TARGET, TARGET, 'w'], extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
    expect(existsSync(join(root, 'w'))).toBe(false);
  });

  test('zig from PATH where ZIG is not set, also when mise does not know it (ZIG-1)', async () => {
    const { tools, root, run } = setting('plain');
    tools.add('mise', []);
    const path = `${tools.bin}${delimiter}${join(root, 'tools')}`;
    expect(await run([TARGET, TARGET, 'w'], { ZIG: '', PATH: path })).toMatchObject({ status: 0, stderr: '' });
    expect(zigArguments('sh', join(root, 'w/ar'), ['x'])).toEqual(['ar', 'x']);
  });
});
