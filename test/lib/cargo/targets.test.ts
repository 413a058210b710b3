// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addTargets, installTargets, missingTargets } from '../../../lib/cargo/targets.ts';
import type { Toolchain } from '../../../lib/cargo/toolchain.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, taskErrorFrom } from '../../support/task-errors.ts';

const MUSL = 'x86_64-unknown-linux-musl';
const GNU = 'x86_64-unknown-linux-gnu';
const toolchain = (part: Partial<Toolchain> = {}): Toolchain => ({
  prefix: [],
  hasZigbuild: true,
  hasRustup: true,
  zig: undefined,
  ...part,
});
const LIST = ['target', 'list', '--installed'];

describe('which targets are missing', () => {
  test('those that rustup does not list, each once, in their order', async () => {
    const tools = fakeTools().add('rustup', [{ words: LIST, script: `echo ${GNU}; echo ${MUSL}-extra` }]);
    const { runner, screen } = inProcess(tools);
    expect(await missingTargets(runner, toolchain(), tools.directory, ['b', MUSL, GNU, MUSL, 'a'])).toEqual([
      'b',
      MUSL,
      'a',
    ]);
    expect(tools.calls()).toMatchObject([{ words: LIST, cwd: tools.directory }]);
    expect(screen.stderr()).toBe('');
  });

  test('rustup is not even asked where its directories tell that all are there', async () => {
    const tools = fakeTools().add('rustup', [{ words: LIST, script: `echo ${MUSL}` }]);
    const home = join(tools.directory, 'rustup');
    const library = join(home, 'toolchains', `stable-${GNU}`, 'lib/rustlib', MUSL, 'lib');
    mkdirSync(library, { recursive: true });
    writeFileSync(join(library, 'libstd-0123.rlib'), '');
    const { runner } = inProcess(tools, { RUSTUP_HOME: home, RUSTUP_TOOLCHAIN: 'stable' });
    expect(await missingTargets(runner, toolchain(), tools.directory, [MUSL])).toEqual([]);
    expect(tools.calls()).toEqual([]);
    expect(await missingTargets(runner, toolchain(), tools.directory, [MUSL, GNU])).toEqual([GNU]);
  });

  test('through mise where the tools come from there', async () => {
    const tools = fakeTools().add('mise', [{ words: ['x', '--', 'rustup', ...LIST], script: `echo ${MUSL}` }]);
    const { runner } = inProcess(tools);
    const through = toolchain({ prefix: ['mise', 'x', '--'] });
    expect(await missingTargets(runner, through, tools.directory, [MUSL, GNU])).toEqual([GNU]);
  });

  test('without rustup nobody can tell: none, and nothing is started', async () => {
    const tools = fakeTools().add('rustup', []);
    const { runner } = inProcess(tools);
    expect(await missingTargets(runner, toolchain({ hasRustup: false }), tools.directory, [MUSL])).toEqual([]);
    expect(tools.calls()).toEqual([]);
  });

  test('a rustup that cannot answer: its own words, on one line', async () => {
    const tools = fakeTools().add('rustup', [
      { words: [], script: 'echo "error: no toolchain"; echo "two" >&2; exit 1' },
    ]);
    const { runner } = inProcess(tools);
    expect(await refusalFrom(() => missingTargets(runner, toolchain(), tools.directory, [MUSL]))).toBe(
      '2: rustup cannot list the installed targets: two; check: rustup show',
    );
  });
});

describe('installing them (fault H18)', () => {
  test('one command for all, echoed, in the checkout', async () => {
    const tools = fakeTools().add('rustup', [{ words: ['target', 'add', MUSL, GNU], script: 'echo said' }]);
    const { runner, screen } = inProcess(tools);
    await installTargets(runner, addTargets(toolchain(), tools.directory, [MUSL, GNU]));
    expect(tools.calls()).toMatchObject([{ words: ['target', 'add', MUSL, GNU], cwd: tools.directory }]);
    expect(screen.stderr()).toBe(`$ rustup target add ${MUSL} ${GNU}\n`);
  });

  test('through mise', () => {
    const add = addTargets(toolchain({ prefix: ['mise', 'x', '--'] }), '/c', [MUSL]);
    expect(add).toMatchObject({ argv: ['mise', 'x', '--', 'rustup', 'target', 'add', MUSL], cwd: '/c', env: {} });
  });

  test('a failure is not swallowed: exit 2, naming the target', async () => {
    const tools = fakeTools().add('rustup', [{ words: ['target', 'add'], script: 'exit 1' }]);
    const { runner } = inProcess(tools);
    const add = addTargets(toolchain(), tools.directory, [MUSL]);
    expect(await refusalFrom(() => installTargets(runner, add))).toBe(
      `2: a Rust target that the build needs could not be installed (rustup target add ${MUSL} failed with status 1 in ${tools.directory})`,
    );
  });

  test('ended by a signal: the task ends with its status, and not as if it had been used wrongly', async () => {
    const tools = fakeTools().add('rustup', [{ words: ['target', 'add'], script: 'kill -TERM $$' }]);
    const { runner } = inProcess(tools);
    const error = await taskErrorFrom(() => installTargets(runner, addTargets(toolchain(), tools.directory, [MUSL])));
    expect(error.exitCode).toBe(143);
  });
});
