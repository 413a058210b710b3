// SPDX-License-Identifier: Apache-2.0

/** What cargo would fail for or print wrongly, as each task that compiles meets it: fake tools. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addEngine, imageCheckout } from '../support/fake-engine.ts';
import { builderRow } from '../support/fake-publishing.ts';
import { FakeCheckout } from '../support/fake-rust.ts';
import { bashQuote } from '../support/fake-tools.ts';
import { DRIVERS, expectRefused, newLaunch, run } from '../support/launchers.ts';
import { onlyLinux, requireTools } from '../support/real-tools.ts';
import { runTaskFile, type TaskResult } from '../support/run-task.ts';

const AMD64 = { DOCKER_PLATFORM: 'linux/amd64' };
const native = requireTools('cc');

function configure({ root }: FakeCheckout, text: string): string {
  const path = join(root, '.cargo/config.toml');
  mkdirSync(join(root, '.cargo'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function runIn(checkout: FakeCheckout, task: string, args: readonly string[], extra: Record<string, string>) {
  return runTaskFile(task, args, { cwd: checkout.root, env: checkout.env(extra) });
}

const refused = (result: TaskResult, checkout: FakeCheckout, message: string) => {
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr.split('\n').filter((line) => line.startsWith('error: '))).toEqual([`error: ${message}`]);
  expect(checkout.builds()).toEqual([]);
};

describe('R13: a program that cargo is set to compile with, and that is not there', () => {
  const gone = (setting: string) =>
    `${setting}, which is not an executable program; install it, correct the name, or build without it (where mise sets it, in [env] ` +
    'of mise.local.toml): RUSTC_WRAPPER=';

  test.each([
    [{ RUSTC_WRAPPER: 'sccache' }, gone("RUSTC_WRAPPER is 'sccache'")],
    [{ RUSTC_WRAPPER: '/gone/sccache' }, gone("RUSTC_WRAPPER is '/gone/sccache'")],
    [{ RUSTC_WRAPPER: '~/bin/sccache' }, gone("RUSTC_WRAPPER is '~/bin/sccache'")],
    [{ CARGO_BUILD_RUSTC_WRAPPER: 'sccache' }, gone("CARGO_BUILD_RUSTC_WRAPPER is 'sccache'")],
  ])('staging with %j', async (extra: Record<string, string>, message) => {
    const checkout = new FakeCheckout();
    refused(await checkout.stage(['supervisor'], { ...AMD64, ...extra, EXTRA_CARGO_FEATURES: 'x' }), checkout, message);
    expect(checkout.tools.lines()).toEqual([]);
    const off = { RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: extra.CARGO_BUILD_RUSTC_WRAPPER ?? '' };
    expect((await checkout.stage(['supervisor'], { ...AMD64, ...off })).status).toBe(0);
  });

  test('staging with one that a file names, which RUSTC_WRAPPER= overrides', async () => {
    const checkout = new FakeCheckout();
    const path = configure(checkout, '[build]\nrustc-wrapper = "sccache"\n');
    const message = gone(`build.rustc-wrapper in ${path} is 'sccache'`);
    refused(await checkout.stage(['supervisor'], AMD64), checkout, message);
    expect((await checkout.stage(['supervisor'], { ...AMD64, RUSTC_WRAPPER: '' })).status).toBe(0);
  });

  test.each([
    ['docker-build-image', ['supervisor']],
    ['docker-publish-multiarch', []],
    ['vm/build-supervisor-bundle', []],
  ])('%s', async (task, args) => {
    const checkout = imageCheckout();
    addEngine(checkout.tools, 'docker', { builder: builderRow('far', 'remote') });
    const extra = { RUSTC_WRAPPER: 'sccache', DOCKER_REGISTRY: '127.0.0.1:1/x' };
    const message = gone("RUSTC_WRAPPER is 'sccache'");
    refused(await runIn(checkout, task, args, extra), checkout, message);
  });

  test.each(DRIVERS)(
    'a launch with %s, together with everything else that is wrong',
    native.options,
    async (driver) => {
      const launch = newLaunch(driver);
      const extra = { RUSTC_WORKSPACE_WRAPPER: 'driver', RUSTC: '/gone', EXTRA_CARGO_FEATURES: 'bogus' };
      const result = await run(launch, driver, [], extra);
      expectRefused(
        result,
        launch,
        /RUSTC is '\/gone', which is not an executable program; [^\n]+ remove the setting;/,
      );
      expect(result.stderr).toMatch(
        /RUSTC_WORKSPACE_WRAPPER is 'driver', which is not an executable program; [^\n]+: RUSTC_WORKSPACE_WRAPPER=\n/,
      );
      expect(result.stderr).toContain("error: EXTRA_CARGO_FEATURES has 'bogus'");
    },
  );
});

describe("R9: flags in cargo's configuration, with SUPERVISOR_LIBC=glibc-static", () => {
  const dryRun = (checkout: FakeCheckout, extra: Record<string, string> = {}) =>
    checkout.stage(['--dry-run', 'supervisor'], { SUPERVISOR_LIBC: 'glibc-static', ...extra });
  const OWN = "RUSTFLAGS='-C target-feature=+crt-static' cargo build --release";

  test('are left to cargo; without them, and with RUSTFLAGS, nothing changes', onlyLinux(), async () => {
    const checkout = new FakeCheckout();
    expect((await dryRun(checkout)).stdout).toContain(OWN);
    configure(checkout, '[build]\nrustflags = ["-Dwarnings"]\n');
    const { stdout } = await dryRun(checkout);
    expect(stdout).not.toContain('RUSTFLAGS');
    expect(stdout).toMatch(/ cargo rustc --release .* --message-format=\S+ -- -C target-feature=\+crt-static\n/);
    const set = await dryRun(checkout, { RUSTFLAGS: '-Copt-level=1' });
    expect(set.stdout).toContain("RUSTFLAGS='-Copt-level=1 -C target-feature=+crt-static' cargo build --release");
    // To cargo an empty variable wins over its files, too.
    expect((await dryRun(checkout, { RUSTFLAGS: '' })).stdout).toContain(OWN);
    const encoded = await dryRun(checkout, { RUSTFLAGS: '-x', CARGO_ENCODED_RUSTFLAGS: '' });
    expect(encoded.stdout).toMatch(/ CARGO_ENCODED_RUSTFLAGS=\S*'-C\S*target-feature=\+crt-static' cargo build/);
  });
});

describe('F16: cargo prints something else', () => {
  test.each([
    '',
    '{"target_directory":"/t","pack',
    '<html>{}</html>',
    '{}',
    '[null]',
    '{"target_directory":"/t","packages":[{"name":"a","features":3}]}',
  ])('metadata: %j', async (text) => {
    const checkout = new FakeCheckout();
    checkout.tools.add('cargo', [{ args: ['metadata'], script: `printf %s ${bashQuote(text)}` }]);
    const result = await checkout.stage(['supervisor'], { ...AMD64, EXTRA_CARGO_FEATURES: 'telemetry' });
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/^\$ cargo metadata [^\n]+\nerror: cargo metadata printed '[^\n]+\n$/);
  });

  test.each([
    'not JSON',
    '{"reason":"compiler-artifact","target":{"name":"openshell-sandbox","kind":5},"executable":"/x"}',
  ])('instead of messages: %s', async (line) => {
    const checkout = new FakeCheckout({ before: `echo ${bashQuote(line)}; exit 0` });
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/\nerror: cargo has built no executable of openshell-sandbox; [^\n]+\n$/);
  });
});
