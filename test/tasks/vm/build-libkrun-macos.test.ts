// SPDX-License-Identifier: Apache-2.0

/** On Linux, with the facts of a Mac and fake tools of Apple's: nothing of this has run on a Mac. */

import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Host } from '../../../lib/host.ts';
import { buildLibkrunMacos } from '../../../lib/vm/libkrun-macos/execute.ts';
import type { MacosFlags } from '../../../lib/vm/libkrun-macos/plan.ts';
import { FakeLibkrun, libkrunTools } from '../../support/fake-libkrun.ts';
import { inProcess } from '../../support/in-process.ts';
import { runTaskFile } from '../../support/run-task.ts';
import { refusalFrom } from '../../support/task-errors.ts';

const MAC: Host = { platform: 'darwin', arch: 'arm64' };

const SYSTEM = '/usr/lib/libSystem.B.dylib';

class FakeMac extends FakeLibkrun {
  readonly kernel = join(this.directory, 'kernel');

  /** @param needed what libkrun.dylib needs in the end, as otool says */
  constructor(needed = SYSTEM, name?: string) {
    super(name);
    mkdirSync(this.kernel);
    writeFileSync(join(this.kernel, 'kernel.c'), 'char kernel[] = {};');
    writeFileSync(join(this.kernel, 'ABI_VERSION'), '5\n');
    const brew = join(this.directory, 'brew');
    mkdirSync(join(brew, 'opt/llvm'), { recursive: true });
    this.tools.add('brew', [{ args: ['--prefix'], script: `echo ${brew}` }]);
    this.tools.add('cc', [{ args: ['-fPIC'], script: '/bin/cp "$6" "$5"' }]);
    this.tools.addSilent('ld.lld', 'dtc', 'install_name_tool', 'codesign');
    const list = (path: string) => `printf 'x:\\n\\t${path} (compatibility version 1.0.0, current version 1.0.0)\\n'`;
    this.tools.add('otool', [
      { args: ['-L'], script: `if [[ $2 == */libkrun.dylib ]]; then ${list(needed)}; else ${list(SYSTEM)}; fi` },
    ]);
    this.setMake('/bin/mkdir -p target/release; echo dylib > target/release/libkrun.dylib');
  }

  setMake(script: string, clean = ':'): void {
    rmSync(join(this.tools.bin, 'make'), { force: true });
    this.tools.add('make', [
      { args: ['clean'], script: clean },
      { args: ['BLK=1', 'NET=1'], script },
    ]);
  }

  async make(
    flags: Partial<MacosFlags> = {},
    env: Readonly<Record<string, string>> = {},
    host = MAC,
    isDryRun = false,
  ) {
    const ctx = inProcess(this.tools, this.libkrunEnv(env), this.directory);
    await buildLibkrunMacos(ctx, { kernelDirectory: 'kernel', isStrict: false, ...flags }, isDryRun, host);
    return ctx.screen;
  }
}

describe('building libkrun on macOS', libkrunTools.options, () => {
  test('the libraries, from the pinned commit, in place together', async () => {
    const mac = new FakeMac('/x/libkrunfw.5.dylib');
    const screen = await mac.make();
    const files = ['libkrun.dylib', 'libkrunfw.dylib', 'libkrunfw.5.dylib'];
    expect(screen.stdout().trim().split('\n')).toEqual(files.map((name) => join(mac.out, name)));
    expect(JSON.parse(mac.read('build.json'))).toEqual({
      libkrun: { commit: mac.head('libkrun') },
    });
    const lines = mac.tools.lines();
    expect(lines).toContain(
      `install_name_tool -change /x/libkrunfw.5.dylib @loader_path/libkrunfw.dylib ${join(mac.out, 'dylibs/libkrun.dylib')}`,
    );
    const build = mac.tools.calls().find(({ tool, args }) => tool === 'make' && args[0] === 'BLK=1');
    expect(build).toMatchObject({
      args: ['BLK=1', 'NET=1', `-j${availableParallelism()}`],
      cwd: join(mac.out, 'libkrun'),
    });
  });

  test('MAC-1: a library that is not portable is a warning, and an error with --strict, which puts nothing in place', async () => {
    const mac = new FakeMac('/opt/homebrew/lib/libx.dylib');
    expect(await refusalFrom(() => mac.make({ isStrict: true }))).toBe(
      '1: other Macs do not have what these libraries need: libkrun.dylib; build without it, or leave out --strict',
    );
    expect(existsSync(join(mac.out, 'libkrun.dylib'))).toBe(false);
    const { stderr } = await mac.make();
    expect(stderr()).toContain('not portable: libkrun.dylib needs /opt/homebrew/lib/libx.dylib');
    expect(stderr()).toContain(
      'warning: other Macs do not have what these libraries need: libkrun.dylib; --strict makes this an error',
    );
  });

  test('MAC-3: the ABI is a number; another than that of the driver is said, and none of another version is left', async () => {
    const mac = new FakeMac();
    await mac.make();
    writeFileSync(join(mac.kernel, 'ABI_VERSION'), '6');
    const { stderr } = await mac.make();
    expect(stderr()).toContain('warning: the ABI of the kernel is 6, and the VM driver embeds libkrunfw.5.dylib');
    expect(
      readdirSync(mac.out)
        .filter((name) => /^libkrunfw\..*dylib$/.test(name))
        .sort(),
    ).toEqual(['libkrunfw.6.dylib', 'libkrunfw.dylib']);
    writeFileSync(join(mac.kernel, 'ABI_VERSION'), '5;rm');
    expect(await refusalFrom(() => mac.make())).toContain("ABI_VERSION is '5;rm'; allowed is a number such as 5; ");
  });

  test('MAC-4: no library of an earlier build is taken, wherever cargo is set to put its output', async () => {
    const mac = new FakeMac();
    await mac.make({}, { CARGO_TARGET_DIR: '/mine', CARGO_BUILD_TARGET_DIR: '/mine', CARGO_BUILD_TARGET: 'x' });
    const makes = mac.tools.calls().filter(({ tool }) => tool === 'make');
    const target = join(mac.out, 'libkrun/target');
    expect(makes.map(({ args, env }) => [args[0], env.CARGO_TARGET_DIR, env.CARGO_BUILD_TARGET])).toEqual([
      ['clean', target, undefined],
      ['BLK=1', target, undefined],
    ]);
    mac.setMake(':', 'exit 2');
    expect(await refusalFrom(() => mac.make())).toMatch(/^2: make clean failed with status 2 in /);
  });

  test.each([
    [
      'the platform first',
      { kernelDirectory: undefined },
      { ...MAC, platform: 'linux' as const },
      /macOS only, and this is linux/,
    ],
    ['then the machine', { kernelDirectory: undefined }, { ...MAC, arch: 'amd64' as const }, /Apple Silicon only/],
    ['then the flag', { kernelDirectory: undefined }, MAC, /^2: --kernel-dir is missing; /],
    [
      'then the files',
      { kernelDirectory: '/nowhere' },
      MAC,
      /^2: --kernel-dir is '\/nowhere', which has no kernel\.c; /,
    ],
  ])('what is missing: %s', async (_, flags, host, expected) => {
    const mac = new FakeMac();
    expect(await refusalFrom(() => mac.make(flags, {}, host))).toMatch(expected);
    expect(mac.tools.calls()).toEqual([]);
  });

  test('missing tools: all of them, with the command that installs them', async () => {
    const mac = new FakeMac();
    for (const name of ['ld.lld', 'dtc', 'cargo']) rmSync(join(mac.tools.bin, name));
    expect(await refusalFrom(() => mac.make())).toBe('2: rust, lld, dtc are missing; run: brew install rust lld dtc');
  });

  test('without brew its usual place counts', async () => {
    const mac = new FakeMac();
    rmSync(join(mac.tools.bin, 'brew'));
    const screen = await mac.make({}, {}, MAC, true);
    expect(screen.stdout()).toContain(`LIBRARY_PATH=${mac.out}/dylibs:/opt/homebrew/lib `);
    expect(mac.tools.calls()).toEqual([]);
  });

  test('a build that leaves no library fails', async () => {
    const mac = new FakeMac();
    mac.setMake(':');
    expect(await refusalFrom(() => mac.make())).toMatch(
      /^1: make has ended, and has left no \S+\/target\/release\/libkrun\.dylib/,
    );
  });

  test('as a process, on Linux: refused', async () => {
    const mac = new FakeMac();
    symlinkSync('/bin/true', join(mac.tools.bin, 'true'));
    const options = { cwd: mac.directory, env: mac.libkrunEnv() };
    const result = await runTaskFile('vm/build-libkrun-macos', ['--kernel-dir', 'kernel'], options);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toBe(
      'error: this builds on macOS only, and this is linux; on Linux use tasks/vm/build-libkrun.ts\n',
    );
  });
});
