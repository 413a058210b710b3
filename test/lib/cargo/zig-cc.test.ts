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
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { removeStaleCmakeCaches, writeZigWrapper, type ZigWrapper, zigWrapper } from '../../../lib/cargo/zig-cc.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { findProgram } from '../../../lib/process/which.ts';
import { anyWord } from '../../support/any-text.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { ALL_HOSTILE, fakeZig, HOSTILE, zigArguments } from '../../support/fake-zig.ts';
import { screen } from '../../support/in-process.ts';
import { both, requireTools } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const TARGET = 'x86_64-unknown-linux-gnu.2.28';
const SHELLS = ['sh', 'dash', 'bash'].filter((shell) => findProgram(shell, process.env) !== undefined);
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
    expect(zigWrapper(target, target, '/d', 'zig').triple).toBe(bare);
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

const cmakeTools = requireTools('cmake');

describe('real cmake reads the toolchain file', cmakeTools.options, () => {
  const cmake = (given: readonly string[], cwd: string) => {
    const result = spawnSync(cmakeTools.path('cmake'), given, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
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

  const compiler = requireTools('cmake', 'cc');
  test('and configures a project in a directory with blanks', both(cmakeTools.options, compiler.options), () => {
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

const TRIPLE = 'x86_64-unknown-linux-gnu';
const BUILD = `${TRIPLE}/release/build`;
const ZIGBUILD = 'CMAKE_C_COMPILER:FILEPATH=/root/.cache/cargo-zigbuild/0.22.3/zigcc\n';
const ZIGCC = 'CMAKE_C_COMPILER:FILEPATH=/x/zigcc-x86_64-unknown-linux-gnu.2.28-ab12.sh\n';
const ZIGCXX = 'set(CMAKE_CXX_COMPILER "/x/zigcxx-aarch64-unknown-linux-gnu.2.28.sh")\n';
const OURS = 'CMAKE_C_COMPILER:FILEPATH=/checkout/target/zig-gnu-wrapper/amd64/cc\n';

let target: string;
beforeEach(() => {
  target = temporaryDirectory('target dir');
});

function cache(path: string, text: string): string {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  writeFileSync(join(target, path), text);
  return dirname(join(target, path));
}

/** The directories that are removed, as the user is told. */
function removed(directory = target): string[] {
  const shown = screen();
  removeStaleCmakeCaches(new Terminal(shown.out, shown.err, {}), directory, NOTHING_SET, TRIPLE);
  return shown.stderr().match(/(?<=^removed a stale cmake cache: ).*/gm) ?? [];
}

describe('removed', () => {
  test.each([
    ['cargo-zigbuild in the cache', 'CMakeCache.txt', ZIGBUILD],
    ['its C wrapper in the cache', 'CMakeCache.txt', ZIGCC],
    ['its C++ wrapper below CMakeFiles', 'CMakeFiles/3.25.1/CMakeCXXCompiler.cmake', ZIGCXX],
    ['in a binary file', 'CMakeFiles/a.out', `\0\u00ff${ZIGBUILD}\0`],
  ])('%s', (_, file, text) => {
    const directory = join(target, BUILD, 'z3-sys-0123abcd/out/build');
    cache(`${BUILD}/z3-sys-0123abcd/out/build/CMakeCache.txt`, OURS);
    cache(`${BUILD}/z3-sys-0123abcd/out/build/${file}`, text);
    expect(removed()).toEqual([directory]);
    expect(existsSync(directory)).toBe(false);
    expect(existsSync(dirname(directory))).toBe(true);
    expect(removed()).toEqual([]);
  });

  test('of both profiles, each of several packages, and the right one stays', () => {
    const stale = [
      cache(`${TRIPLE}/release/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC),
      cache(`${TRIPLE}/release/build/z3-sys-2/out/build/CMakeCache.txt`, ZIGBUILD),
      cache(`${TRIPLE}/debug/build/z3-sys-3/out/build/CMakeCache.txt`, ZIGCC),
    ];
    const kept = cache(`${TRIPLE}/release/build/z3-sys-4/out/build/CMakeCache.txt`, OURS);
    expect(removed().sort()).toEqual(stale.sort());
    expect(stale.filter((directory) => existsSync(directory))).toEqual([]);
    expect(existsSync(kept)).toBe(true);
  });
});

describe('kept', () => {
  test.each([
    ['our own wrapper', `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`, OURS],
    [
      'a wrapper without a glibc version',
      `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`,
      '/x/zigcc-x86_64-unknown-linux-musl',
    ],
    ['a version on another line', `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`, '/x/zigcc-a\nx-unknown-linux-gnu.2.28'],
    ['another package', `${BUILD}/zstd-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['a package whose name begins otherwise', `${BUILD}/my-z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['another file of the cache', `${BUILD}/z3-sys-1/out/build/notes.txt`, ZIGCC],
    ['less deep', `${BUILD}/z3-sys-1/build/CMakeCache.txt`, ZIGCC],
    ['deeper', `${BUILD}/z3-sys-1/out/build/build/CMakeCache.txt`, ZIGCC],
    ['deeper in the other way', `${BUILD}/x/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['beside', `${BUILD}/z3-sys-1/out/other/CMakeCache.txt`, ZIGCC],
    ['another target', 'aarch64-unknown-linux-gnu/release/build/z3-sys-1/out/build/CMakeCache.txt', ZIGCC],
    ['the host', 'release/build/z3-sys-1/out/build/CMakeCache.txt', ZIGCC],
    ['another profile', `${TRIPLE}/bench/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['the target with its glibc version', `${TRIPLE}.2.28/release/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
  ])('%s', (_, path, text) => {
    cache(path, text);
    expect(removed()).toEqual([]);
    expect(existsSync(join(target, path))).toBe(true);
  });
});

test('odd things in the way are no errors', () => {
  expect(removed(join(target, 'none'))).toEqual([]);
  cache(`${BUILD}/z3-sys-file`, 'a file with the name of the directory');
  cache(`${BUILD}/z3-sys-1/out/build`, 'a file called build');
  cache(`${BUILD}/z3-sys-2/out/build/CMakeFiles`, 'a file called CMakeFiles');
  mkdirSync(join(target, BUILD, 'z3-sys-3/out/build/CMakeCache.txt'), { recursive: true });
  mkdirSync(join(target, BUILD, 'z3-sys-4/out/build/CMakeFiles'), { recursive: true });
  symlinkSync('nowhere', join(target, BUILD, 'z3-sys-4/out/build/CMakeFiles/link'));
  writeFileSync(join(target, TRIPLE, 'debug'), 'a file called debug');
  expect(removed()).toEqual([]);
});
