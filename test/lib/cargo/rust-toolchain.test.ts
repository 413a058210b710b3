// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { certainlyHasTargets } from '../../../lib/rust-toolchain.ts';

const MUSL = 'x86_64-unknown-linux-musl';
const ARM = 'aarch64-unknown-linux-musl';
const HOST = 'x86_64-unknown-linux-gnu';

let base: string;
let root: string;
let home: string;

beforeEach(() => {
  base = mkdtempSync(join(realpathSync(tmpdir()), 'rust-toolchain-'));
  root = join(base, 'a/checkout');
  home = join(base, 'rustup');
  mkdirSync(root, { recursive: true });
  write(join(home, 'settings.toml'), `version = "12"\ndefault_toolchain = "stable-${HOST}"\n\n[overrides]\n`);
});
afterEach(() => rmSync(base, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** A toolchain as rustup leaves it, with the standard libraries of the targets. */
function install(name: string, ...triples: readonly string[]): void {
  mkdirSync(join(home, 'toolchains', name), { recursive: true });
  for (const triple of triples) {
    write(join(home, 'toolchains', name, 'lib/rustlib', triple, 'lib/libstd-0123456789abcdef.rlib'), '');
  }
}

const has = (triples: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  certainlyHasTargets({ RUSTUP_HOME: home, ...env }, root, triples);

describe('which toolchain counts', () => {
  test('the default one', async () => {
    install(`stable-${HOST}`, MUSL, ARM);
    expect(await has([MUSL, ARM])).toBe(true);
  });

  test('the one that a file in the checkout or above it names wins over the default', async () => {
    install(`stable-${HOST}`, MUSL);
    install(`1.95.0-${HOST}`);
    write(join(base, 'a/rust-toolchain.toml'), '[toolchain]\nchannel = "1.95.0"\n');
    expect(await has([MUSL])).toBe(false);
    install(`1.95.0-${HOST}`, MUSL);
    expect(await has([MUSL])).toBe(true);
  });

  test('the nearest file wins', async () => {
    install(`1.95.0-${HOST}`, MUSL);
    write(join(base, 'a/rust-toolchain.toml'), '[toolchain]\nchannel = "1.95.0"\n');
    write(join(root, 'rust-toolchain'), '[toolchain]\nchannel = "1.96.0"\n');
    expect(await has([MUSL])).toBe(false);
  });

  test('RUSTUP_TOOLCHAIN wins over the file; empty is unset', async () => {
    install(`stable-${HOST}`, MUSL);
    write(join(root, 'rust-toolchain.toml'), '[toolchain]\nchannel = "1.95.0"\n');
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: 'stable' })).toBe(true);
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: '' })).toBe(false);
  });

  test('rustup lives below HOME unless RUSTUP_HOME says otherwise', async () => {
    home = join(base, '.rustup');
    install('stable', MUSL);
    write(join(home, 'settings.toml'), 'default_toolchain = "stable"');
    expect(await certainlyHasTargets({ HOME: base }, root, [MUSL])).toBe(true);
    expect(await certainlyHasTargets({}, root, [MUSL])).toBe(false);
  });
});

describe('whatever is not certain is left to rustup', () => {
  test('a toolchain that is not installed, and a target that is missing or has lost its library', async () => {
    expect(await has([MUSL])).toBe(false);
    install(`stable-${HOST}`, MUSL);
    expect(await has([MUSL, ARM])).toBe(false);
    mkdirSync(join(home, 'toolchains', `stable-${HOST}`, 'lib/rustlib', ARM, 'lib'), { recursive: true });
    expect(await has([MUSL, ARM])).toBe(false);
  });

  test('a name that fits several toolchains, of which one lacks the target', async () => {
    install(`nightly-${HOST}`, MUSL);
    install(`nightly-2026-01-01-${HOST}`);
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: 'nightly' })).toBe(false);
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: `nightly-${HOST}` })).toBe(true);
  });

  test('toolchains of single directories', async () => {
    install(`stable-${HOST}`, MUSL);
    write(join(home, 'settings.toml'), `default_toolchain = "stable"\n[overrides]\n"/somewhere" = "beta"\n`);
    expect(await has([MUSL])).toBe(false);
  });

  test.each([
    ['a toolchain by its path', '[toolchain]\npath = "/opt/rust"\n'],
    ['the bare name of a channel', 'stable\n'],
    ['no TOML', '[toolchain'],
    ['a channel that is no text', '[toolchain]\nchannel = 1\n'],
    ['a channel with a path in it', '[toolchain]\nchannel = "../stable"\n'],
  ])('a file with %s', async (_, text) => {
    install('stable', MUSL);
    write(join(root, 'rust-toolchain'), text);
    expect(await has([MUSL])).toBe(false);
  });

  test.each(['', '[overrides', 'default_toolchain = 1'])('settings that are %j', async (text) => {
    install('stable', MUSL);
    write(join(home, 'settings.toml'), text);
    expect(await has([MUSL])).toBe(false);
  });

  test('RUSTUP_TOOLCHAIN with a path', async () => {
    install('stable', MUSL);
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: '/opt/rust' })).toBe(false);
    expect(await has([MUSL], { RUSTUP_TOOLCHAIN: '..' })).toBe(false);
  });
});
