// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findToolchain, toolchainLines } from '../../../lib/cargo/find-toolchain.ts';
import { miseSettings } from '../../../lib/cargo/mise.ts';
import { bashQuote, type FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';

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

const root = (tools: FakeTools) => join(tools.directory, 'checkout');

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
