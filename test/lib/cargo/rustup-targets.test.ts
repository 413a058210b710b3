// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Toolchain } from '../../../lib/cargo/find-toolchain.ts';
import { addTargets, installTargets, missingTargets } from '../../../lib/cargo/rustup-targets.ts';
import { InterruptedError, MissingTool } from '../../../lib/errors.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { addRustc } from '../../support/fake-rust.ts';
import { bashQuote, FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, taskErrorFrom } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const MUSL = 'x86_64-unknown-linux-musl';
const GNU = 'x86_64-unknown-linux-gnu';

const toolchain = (tools: FakeTools, part: Partial<Toolchain> = {}): Toolchain => ({
  env: {},
  isFromMise: false,
  miseProblem: undefined,
  settings: NOTHING_SET,
  hasZigbuild: true,
  isZigOnPath: true,
  rustup: join(tools.bin, 'rustup'),
  rustc: join(tools.bin, 'rustc'),
  missingPrograms: [],
  zig: undefined,
  ...part,
});

/** A compiler with these targets, and a rustup whose own compiler is in that sysroot. */
function place(targets: readonly string[], own = 'sysroot') {
  const tools = fakeTools();
  const sysroot = addRustc(tools, targets);
  const rustc = join(tools.directory, own, 'bin/rustc');
  tools.add('rustup', [{ args: ['which', 'rustc'], script: `echo ${bashQuote(rustc)}` }]);
  const ask = (triples: readonly string[], part: Partial<Toolchain> = {}) =>
    missingTargets(inProcess(tools).runner, toolchain(tools, part), tools.directory, triples);
  return { tools, sysroot, rustc, ask };
}

/** A rustup that only the environment of mise has, and the tool chain with it. */
function fromMise(script: string) {
  const tools = fakeTools();
  const provided = new FakeTools(temporaryDirectory()).add('rustup', [{ args: ['target'], script }]);
  const env = { PATH: provided.bin, RUSTUP_HOME: '/of/mise' };
  return { tools, provided, toolchain: toolchain(provided, { env, isFromMise: true }) };
}

describe('which targets are missing', () => {
  test('P4: what the compiler has counts; one call is enough for all, and rustup is not asked', async () => {
    const { tools, ask } = place([GNU, MUSL]);
    tools.add('rustup', [{ args: [], script: 'echo "error: no toolchain" >&2; exit 1' }]);
    expect(await ask([MUSL, GNU])).toEqual([]);
    expect(tools.lines()).toEqual(['rustc --print target-libdir']);
  });

  test("those that rustup's own compiler does not have, each once, in their order", async () => {
    const { tools, sysroot, ask } = place([GNU, `${MUSL}-extra`]);
    mkdirSync(join(sysroot, 'lib/rustlib', MUSL, 'lib'), { recursive: true });
    expect(await ask(['b', MUSL, GNU, MUSL, 'a'])).toEqual(['b', MUSL, 'a']);
    expect(tools.lines()).toEqual(['rustc --print target-libdir', 'rustup which rustc']);
    for (const { cwd } of tools.calls()) expect(cwd).toBe(tools.directory);
  });

  test('a linked toolchain is the same one', async () => {
    const { tools, sysroot, ask } = place([GNU], 'linked');
    symlinkSync(sysroot, join(tools.directory, 'linked'));
    expect(await ask([MUSL])).toEqual([MUSL]);
  });

  test('in the environment of mise where the tools come from there', async () => {
    const { tools, provided, toolchain: ofMise } = fromMise(':');
    addRustc(provided, [GNU, MUSL]);
    const { runner } = inProcess(tools);
    expect(await missingTargets(runner, ofMise, tools.directory, [MUSL, GNU])).toEqual([]);
    expect(provided.calls()).toMatchObject([{ tool: 'rustc', env: { RUSTUP_HOME: '/of/mise' } }]);
  });

  test('a compiler that was not found is left for cargo to say', async () => {
    const { tools, ask } = place([GNU]);
    expect(await ask([MUSL], { rustc: undefined })).toEqual([]);
    expect(tools.calls()).toEqual([]);
  });

  test.each([
    ['echo "error: broken" >&2; exit 1', 'error: broken'],
    ['echo hello', "it prints 'hello'"],
    ['exit 0', "it prints ''"],
  ])('a compiler that does not say: %s', async (script, reason) => {
    const { tools, ask } = place([GNU]);
    tools.add('rustc', [{ args: [], script }]);
    expect(await refusalFrom(() => ask([MUSL]))).toBe(
      `2: ${tools.bin}/rustc cannot say where its targets are: ${reason}; check: rustc --print target-libdir`,
    );
  });
});

describe("R12: a compiler that is not rustup's lacks a target", () => {
  const lacks = ({ bin }: FakeTools) =>
    `2: ${bin}/rustc, which cargo compiles with, does not have the Rust target ${MUSL}`;
  const ADD = 'install it where that Rust comes from';

  test("it is named, and where rustup's is", async () => {
    const { tools, rustc, ask } = place([GNU], 'of rustup');
    expect(await refusalFrom(() => ask([MUSL, GNU]))).toBe(
      `${lacks(tools)}; to use rustup's, ${rustc}, put ${tools.bin} first on PATH; else ${ADD}`,
    );
    expect(await taskErrorFrom(() => ask([MUSL]))).toBeInstanceOf(MissingTool);
  });

  test('so is the setting that chose it', async () => {
    const { tools, rustc, ask } = place([GNU], 'of rustup');
    const program = join(tools.bin, 'rustc');
    const named = { program, text: program, source: 'build.rustc in /c/.cargo/config.toml', offSwitch: undefined };
    const { settings } = toolchain(tools);
    expect(await refusalFrom(() => ask([MUSL], { settings: { ...settings, rustc: program, programs: [named] } }))).toBe(
      `${lacks(tools)}; to use rustup's, ${rustc}, do without build.rustc in /c/.cargo/config.toml; else ${ADD}`,
    );
  });

  test('P4: without rustup, and with one that fails', async () => {
    const { tools, ask } = place([GNU]);
    expect(await refusalFrom(() => ask([MUSL], { rustup: undefined }))).toBe(
      `${lacks(tools)}; ${ADD}, or take Rust from rustup (https://rustup.rs)`,
    );
    tools.add('rustup', [{ args: [], script: 'echo "no toolchain" >&2; exit 1' }]);
    expect(await refusalFrom(() => ask([MUSL]))).toBe(
      `${lacks(tools)}; ${ADD}; rustup cannot say where its own rustc is: no toolchain`,
    );
  });
});

describe('installing them (fault H18)', () => {
  const missing = (directory: string, reason: string) =>
    `2: a Rust target that the build needs could not be installed (rustup target add ${MUSL} ${reason} in ${directory})`;

  test('one command for all, echoed, in the checkout', async () => {
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add', MUSL, GNU], script: 'echo said' }]);
    const { runner, screen } = inProcess(tools);
    await installTargets(runner, addTargets(toolchain(tools), tools.directory, [MUSL, GNU]));
    expect(tools.calls()).toMatchObject([{ args: ['target', 'add', MUSL, GNU], cwd: tools.directory }]);
    expect(screen.stderr()).toBe(`$ rustup target add ${MUSL} ${GNU}\n`);
  });

  test('in the environment of mise where the tools come from there; it is not echoed', async () => {
    const { tools, provided, toolchain: ofMise } = fromMise(':');
    const { runner, screen } = inProcess(tools);
    await installTargets(runner, addTargets(ofMise, tools.directory, [MUSL]));
    expect(provided.calls()).toMatchObject([{ args: ['target', 'add', MUSL], env: { RUSTUP_HOME: '/of/mise' } }]);
    expect(screen.stderr()).toBe(`$ rustup target add ${MUSL}\n`);
  });

  test('under sudo it is done as the user, whose cargo compiles', () => {
    expect(addTargets(toolchain(fakeTools()), '/c', [MUSL])).toMatchObject({ cwd: '/c', env: {}, asInvoker: true });
  });

  test('a failure is not swallowed: exit 2, naming the target', async () => {
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add'], script: 'exit 1' }]);
    const { runner } = inProcess(tools);
    const add = addTargets(toolchain(tools), tools.directory, [MUSL]);
    expect(await refusalFrom(() => installTargets(runner, add))).toBe(missing(tools.directory, 'failed with status 1'));
  });

  test.each([
    ['exit 130', 'failed with status 130'],
    ['exit 137', 'failed with status 137'],
    ['exit 255', 'failed with status 255'],
    ['kill -TERM $$', 'was ended by SIGTERM'],
  ])('a rustup that does %s is a failure like any other: its status is only a status', async (script, reason) => {
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add'], script }]);
    const { runner } = inProcess(tools);
    const installing = () => installTargets(runner, addTargets(toolchain(tools), tools.directory, [MUSL]));
    expect(await taskErrorFrom(installing)).toBeInstanceOf(MissingTool);
    expect(await refusalFrom(installing)).toBe(missing(tools.directory, reason));
  });

  test('a signal to the task ends it as it does everywhere, and not as if it had been used wrongly', async () => {
    // The fake passes the signal to the task, as a terminal would, waits to get it, and ends well.
    const script = `trap 'exit 0' TERM; kill -TERM ${process.pid}; sleep 20 & wait`;
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add'], script }]);
    const { runner, signals } = inProcess(tools);
    signals.listen();
    try {
      const installing = installTargets(runner, addTargets(toolchain(tools), tools.directory, [MUSL]));
      await expect(installing).rejects.toThrow(new InterruptedError('SIGTERM'));
    } finally {
      signals.stop();
    }
  });
});
