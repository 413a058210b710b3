// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  addTargets,
  findToolchain,
  findZig,
  installTargets,
  miseSettings,
  missingTargets,
  type Toolchain,
  toolchainLines,
  verifyZigbuild,
  whyNoStaticLibc,
  zigOf,
} from '../../../lib/cargo/find-toolchain.ts';
import { InterruptedError, MissingTool } from '../../../lib/errors.ts';
import type { Host, Machine } from '../../../lib/host.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { addRustc } from '../../support/fake-rust.ts';
import { bashQuote, FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, refusalOf, taskErrorFrom } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

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

/** What a mise that has these programs sets: its directories first on PATH, and more. */
function miseSets(tools: FakeTools, has: readonly string[], more: Readonly<Record<string, string>> = {}) {
  for (const name of has) elsewhere(tools, name);
  return { PATH: `${join(tools.directory, 'mise installs')}:${tools.bin}`, ...more };
}

/** A mise that prints this. */
function addMise(tools: FakeTools, printed: unknown): void {
  const text = typeof printed === 'string' ? printed : JSON.stringify(printed, undefined, 2);
  tools.add('mise', [{ args: ['env', '--json'], script: `printf '%s\\n' ${bashQuote(text)}` }]);
}

const ONE_CALL = ['mise env --json'];

/** A mise that fails. */
function addFailingMise(tools: FakeTools): string {
  const script = 'echo "mise ERROR no such tool" >&2; echo "run mise install" >&2; exit 1';
  tools.add('mise', [{ args: ['env'], script }]);
  return 'mise env --json failed: mise ERROR no such tool\\nrun mise install; check: mise doctor';
}

function find(tools: FakeTools, extra: Record<string, string> = {}, needsZig = true, facts: Partial<Machine> = {}) {
  return findToolchain(inProcess(tools, extra, tools.directory, facts), root(tools), needsZig);
}

/** A tool chain that has everything but what is said, and nothing of mise. */
const plain = (tools: FakeTools, part: object = {}) => ({
  env: {},
  isFromMise: false,
  miseProblem: undefined,
  settings: NOTHING_SET,
  hasZigbuild: true,
  isZigOnPath: !('zig' in part && part.zig === undefined),
  rustup: join(tools.bin, 'rustup'),
  rustc: undefined,
  missingPrograms: [],
  zig: join(tools.bin, 'zig'),
  ...part,
});

describe('where the Rust tools come from', () => {
  test('all on PATH: mise is there and is not started', async () => {
    const tools = fakeTools().addSilent('cargo', 'cargo-zigbuild', 'rustup', 'zig').add('mise', []);
    expect(await find(tools)).toEqual(plain(tools));
    expect(tools.calls()).toEqual([]);
  });

  test('zigbuild only in mise: everything runs in the environment of mise, which is read once, in the checkout', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    const set = miseSets(tools, ['cargo-zigbuild'], { RUSTC_WRAPPER: 'sccache', EMPTY: '' });
    addMise(tools, set);
    const sccache = { program: 'sccache', text: 'sccache', source: 'RUSTC_WRAPPER', offSwitch: 'RUSTC_WRAPPER=' };
    const settings = { ...NOTHING_SET, wrapper: 'sccache', programs: [sccache] };
    const found = plain(tools, { env: set, isFromMise: true, settings, missingPrograms: [sccache] });
    expect(await find(tools)).toEqual(found);
    expect(tools.lines()).toEqual(ONE_CALL);
    expect(tools.calls()[0]?.cwd).toBe(root(tools));
  });

  test('nothing on PATH, all in mise', async () => {
    const tools = fakeTools();
    const set = miseSets(tools, ['cargo', 'cargo-zigbuild', 'rustup', 'zig']);
    addMise(tools, set);
    const [rustup, zig] = [elsewhere(tools, 'rustup'), elsewhere(tools, 'zig')];
    expect(await find(tools)).toEqual(plain(tools, { env: set, isFromMise: true, rustup, zig }));
    expect(tools.lines()).toEqual(ONE_CALL);
  });

  test('a mise that has none of the missing ones stays out of it, whatever it sets', async () => {
    const tools = fakeTools().addSilent('cargo');
    addMise(tools, miseSets(tools, ['cargo', 'node'], { RUSTC_WRAPPER: 'sccache' }));
    expect(await find(tools)).toEqual(plain(tools, { hasZigbuild: false, rustup: undefined, zig: undefined }));
    expect(tools.lines()).toEqual(ONE_CALL);
  });

  test('what mise has and what is not a program counts for nothing', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup');
    elsewhere(tools, 'zig', 0o644);
    addMise(tools, miseSets(tools, []));
    expect(await find(tools)).toEqual(plain(tools, { hasZigbuild: false, zig: undefined }));
  });

  test.each(['mise is not activated', '', 'null', '[1]', '"text"', '{"RUSTC_WRAPPER": 1}', '{"A": null}'])(
    'a mise that prints %j has nothing, and why is kept for the error of a missing tool',
    async (printed) => {
      const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
      elsewhere(tools, 'cargo-zigbuild');
      addMise(tools, printed);
      const miseProblem = `mise env --json printed '${printed}', which is not a table of texts; check: mise doctor`;
      expect(await find(tools)).toEqual(plain(tools, { hasZigbuild: false, miseProblem }));
      expect(await refusalFrom(() => Promise.reject(new MissingTool('no zigbuild', miseProblem)))).toBe(
        `2: no zigbuild; ${miseProblem}`,
      );
    },
  );

  test('a mise that fails has nothing, and its own reason is kept', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    const miseProblem = addFailingMise(tools);
    expect(await find(tools)).toEqual(plain(tools, { hasZigbuild: false, miseProblem }));
  });

  test('where zig is not needed mise is not started for it', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'cargo-zigbuild').add('mise', []);
    expect((await find(tools, {}, false)).zig).toBeUndefined();
    expect(tools.calls()).toEqual([]);
  });

  test('a ZIG that is set is taken, and mise is not started for another', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'cargo-zigbuild').add('mise', []);
    const zig = elsewhere(tools, 'my zig');
    expect((await find(tools, { ZIG: zig })).zig).toBe(zig);
    expect(tools.calls()).toEqual([]);
  });

  const NO_CARGO = 'cargo is not on PATH and mise does not have it; install Rust (https://rustup.rs) and try again';

  test.each([true, false])('no cargo, mise there: %j', async (hasMise) => {
    const tools = fakeTools().addSilent('rustup', 'cargo-zigbuild', 'zig');
    if (hasMise) addMise(tools, miseSets(tools, []));
    expect(await refusalFrom(() => find(tools))).toBe(`2: ${NO_CARGO}`);
    expect(await taskErrorFrom(() => find(tools))).toBeInstanceOf(MissingTool);
  });

  test('no cargo, and a mise that fails: its reason is in the error', async () => {
    const tools = fakeTools().addSilent('rustup', 'cargo-zigbuild', 'zig');
    const problem = addFailingMise(tools);
    expect(await refusalFrom(() => find(tools))).toBe(`2: ${NO_CARGO}; ${problem}`);
  });

  test('no mise: what is missing is missing', async () => {
    const tools = fakeTools().addSilent('cargo');
    expect(await find(tools)).toEqual(plain(tools, { hasZigbuild: false, rustup: undefined, zig: undefined }));
  });
});

describe('cargo-zigbuild without a zig on PATH', () => {
  const ZIG = ['zig', 'ar', '--', '--version'];

  test('it is asked, and may have one of its own', async () => {
    const tools = fakeTools()
      .addSilent('cargo')
      .add('cargo-zigbuild', [{ args: ZIG, script: 'echo LLVM' }]);
    const ctx = inProcess(tools);
    await verifyZigbuild(ctx.runner, await find(tools, {}, false), tools.directory);
    expect(tools.lines()).toEqual([`cargo-zigbuild ${ZIG.join(' ')}`]);
  });

  test('AQ-14: it has none: an error before anything is compiled', async () => {
    const script = 'printf "Error: Failed to find zig\\n\\nCaused by:\\n  x\\n" >&2; exit 1';
    const tools = fakeTools()
      .addSilent('cargo')
      .add('cargo-zigbuild', [{ args: ZIG, script }]);
    const ctx = inProcess(tools);
    const toolchain = await find(tools, {}, false);
    expect(await refusalFrom(() => verifyZigbuild(ctx.runner, toolchain, tools.directory))).toMatch(
      /^2: cargo-zigbuild has no zig \([^\\]*Failed to find zig\); install it .*CARGO_ZIGBUILD_ZIG_PATH/,
    );
  });
});

describe('what is set for cargo', () => {
  const WRAPPER = '[build]\nrustc-wrapper = "tools/wrap"\n';
  function withFile(directory: string, text = WRAPPER): void {
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config.toml'), text);
  }
  const complete = () => fakeTools().addSilent('cargo', 'cargo-zigbuild', 'rustup', 'zig');

  test('a wrapper that only a file names counts as one of the environment: the guard and the recovery see it', async () => {
    const tools = complete();
    withFile(join(root(tools), '.cargo'));
    const wrapper = join(root(tools), 'tools/wrap');
    expect(await find(tools)).toMatchObject({ env: { CARGO_BUILD_RUSTC_WRAPPER: wrapper }, settings: { wrapper } });
  });

  test.each([
    [{ RUSTC_WRAPPER: 'sccache' }, 'sccache'],
    [{ CARGO_BUILD_RUSTC_WRAPPER: 'sccache' }, 'sccache'],
    [{ RUSTC_WRAPPER: '' }, undefined],
  ])('a variable wins over the file, an empty one too: %j', async (extra, wrapper) => {
    const tools = complete();
    withFile(join(root(tools), '.cargo'));
    const found = await find(tools, extra);
    expect(found.env).toEqual({});
    expect(found.settings.wrapper).toBe(wrapper);
  });

  test('so does a variable that mise sets', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    withFile(join(root(tools), '.cargo'));
    const set = miseSets(tools, ['cargo-zigbuild'], { RUSTC_WRAPPER: 'sccache' });
    addMise(tools, set);
    expect(await find(tools)).toMatchObject({ env: set, settings: { wrapper: 'sccache' } });
    expect((await find(tools)).env).not.toHaveProperty('CARGO_BUILD_RUSTC_WRAPPER');
  });

  test('R13: a wrapper that the user turns off stays off, whatever mise sets', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    const set = miseSets(tools, ['cargo-zigbuild'], { RUSTC_WRAPPER: 'sccache', RUSTC_WORKSPACE_WRAPPER: 'clippy' });
    addMise(tools, set);
    const found = await find(tools, { RUSTC_WRAPPER: '', RUSTC_WORKSPACE_WRAPPER: '' });
    expect(found.env).toEqual({ PATH: set.PATH });
    expect(found).toMatchObject({ settings: { programs: [] }, missingPrograms: [] });
  });

  test('the compiler is the one of PATH, or the one that a setting names', async () => {
    const tools = complete().addSilent('rustc', 'my-rustc');
    expect((await find(tools)).rustc).toBe(join(tools.bin, 'rustc'));
    expect((await find(tools, { RUSTC: 'my-rustc' })).rustc).toBe(join(tools.bin, 'my-rustc'));
    const gone = await find(tools, { RUSTC: '/gone/rustc' });
    expect(gone).toMatchObject({ rustc: undefined, missingPrograms: [{ source: 'RUSTC', text: '/gone/rustc' }] });
  });

  test('the files are those of the cargo that mise gives', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    const home = join(tools.directory, 'cargo home');
    withFile(home, '[build]\ntarget-dir = "out"\n');
    addMise(tools, miseSets(tools, ['cargo-zigbuild'], { CARGO_HOME: home }));
    expect((await find(tools)).settings.targetDirectory).toBe(join(dirname(home), 'out'));
  });

  test('under sudo they are those of the user who called it', async () => {
    const tools = complete();
    const home = join(tools.directory, 'home of dev');
    withFile(join(home, '.cargo'));
    const invoker = { uid: 1000, gid: 1000, user: 'dev', home };
    // Root works as root in what is root's.
    if (process.geteuid?.() === 0) chownSync(root(tools), 1000, 1000);
    expect((await find(tools, {}, true, { invoker })).settings.wrapper).toBe(join(home, 'tools/wrap'));
    expect((await find(tools)).settings.wrapper).toBeUndefined();
  });
});

describe('a dry run prints how a shell gets the environment of mise', () => {
  test('nothing where the tools are on PATH', async () => {
    const tools = fakeTools().addSilent('cargo', 'cargo-zigbuild', 'rustup', 'zig');
    expect(toolchainLines(await find(tools), root(tools))).toEqual([]);
  });

  test('else one line that bash evaluates, whatever the checkout is called', async () => {
    const tools = fakeTools().addSilent('cargo', 'rustup', 'zig');
    addMise(tools, miseSets(tools, ['cargo-zigbuild']));
    const toolchain = await find(tools);
    const checkout = "/a checkout's;touch PWNED;#";
    const [line = '', ...others] = toolchainLines(toolchain, checkout);
    expect(others).toEqual([]);
    const call = ['--cd', checkout, 'env', '--shell', 'bash'];
    tools.add('mise', [{ args: call, script: 'echo "export FROM_MISE=\'a b\'"' }]);
    const result = spawnSync(join(tools.bin, 'bash'), ['--norc', '-c', `${line}; printf '%s' "$FROM_MISE"`], {
      env: tools.env(),
      encoding: 'utf8',
    });
    expect(result).toMatchObject({ status: 0, stdout: 'a b', stderr: '' });
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
    '%j is not a program: an error at once, nothing else is tried',
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
  const alone = (tools: FakeTools, extra: Record<string, string> = {}) => findZig(inProcess(tools, extra), root(tools));
  const NO_ZIG = 'zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path';

  test('ZIG, then PATH, then mise', async () => {
    const tools = fakeTools();
    addMise(tools, miseSets(tools, ['zig']));
    expect(await alone(tools)).toBe(elsewhere(tools, 'zig'));
    expect(tools.lines()).toEqual(ONE_CALL);
    tools.addSilent('zig');
    expect(await alone(tools)).toBe(join(tools.bin, 'zig'));
    const named = elsewhere(tools, 'named');
    expect(await alone(tools, { ZIG: named })).toBe(named);
    expect(tools.lines()).toEqual(ONE_CALL);
  });

  test.each([true, false])('nowhere, mise there: %j', async (hasMise) => {
    const tools = fakeTools();
    if (hasMise) addMise(tools, miseSets(tools, []));
    expect(await refusalFrom(() => alone(tools))).toBe(`2: ${NO_ZIG}`);
  });

  test('nowhere, and a mise that fails: its reason is in the error', async () => {
    const tools = fakeTools();
    const problem = addFailingMise(tools);
    expect(await refusalFrom(() => alone(tools))).toBe(`2: ${NO_ZIG}; ${problem}`);
  });
});

const ALL = ['KUBECONFIG', 'RUSTC_WRAPPER', 'SCCACHE_DIR'] as const;
const SET = { KUBECONFIG: '/co/kubeconfig', SCCACHE_DIR: '/co/.cache/sccache', UV_CACHE_DIR: '/co/uv' };

/** A checkout whose mise prints this; a text for one that fails with it. */
function checkout(set: Readonly<Record<string, string>> | string, config = 'mise.toml'): FakeTools {
  const tools = fakeTools();
  const script =
    typeof set === 'string' ? `echo ${bashQuote(set)} >&2; exit 1` : `echo ${bashQuote(JSON.stringify(set))}`;
  tools.add('mise', [{ args: ['env', '--json'], script }]);
  mkdirSync(join(tools.directory, 'checkout'));
  if (config !== '') writeFileSync(join(tools.directory, 'checkout', config), '');
  return tools;
}

describe('R17: what the checkout’s mise configuration sets counts where mise is there', () => {
  test.each(['mise.toml', '.mise.toml'])('%s: one question, whoever asks; nothing else of it', async (config) => {
    const tools = checkout(SET, config);
    const ctx = inProcess(tools);
    const both = [miseSettings(ctx, root(tools), ALL), miseSettings(ctx, root(tools), ['KUBECONFIG'])];
    const { KUBECONFIG, SCCACHE_DIR } = SET;
    expect(await Promise.all(both)).toEqual([{ KUBECONFIG, SCCACHE_DIR }, { KUBECONFIG }]);
    expect(tools.lines()).toEqual(['mise env --json']);
    expect(tools.calls()[0]?.cwd).toBe(root(tools));
  });

  test('what the environment has wins, empty too; where it has all, or there is no configuration, mise is not asked', async () => {
    const tools = checkout(SET);
    const some = inProcess(tools, { KUBECONFIG: '', SCCACHE_DIR: '/mine' });
    expect(await miseSettings(some, root(tools), ALL)).toEqual({});
    const all = inProcess(tools, { KUBECONFIG: '/mine', RUSTC_WRAPPER: '', SCCACHE_DIR: '/mine' });
    expect(await miseSettings(all, root(tools), ALL)).toEqual({});
    expect(await miseSettings(inProcess(tools), tools.directory, ALL)).toEqual({});
    expect(tools.lines()).toEqual(['mise env --json']);
  });

  test('a mise that fails, or does not trust the checkout, is said, and is no obstacle', async () => {
    const said = async (text: string) => {
      const tools = checkout(text);
      const ctx = inProcess(tools);
      expect(await miseSettings(ctx, root(tools), ['KUBECONFIG'])).toEqual({});
      return ctx.screen.stderr().replace(root(tools), 'ROOT');
    };
    const start = "warning: what the checkout's mise.toml sets (KUBECONFIG) does not count: ";
    expect(await said('broken')).toBe(`${start}mise env --json failed: broken; check: mise doctor\n`);
    expect(await said('error parsing\nConfig files in X are not trusted.\nTrust them')).toBe(
      `${start}mise does not trust the checkout; run: mise trust ROOT\n`,
    );
  });

  test('a wrapper that is on PATH, or a tool of mise; one that is not installed is said', async () => {
    const wrapperOf = async (PATH: string | undefined, onPath: readonly string[]) => {
      const tools = checkout({ RUSTC_WRAPPER: 'sccache', ...(PATH === undefined ? {} : { PATH }) });
      tools.addSilent(...onPath);
      const ctx = inProcess(tools);
      return [await miseSettings(ctx, root(tools), ['RUSTC_WRAPPER']), ctx.screen.stderr()];
    };
    expect(await wrapperOf(undefined, ['sccache'])).toEqual([{ RUSTC_WRAPPER: 'sccache' }, '']);
    const installs = fakeTools().addSilent('sccache').bin;
    expect(await wrapperOf(installs, [])).toEqual([{ RUSTC_WRAPPER: join(installs, 'sccache') }, '']);
    expect(await wrapperOf('/nowhere', [])).toEqual([
      {},
      "warning: RUSTC_WRAPPER='sccache' of mise does not count: run mise install\n",
    ]);
  });

  test('cargo gets them, and a dry run says how a shell does', async () => {
    const tools = checkout({ ...SET, RUSTC_WRAPPER: 'sccache' });
    tools.addSilent('cargo', 'cargo-zigbuild', 'rustup', 'zig', 'sccache');
    const toolchain = await findToolchain(inProcess(tools), root(tools), true);
    expect(toolchain).toMatchObject({ env: { RUSTC_WRAPPER: 'sccache', SCCACHE_DIR: SET.SCCACHE_DIR } });
    expect(toolchain.isFromMise).toBe(false);
    expect(toolchainLines(toolchain, root(tools))).toEqual([
      'export RUSTC_WRAPPER=sccache',
      `export SCCACHE_DIR=${SET.SCCACHE_DIR}`,
    ]);
  });

  test('where cargo comes from mise, a variable that is set wins over what mise sets', async () => {
    const installs = fakeTools().addSilent('cargo').bin;
    const tools = checkout({ PATH: installs, RUSTC_WRAPPER: 'sccache', CARGO_BUILD_JOBS: '8' });
    const ctx = inProcess(tools, { RUSTC_WRAPPER: '', CARGO_BUILD_JOBS: '2' });
    expect((await findToolchain(ctx, root(tools), false)).env).toEqual({ PATH: installs });
  });
});

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

  test('a compiler that was not found', async () => {
    const ctx = inProcess(fakeTools());
    const missing = missingTargets(ctx.runner, toolchain(fakeTools(), { rustc: undefined }), '/', [MUSL]);
    expect(await refusalFrom(() => missing)).toMatch(/^2: rustc cannot say where its targets are: /);
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
    mkdirSync(join(tools.directory, 'of rustup'));
    expect(await refusalFrom(() => ask([MUSL, GNU]))).toBe(
      `${lacks(tools)}; rustup's is ${rustc}: put ${tools.bin} first on PATH, without RUSTC and build.rustc, or ${ADD}`,
    );
    expect(await taskErrorFrom(() => ask([MUSL]))).toBeInstanceOf(MissingTool);
  });

  test('P4: without rustup, and with one that fails', async () => {
    const { tools, ask } = place([GNU]);
    expect(await refusalFrom(() => ask([MUSL], { rustup: undefined }))).toBe(
      `${lacks(tools)}; take Rust from rustup (https://rustup.rs), or ${ADD}`,
    );
    tools.add('rustup', [{ args: [], script: 'echo "no toolchain" >&2; exit 1' }]);
    expect(await refusalFrom(() => ask([MUSL]))).toBe(
      `${lacks(tools)}; take Rust from rustup (https://rustup.rs), or ${ADD}`,
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

describe('whether glibc can be linked statically', () => {
  const REMEDY = 'for static links install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';
  const LINUX: Host = { platform: 'linux', arch: 'amd64' };

  /** Why not, with a compiler that does this when it is probed. */
  async function reason(script: string, host: Host = LINUX, compiler = 'cc') {
    const tools = fakeTools();
    tools.add(compiler, [{ args: ['-print-file-name=libc.a'], script }]);
    const { runner } = inProcess(tools);
    return { found: await whyNoStaticLibc(runner, tools.directory, host, { env: {} }), started: tools.lines() };
  }

  test('a path: it can', async () => {
    expect(await reason('echo /usr/lib/libc.a')).toEqual({
      found: undefined,
      started: ['cc -print-file-name=libc.a'],
    });
  });

  test('the bare name: it cannot, with the packages that have the file', async () => {
    expect((await reason('echo libc.a')).found).toBe(`there is no libc.a (cc prints 'libc.a'); ${REMEDY}`);
  });

  test('a compiler that fails: it cannot, with its reason', async () => {
    expect((await reason('echo "unknown option" >&2; exit 1')).found).toBe(
      `there is no libc.a (unknown option); ${REMEDY}`,
    );
  });

  test('no compiler at all: it cannot', async () => {
    expect((await reason(':', LINUX, 'gcc')).found).toMatch(/^there is no libc\.a \(/);
  });

  test('a machine that is neither amd64 nor arm64: it cannot, and nothing is started', async () => {
    const { found, started } = await reason('exit 1', { platform: 'linux', arch: undefined });
    expect(found).toBe('this machine is neither amd64 nor arm64');
    expect(started).toEqual([]);
  });
});
