// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findToolchain, findZig, zigOf } from '../../../lib/cargo/toolchain.ts';
import type { FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';

/** A checkout directory beside the fakes. */
function root(tools: FakeTools): string {
  const directory = join(tools.directory, 'checkout');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** A program that is not on PATH; gives its path. */
function elsewhere(tools: FakeTools, name: string, mode = 0o755): string {
  const directory = join(tools.directory, 'mise installs');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), '#!/bin/sh\n', { mode });
  return join(directory, name);
}

/** A mise that has these programs and says no to every other. */
function addMise(tools: FakeTools, has: readonly string[], environment = '{"RUSTC_WRAPPER": "sccache"}'): void {
  const known = has.map((name) => ({ words: ['which', name], script: `echo '${elsewhere(tools, name)}'` }));
  tools.add('mise', [
    ...known,
    { words: ['which'], script: 'echo "mise ERROR $2 is not installed" >&2; exit 1' },
    { words: ['env', '--json'], script: `echo '${environment}'` },
  ]);
}

function find(tools: FakeTools, extra: Record<string, string> = {}, needsZig = true) {
  const { runner, env } = inProcess(tools, extra);
  return findToolchain(runner, env, root(tools), tools.directory, needsZig);
}

describe('where the Rust tools come from', () => {
  test('all on PATH: mise is there and is not asked', async () => {
    const tools = fakeTools().addSilent('cargo', 'cargo-zigbuild', 'rustup', 'zig').add('mise', []);
    expect(await find(tools)).toEqual({
      prefix: [],
      hasZigbuild: true,
      hasRustup: true,
      zig: join(tools.bin, 'zig'),
    });
    expect(tools.calls()).toEqual([]);
  });

  test('zigbuild only through mise: everything goes through mise, and only what is missing is asked for', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    addMise(tools, ['cargo-zigbuild']);
    expect(await find(tools)).toEqual({
      prefix: ['mise', 'x', '--'],
      hasZigbuild: true,
      hasRustup: true,
      zig: join(tools.bin, 'zig'),
    });
    expect(tools.lines()).toEqual(['mise which cargo-zigbuild', 'mise env --json']);
    expect(tools.calls()[0]?.cwd).toBe(root(tools));
  });

  test('nothing on PATH, all through mise', async () => {
    const tools = fakeTools();
    addMise(tools, ['cargo', 'cargo-zigbuild', 'rustup', 'zig']);
    expect(await find(tools)).toEqual({
      prefix: ['mise', 'x', '--'],
      hasZigbuild: true,
      hasRustup: true,
      zig: elsewhere(tools, 'zig'),
    });
  });

  test('a mise that cannot tell its environment is an error: the guard and the recovery need it', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    addMise(tools, ['cargo-zigbuild'], 'mise is not activated');
    expect(await refusalFrom(() => find(tools))).toBe(
      "2: mise env --json answers 'mise is not activated', which is no table of texts; check: mise doctor",
    );
  });

  test('a mise that has none of the missing ones stays out of it', async () => {
    const tools = fakeTools().addSilent('cargo');
    addMise(tools, []);
    expect(await find(tools)).toEqual({ prefix: [], hasZigbuild: false, hasRustup: false, zig: undefined });
    expect(tools.lines().sort()).toEqual(['mise which cargo-zigbuild', 'mise which rustup', 'mise which zig']);
  });

  test('an answer of mise that is no program counts for nothing', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup');
    tools.add('mise', [
      { words: ['which', 'zig'], script: `echo '${elsewhere(tools, 'zig', 0o644)}'` },
      { words: ['which', 'cargo-zigbuild'], script: ':' },
    ]);
    expect(await find(tools)).toEqual({ prefix: [], hasZigbuild: false, hasRustup: true, zig: undefined });
  });

  test('where zig is not needed it is not asked for', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'cargo-zigbuild').add('mise', []);
    expect((await find(tools, {}, false)).zig).toBeUndefined();
    expect(tools.calls()).toEqual([]);
  });

  test('a ZIG that is set is taken, and mise is not asked for another', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'cargo-zigbuild').add('mise', []);
    const zig = elsewhere(tools, 'my zig');
    expect((await find(tools, { ZIG: zig })).zig).toBe(zig);
    expect(tools.calls()).toEqual([]);
  });

  test.each([true, false])('no cargo, mise there: %j', async (hasMise) => {
    const tools = fakeTools().addSilent('rustup', 'cargo-zigbuild', 'zig');
    if (hasMise) addMise(tools, []);
    expect(await refusalFrom(() => find(tools))).toBe(
      '2: cargo is not on PATH and mise does not have it; install Rust (https://rustup.rs) and try again',
    );
  });

  test('no mise: what is missing is missing', async () => {
    const tools = fakeTools().addSilent('cargo');
    expect(await find(tools)).toEqual({ prefix: [], hasZigbuild: false, hasRustup: false, zig: undefined });
  });
});

describe('ZIG', () => {
  test('absolute, relative to where the task was started, a name on PATH, unset, empty', () => {
    const tools = fakeTools().addSilent('zig-0.14');
    const zig = elsewhere(tools, 'zig');
    const named = (ZIG: string) => zigOf(tools.env({ ZIG }), tools.directory);
    expect(named(zig)).toBe(zig);
    expect(named('mise installs/zig')).toBe(zig);
    expect(named('./mise installs/../mise installs/zig')).toBe(zig);
    expect(named('zig-0.14')).toBe(join(tools.bin, 'zig-0.14'));
    expect(named('')).toBeUndefined();
    expect(zigOf(tools.env(), tools.directory)).toBeUndefined();
  });

  test.each(['mise installs/plain', 'mise installs', 'nowhere/zig', 'zig', '/', 'a\nb/zig'])(
    '%j is no program: an error at once, nothing else is tried',
    async (value) => {
      const tools = fakeTools().addSilent('cargo', 'rustup', 'cargo-zigbuild').add('mise', []);
      elsewhere(tools, 'plain', 0o644);
      const message = `2: ZIG is '${value.replace('\n', '\\n')}', which is not an executable program; set it to the path of zig or unset it`;
      expect(refusalOf(() => zigOf(tools.env({ ZIG: value }), tools.directory))).toBe(message);
      expect(await refusalFrom(() => find(tools, { ZIG: value }))).toBe(message);
      expect(tools.calls()).toEqual([]);
    },
  );
});

describe('zig alone', () => {
  const alone = (tools: FakeTools, extra: Record<string, string> = {}) => {
    const { runner, env } = inProcess(tools, extra);
    return findZig(runner, env, root(tools), tools.directory);
  };

  test('ZIG, then PATH, then mise', async () => {
    const tools = fakeTools();
    addMise(tools, ['zig']);
    expect(await alone(tools)).toBe(elsewhere(tools, 'zig'));
    expect(tools.lines()).toEqual(['mise which zig']);
    tools.addSilent('zig');
    expect(await alone(tools)).toBe(join(tools.bin, 'zig'));
    const named = elsewhere(tools, 'named');
    expect(await alone(tools, { ZIG: named })).toBe(named);
    expect(tools.lines()).toEqual(['mise which zig']);
  });

  test.each([true, false])('nowhere, mise there: %j', async (hasMise) => {
    const tools = fakeTools();
    if (hasMise) addMise(tools, []);
    expect(await refusalFrom(() => alone(tools))).toBe(
      '2: zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path',
    );
  });
});
