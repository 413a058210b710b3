// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { environmentInCargo, refuseMissing } from '../../../lib/cargo/named-programs.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A directory of programs on PATH. */
function place() {
  const directory = temporaryDirectory();
  const path = (name: string) => join(directory, 'bin', name);
  const add = (name: string, text: string) => writeFileSync(path(name), text, { mode: 0o755 });
  mkdirSync(join(directory, 'bin'));
  const env = { PATH: join(directory, 'bin'), HOME: '/home/dev' };
  return { path, add, env, inCargo: () => environmentInCargo('/checkout', env).PATH };
}

describe('where cargo finds its programs', () => {
  test.each([
    ['a symbolic link', symlinkSync],
    ['a hard link', linkSync],
    ['a copy', copyFileSync],
  ])("rustup's cargo, %s: also in cargo's home, which is first then", (_, make) => {
    const { add, env, inCargo, path } = place();
    add('rustup', '#!/bin/sh\n: rustup\n');
    make(path('rustup'), path('cargo'));
    expect(inCargo()).toBe(`/home/dev/.cargo/bin:${env.PATH}`);
  });

  test("a link to a rustup that is not on PATH, and cargo's own variable for its home", () => {
    const { env, path } = place();
    const rustup = join(temporaryDirectory(), 'rustup');
    writeFileSync(rustup, '#!/bin/sh\n', { mode: 0o755 });
    symlinkSync(rustup, path('cargo'));
    const found = environmentInCargo('/checkout', { ...env, CARGO_HOME: 'cargo home' });
    expect(found.PATH).toBe(`/checkout/cargo home/bin:${env.PATH}`);
    const last = `${env.PATH}:/home/dev/.cargo/bin`;
    expect(environmentInCargo('/checkout', { ...env, PATH: last }).PATH).toBe(last);
  });

  test('any other cargo: on PATH alone', () => {
    const { add, env, inCargo } = place();
    add('rustup', '#!/bin/sh\n: rustup\n');
    expect(inCargo()).toBe(env.PATH);
    add('cargo', '#!/bin/sh\n');
    expect(inCargo()).toBe(env.PATH);
  });
});

test('R13: a program that is gone: its name, where it is set, and the way on', () => {
  const wrapper = { offSwitch: 'RUSTC_WRAPPER=', source: 'RUSTC_WRAPPER' };
  expect(refusalOf(() => refuseMissing([{ ...wrapper, program: 'sccache', text: 'sccache' }]))).toBe(
    "2: RUSTC_WRAPPER is 'sccache', which is not on PATH; install it, correct the name, or build without it: RUSTC_WRAPPER=",
  );
  const file = { offSwitch: 'RUSTC_WORKSPACE_WRAPPER=', source: 'build.rustc-workspace-wrapper in /c/config.toml' };
  const compiler = { program: '/gone', text: '/gone', source: 'RUSTC', offSwitch: undefined };
  expect(refusalOf(() => refuseMissing([{ ...file, program: '/c/~/wrap', text: '~/wrap' }, compiler]))).toBe(
    "2: build.rustc-workspace-wrapper in /c/config.toml is '~/wrap', which is not an executable program; " +
      'install it, correct the name, or build without it: RUSTC_WORKSPACE_WRAPPER=; ' +
      "RUSTC is '/gone', which is not an executable program; install it, correct the name, or remove the setting",
  );
  refuseMissing([]);
});
