// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { addTargets, installTargets, missingTargets } from '../../../lib/cargo/rustup-targets.ts';
import { MissingTool, type Toolchain } from '../../../lib/cargo/toolchain.ts';
import { InterruptedError } from '../../../lib/errors.ts';
import { FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, taskErrorFrom } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const MUSL = 'x86_64-unknown-linux-musl';
const GNU = 'x86_64-unknown-linux-gnu';
const LIST = ['target', 'list', '--installed'];

const toolchain = (part: Partial<Toolchain> = {}): Toolchain => ({
  env: {},
  isFromMise: false,
  miseProblem: undefined,
  settings: {
    targetDirectory: undefined,
    hasBuildDirectory: false,
    wrapper: undefined,
    workspaceWrapper: undefined,
    targets: [],
  },
  hasZigbuild: true,
  hasRustup: true,
  zig: undefined,
  ...part,
});

/** A rustup that only the environment of mise has, and the tool chain with it. */
function fromMise(script: string) {
  const tools = fakeTools();
  const provided = new FakeTools(temporaryDirectory()).add('rustup', [{ args: ['target'], script }]);
  const env = { PATH: provided.bin, RUSTUP_HOME: '/of/mise' };
  return { tools, provided, toolchain: toolchain({ env, isFromMise: true }) };
}

describe('which targets are missing', () => {
  test('those that rustup does not list, each once, in their order', async () => {
    const tools = fakeTools().add('rustup', [{ args: LIST, script: `echo ${GNU}; echo ${MUSL}-extra` }]);
    const { runner, screen } = inProcess(tools);
    expect(await missingTargets(runner, toolchain(), tools.directory, ['b', MUSL, GNU, MUSL, 'a'])).toEqual([
      'b',
      MUSL,
      'a',
    ]);
    expect(tools.calls()).toMatchObject([{ args: LIST, cwd: tools.directory }]);
    expect(screen.stderr()).toBe('');
  });

  test('what rustup lists counts, and one call is enough for all', async () => {
    const tools = fakeTools().add('rustup', [{ args: LIST, script: `echo ${MUSL}; echo ${GNU}` }]);
    const { runner } = inProcess(tools);
    expect(await missingTargets(runner, toolchain(), tools.directory, [MUSL, GNU])).toEqual([]);
    expect(tools.lines()).toEqual([`rustup ${LIST.join(' ')}`]);
  });

  test('in the environment of mise where the tools come from there', async () => {
    const { tools, provided, toolchain: ofMise } = fromMise(`echo ${MUSL}`);
    const { runner } = inProcess(tools);
    expect(await missingTargets(runner, ofMise, tools.directory, [MUSL, GNU])).toEqual([GNU]);
    expect(provided.calls()).toMatchObject([{ args: LIST, env: { RUSTUP_HOME: '/of/mise' } }]);
  });

  test('without rustup nobody can tell: none, and nothing is started', async () => {
    const tools = fakeTools().add('rustup', []);
    const { runner } = inProcess(tools);
    expect(await missingTargets(runner, toolchain({ hasRustup: false }), tools.directory, [MUSL])).toEqual([]);
    expect(tools.calls()).toEqual([]);
  });

  test('a rustup that fails: what it printed, on one line', async () => {
    const tools = fakeTools().add('rustup', [
      { args: [], script: 'echo "error: no toolchain"; echo "two" >&2; exit 1' },
    ]);
    const { runner } = inProcess(tools);
    expect(await refusalFrom(() => missingTargets(runner, toolchain(), tools.directory, [MUSL]))).toBe(
      '2: rustup cannot list the installed targets: two; check: rustup show',
    );
  });
});

describe('installing them (fault H18)', () => {
  const missing = (directory: string, reason: string) =>
    `2: a Rust target that the build needs could not be installed (rustup target add ${MUSL} ${reason} in ${directory})`;

  test('one command for all, echoed, in the checkout', async () => {
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add', MUSL, GNU], script: 'echo said' }]);
    const { runner, screen } = inProcess(tools);
    await installTargets(runner, addTargets(toolchain(), tools.directory, [MUSL, GNU]));
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
    expect(addTargets(toolchain(), '/c', [MUSL])).toMatchObject({ cwd: '/c', env: {}, asInvoker: true });
  });

  test('a failure is not swallowed: exit 2, naming the target', async () => {
    const tools = fakeTools().add('rustup', [{ args: ['target', 'add'], script: 'exit 1' }]);
    const { runner } = inProcess(tools);
    const add = addTargets(toolchain(), tools.directory, [MUSL]);
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
    const installing = () => installTargets(runner, addTargets(toolchain(), tools.directory, [MUSL]));
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
      const installing = installTargets(runner, addTargets(toolchain(), tools.directory, [MUSL]));
      await expect(installing).rejects.toThrow(new InterruptedError('SIGTERM'));
    } finally {
      signals.stop();
    }
  });
});
