// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { sourceIn } from '../../../../lib/vm/libkrun/config.ts';
import {
  foreignIn,
  type MacosConfig,
  neededIn,
  planMacos,
  portableCommands,
} from '../../../../lib/vm/libkrun-macos/plan.ts';

const CONFIG: MacosConfig = {
  root: '/os',
  directory: '/os/target/libkrun-build',
  library: sourceIn('/os/target/libkrun-build', 'libkrun', 'v1.17.4'),
  kernelSource: '/kernel/kernel.c',
  abi: '5',
  isStrict: false,
  libraryPath: undefined,
  loaderPath: undefined,
};
const WORK = '/os/target/libkrun-build/dylibs';
const TARGET = { CARGO_TARGET_DIR: '/os/target/libkrun-build/libkrun/target' };

test('the commands', () => {
  const plan = planMacos(CONFIG, '/opt/homebrew', true);
  expect(plan.compile.argv.join(' ')).toBe(
    `cc -fPIC -DABI_VERSION=5 -shared -o ${WORK}/libkrunfw.5.dylib /kernel/kernel.c`,
  );
  expect(plan.build).toMatchObject({
    argv: ['make', 'BLK=1', 'NET=1', `-j${availableParallelism()}`],
    cwd: '/os/target/libkrun-build/libkrun',
    env: { LIBCLANG_PATH: '/opt/homebrew/opt/llvm/lib' },
  });
  expect(plan.libraries).toEqual(['libkrun.dylib', 'libkrunfw.dylib', 'libkrunfw.5.dylib']);
});

describe('MAC-2: where libraries are looked for has no empty part', () => {
  test.each([
    [undefined, undefined, '', ''],
    ['/mine', '/x:', ':/mine', ':/x'],
    [':', '::/x', '', ':/x'],
  ])('LIBRARY_PATH=%j, DYLD_LIBRARY_PATH=%j', (libraryPath, loaderPath, linked, loaded) => {
    const config = { ...CONFIG, libraryPath, loaderPath };
    expect(planMacos(config, '/b', false).build.env).toEqual({
      ...TARGET,
      LIBRARY_PATH: `${WORK}:/b/lib${linked}`,
      DYLD_LIBRARY_PATH: `${WORK}:/b/lib${loaded}`,
    });
    expect(planMacos(config, '/b', true).build.env.DYLD_LIBRARY_PATH).toBe(`/b/opt/llvm/lib:${WORK}:/b/lib${loaded}`);
  });
});

const OTOOL = `/x/libkrun.dylib:
\t/x/libkrun.dylib (compatibility version 0.0.0, current version 0.0.0)
\t/a b/libkrunfw.5.dylib (compatibility version 0.0.0, current version 0.0.0)
\t/System/Library/Frameworks/Hypervisor.framework/Versions/A/Hypervisor (compatibility version 1.0.0, current version 1.0.0)
\t/usr/lib/libSystem.B.dylib (compatibility version 1.0.0, current version 1345.100.2)
\t/opt/homebrew/opt/x/lib/libx.dylib (compatibility version 2.0.0, current version 2.1.0)
`;

test('what a library needs, and what of it another Mac does not have', () => {
  expect(neededIn(OTOOL)).toEqual([
    '/x/libkrun.dylib',
    '/a b/libkrunfw.5.dylib',
    '/System/Library/Frameworks/Hypervisor.framework/Versions/A/Hypervisor',
    '/usr/lib/libSystem.B.dylib',
    '/opt/homebrew/opt/x/lib/libx.dylib',
  ]);
  expect(foreignIn(['@loader_path/libkrunfw.dylib', '/usr/lib/x', '/usr/local/lib/x', '/opt/homebrew/x'])).toEqual([
    '/usr/local/lib/x',
    '/opt/homebrew/x',
  ]);
});

test("a library's own name, the libkrunfw that it needs, and its signature", () => {
  const plan = planMacos(CONFIG, '/b', false);
  const lines = (name: string, needed: readonly string[]) =>
    portableCommands(plan, name, needed).map(({ argv }) => argv.join(' '));
  expect(lines('libkrun.dylib', neededIn(OTOOL))).toEqual([
    `install_name_tool -id @loader_path/libkrun.dylib ${WORK}/libkrun.dylib`,
    `install_name_tool -change /a b/libkrunfw.5.dylib @loader_path/libkrunfw.dylib ${WORK}/libkrun.dylib`,
    `codesign -f -s - ${WORK}/libkrun.dylib`,
  ]);
  expect(lines('libkrunfw.5.dylib', ['/x/libkrunfw.5.dylib'])).toEqual([
    `install_name_tool -id @loader_path/libkrunfw.5.dylib ${WORK}/libkrunfw.5.dylib`,
    `codesign -f -s - ${WORK}/libkrunfw.5.dylib`,
  ]);
});
