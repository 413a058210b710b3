// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { environmentInCargo, readCargoSettings, refuseMissing } from '../../../lib/cargo/settings.ts';
import type { Environment } from '../../../lib/cli/env.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** Files by their paths below a directory that has the home `home` and the checkout `home/code/checkout`. */
function place(files: Readonly<Record<string, string>> = {}) {
  const directory = temporaryDirectory();
  const root = join(directory, 'home/code/checkout');
  mkdirSync(root, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  const read = (env: Environment = {}) => {
    return readCargoSettings(root, { HOME: join(directory, 'home'), ...env });
  };
  return { directory, root, read };
}

describe('from files', () => {
  test('none: cargo decides all of it', async () => {
    expect(await place().read()).toEqual(NOTHING_SET);
  });

  test('everything that counts; relative paths are relative to the directory of .cargo', async () => {
    const { root, read } = place({
      'home/code/checkout/.cargo/config.toml': `
        [build]
        target-dir = "out"
        build-dir = "between"
        rustc-wrapper = "sccache"
        rustc-workspace-wrapper = "tools/wrap"`,
    });
    expect(await read()).toMatchObject({
      targetDirectory: join(root, 'out'),
      buildDirectory: join(root, 'between'),
      wrapper: 'sccache',
      workspaceWrapper: join(root, 'tools/wrap'),
    });
  });

  test('the nearest file that says something wins; the home of cargo is the last', async () => {
    const { directory, read } = place({
      'home/code/checkout/.cargo/config.toml': '[build]\nrustc-wrapper = "near"',
      'home/code/.cargo/config.toml': '[build]\nrustc-wrapper = "far"\ntarget-dir = "of-code"',
      'cargo-home/config.toml': '[build]\ntarget-dir = "of-home"',
    });
    expect(await read({ CARGO_HOME: join(directory, 'cargo-home') })).toMatchObject({
      wrapper: 'near',
      targetDirectory: join(directory, 'home/code/of-code'),
    });
  });

  test('the old name without an ending is preferred, as cargo does', async () => {
    const { read } = place({
      'home/.cargo/config': '[build]\nrustc-wrapper = "old"',
      'home/.cargo/config.toml': '[build]\nrustc-wrapper = "new"',
    });
    expect((await read()).wrapper).toBe('old');
  });

  test('a file that is not TOML, and values of a wrong type, are left for cargo to refuse', async () => {
    const { read } = place({
      'home/code/checkout/.cargo/config.toml': 'this is = not TOML',
      'home/code/.cargo/config.toml': 'build = 3\ntarget = "x"\ninclude = 7',
      'home/.cargo/config.toml': '[build]\nrustc-wrapper = 1\ntarget = [2]',
    });
    expect(await read()).toEqual(NOTHING_SET);
  });
});

describe('from variables, which win', () => {
  const FILE = {
    'home/.cargo/config.toml': `[build]
      target-dir = "/file"
      rustc-wrapper = "file"
      rustc-workspace-wrapper = "file"
      target = "file"`,
  };

  test('each of them; relative paths are relative to the directory that cargo runs in', async () => {
    const { root, read } = place(FILE);
    const settings = await read({
      CARGO_BUILD_TARGET_DIR: 'out',
      CARGO_BUILD_BUILD_DIR: 'between',
      CARGO_BUILD_RUSTC_WRAPPER: './wrap',
      RUSTC_WORKSPACE_WRAPPER: 'clippy-driver',
    });
    expect(settings).toMatchObject({
      targetDirectory: join(root, 'out'),
      buildDirectory: join(root, 'between'),
      wrapper: join(root, 'wrap'),
      workspaceWrapper: 'clippy-driver',
    });
  });

  test('RUSTC_WRAPPER wins over the other name, and an empty one over all', async () => {
    const { read } = place(FILE);
    expect((await read({ RUSTC_WRAPPER: 'one', CARGO_BUILD_RUSTC_WRAPPER: 'two' })).wrapper).toBe('one');
    expect((await read({ RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: 'two' })).wrapper).toBeUndefined();
    expect((await read({ CARGO_BUILD_RUSTC_WRAPPER: 'two' })).wrapper).toBe('two');
    expect((await read()).wrapper).toBe('file');
  });
});

describe('R13: the programs that settings name, with where each is set', () => {
  test('in files: the key and the path', async () => {
    const { directory, root, read } = place({
      'home/code/checkout/.cargo/config.toml': '[build]\nrustc-wrapper = "~/bin/sccache"',
      'home/.cargo/config.toml': '[build]\nrustc = "bin/rustc"\nrustc-workspace-wrapper = "clippy-driver"',
    });
    const more = join(directory, 'home/.cargo/config.toml');
    expect(await read()).toMatchObject({
      rustc: join(directory, 'home/bin/rustc'),
      programs: [
        { text: 'bin/rustc', source: `build.rustc in ${more}`, offSwitch: undefined },
        {
          program: join(root, '~/bin/sccache'),
          text: '~/bin/sccache',
          source: `build.rustc-wrapper in ${join(root, '.cargo/config.toml')}`,
          offSwitch: 'RUSTC_WRAPPER=',
        },
        { program: 'clippy-driver', source: `build.rustc-workspace-wrapper in ${more}` },
      ],
    });
  });

  test('in variables: the one that counts; an empty wrapper is none, an empty compiler is not', async () => {
    const { read } = place();
    const sources = async (env: Environment) => (await read(env)).programs.map(({ source }) => source);
    expect(await sources({ RUSTC: '/r', CARGO_BUILD_RUSTC: '/s', CARGO_BUILD_RUSTC_WRAPPER: 'w' })).toEqual([
      'RUSTC',
      'CARGO_BUILD_RUSTC_WRAPPER',
    ]);
    expect(await sources({ RUSTC: '', RUSTC_WRAPPER: '', RUSTC_WORKSPACE_WRAPPER: '' })).toEqual(['RUSTC']);
  });
});

describe('R9: whether flags for rustc are set', () => {
  test.each([
    '[build]\nrustflags = ["--cfg", "x"]',
    '[build]\nrustflags = "--cfg x"',
    '[target.x86_64-unknown-linux-gnu]\nrustflags = []',
    '[target."cfg(unix)"]\nrustflags = ["-Dwarnings"]',
  ])('in a file: %j', async (text) => {
    expect((await place({ 'home/.cargo/config.toml': text }).read()).hasRustflags).toBe(true);
  });

  test.each([
    'CARGO_BUILD_RUSTFLAGS',
    'CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS',
    'RUSTFLAGS',
    'CARGO_ENCODED_RUSTFLAGS',
  ])('in %s', async (name) => {
    expect((await place().read({ [name]: '--cfg x' })).hasRustflags).toBe(true);
  });

  test('nowhere', async () => {
    const { read } = place({ 'home/.cargo/config.toml': 'target = 3\n[profile.dev]\nrustflags = []' });
    expect((await read({ MY_RUSTFLAGS: 'x', RUSTDOCFLAGS: 'x', CARGO_BUILD_RUSTDOCFLAGS: 'x' })).hasRustflags).toBe(
      false,
    );
  });
});

test("where cargo finds its programs: on PATH, then in its home, which rustup's cargo has there", () => {
  const [HOME, PATH] = ['/home/dev', '/bin'];
  expect(environmentInCargo('/checkout', { PATH, HOME }).PATH).toBe('/bin:/home/dev/.cargo/bin');
  expect(environmentInCargo('/checkout', { PATH, HOME, CARGO_HOME: 'own' }).PATH).toBe('/bin:/checkout/own/bin');
});

test('R13: a program that is gone: its name, where it is set, and the way on', () => {
  const wrapper = { offSwitch: 'RUSTC_WRAPPER=', source: 'RUSTC_WRAPPER' };
  expect(refusalOf(() => refuseMissing([{ ...wrapper, program: 'sccache', text: 'sccache' }]))).toBe(
    "2: RUSTC_WRAPPER is 'sccache', which is not an executable program; install it, correct the name, or build without it " +
      '(where mise sets it, in [env] of mise.local.toml): RUSTC_WRAPPER=',
  );
  const file = { offSwitch: 'RUSTC_WORKSPACE_WRAPPER=', source: 'build.rustc-workspace-wrapper in /c/config.toml' };
  const compiler = { program: '/gone', text: '/gone', source: 'RUSTC', offSwitch: undefined };
  expect(refusalOf(() => refuseMissing([{ ...file, program: '/c/~/wrap', text: '~/wrap' }, compiler]))).toBe(
    "2: build.rustc-workspace-wrapper in /c/config.toml is '~/wrap', which is not an executable program; install it, correct " +
      'the name, or build without it (where mise sets it, in [env] of mise.local.toml): RUSTC_WORKSPACE_WRAPPER=; ' +
      "RUSTC is '/gone', which is not an executable program; install it, correct the name, or remove the setting",
  );
  refuseMissing([]);
});
