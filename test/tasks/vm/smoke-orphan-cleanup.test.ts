// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Host, thisHost } from '../../../lib/host.ts';
import { smokeOrphanCleanup } from '../../../lib/vm/orphans/execute.ts';
import { BUNDLE_FILE } from '../../../lib/vm/runtime-files.ts';
import { FakeOrphans } from '../../support/fake-orphans.ts';
import { inProcess } from '../../support/in-process.ts';
import { processesWith } from '../../support/processes.ts';
import { requireTools } from '../../support/real-tools.ts';
import { whenSaid } from '../../support/run-task.ts';
import { refusalFrom } from '../../support/task-errors.ts';

const ps = requireTools('ps');

/** Runs it here, with short times, and gives what it printed and its error. */
async function smoke(fake: FakeOrphans, extra: Readonly<Record<string, string>> = {}, host: Host = thisHost()) {
  const ctx = inProcess(fake.tools, await fake.smokeEnv(extra), fake.root);
  const limits = { healthy: 1500, sandbox: 4500, gone: 1500 };
  const error = await refusalFrom(async () => {
    await smokeOrphanCleanup(ctx, false, { host, limits, temporary: fake.temporary });
    throw new Error('passed');
  }).catch((cause: Error) => cause.message);
  return { error, stdout: ctx.screen.stdout(), stderr: ctx.screen.stderr() };
}

/** Nothing that was started is left, and nothing but what is said. */
function expectTidy(fake: FakeOrphans, logs: boolean): void {
  expect(processesWith(`FAKE_CLI_LOG=${fake.cliLog}`)).toEqual([]);
  const left = readdirSync(fake.temporary, { recursive: true, encoding: 'utf8' });
  if (!logs) {
    expect(left).toEqual([]);
    return;
  }
  expect(left.filter((name) => !/^openshell-vm-orphan-\w+(\/(term|kill)-(gateway|create)\.log)?$/.test(name))).toEqual(
    [],
  );
  expect(left.some((name) => name.endsWith('-gateway.log'))).toBe(true);
}

/** A process of a user that looks like one of the test's. */
function bystander(fake: FakeOrphans, name: string): ChildProcess {
  const path = join(fake.tools.directory, name);
  writeFileSync(path, '#!/bin/bash\n/bin/sleep 60 & wait\n', { mode: 0o755 });
  const child = spawn(path, ['--state-dir', 'openshell-vm-orphan', 'osd-gv'], {
    env: {},
    detached: true,
    stdio: 'ignore',
  });
  onTestFinished(() => {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  });
  return child;
}

describe("the smoke test of the VM gateway's clean-up", { timeout: 60_000 }, () => {
  test('C24: both scenarios pass where everything goes, and processes of a user with the same names are left alone', async () => {
    const fake = new FakeOrphans();
    const others = ['openshell-gateway', 'openshell-driver-vm', 'gvproxy'].map((name) => bystander(fake, name));
    const result = await fake.smoke();
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(
      /^PASS \(graceful SIGTERM\): everything was gone after [\d.]+ s\nPASS \(abrupt SIGKILL\): .*\nALL SCENARIOS PASSED\n$/,
    );
    expect(others.map(({ exitCode, signalCode }) => [exitCode, signalCode])).toEqual([
      [null, null],
      [null, null],
      [null, null],
    ]);
    expectTidy(fake, false);
    const lines = readFileSync(fake.cliLog, 'utf8').split('\n');
    expect(lines[0]).toBe(`gateway add --name vm-orphan http://127.0.0.1:${fake.port}`);
    expect(lines[1]).toBe('gateway select vm-orphan');
    expect(lines[2]).toMatch(/^sandbox create --name orphan-\d+ -- sleep 99999$/);
  });

  test.each([
    ['gvproxy', /gvproxy -listen/, 2],
    ['launcher', /openshell-driver-vm-launcher/, 2],
    // Another session, without the gateway's environment.
    ['daemon', /gvproxy -listen/, 2],
    // It ignores the one signal that can be ignored.
    ['gateway', /openshell-gateway --disable-tls/, 1],
  ])('ORP-1, ORP-7: %s that is left is found, named and ended', async (leak, survivor, failed) => {
    const fake = new FakeOrphans();
    const { error, stdout, stderr } = await smoke(fake, { FAKE_LEAK: leak });
    expect(stdout.match(/^FAIL /gm), stderr).toHaveLength(failed);
    expect(stdout).toMatch(/^FAIL \(graceful SIGTERM\): processes left after 1\.50 s: \d+\n {2}pid \d+: /m);
    expect(stdout).toMatch(survivor);
    expect(stdout).toMatch(/ONE OR MORE SCENARIOS FAILED\n$/);
    expect(error).toMatch(
      /^1: something outlives the gateway, or a scenario could not be run; see \S+openshell-vm-orphan-/,
    );
    expectTidy(fake, true);
  });

  test('with the facts of macOS: ps tells which processes run', ps.options, async () => {
    const fake = new FakeOrphans();
    symlinkSync(ps.path('ps'), join(fake.tools.bin, 'ps'));
    fake.addRuntime('darwin-aarch64');
    fake.tools.addSilent('codesign');
    const mac: Host = { platform: 'darwin', arch: 'arm64' };
    const { stdout, stderr } = await smoke(fake, {}, mac);
    expect(stdout, stderr).toContain('ALL SCENARIOS PASSED');
    expect(fake.tools.lines().filter((line) => line.startsWith('codesign'))).toEqual([
      `codesign --entitlements ${join(fake.root, 'crates/openshell-driver-vm/entitlements.plist')} --force -s - ${join(fake.debug, 'openshell-driver-vm')}`,
    ]);
    const leaking = await smoke(fake, { FAKE_LEAK: 'launcher' }, mac);
    expect(leaking.stdout).toMatch(/^ {2}pid \d+: .*openshell-driver-vm-launcher$/m);
    expectTidy(fake, true);
  });

  test('what takes a moment to go is waited for', async () => {
    const fake = new FakeOrphans();
    const { stdout, stderr } = await smoke(fake, { FAKE_LEAK: 'slow' });
    expect(stdout, stderr).toMatch(/^PASS \(graceful SIGTERM\): everything was gone after 1\.\d+ s$/m);
  });

  test("ORP-2: another user's gvproxy is no sign of the sandbox", async () => {
    const fake = new FakeOrphans();
    bystander(fake, 'gvproxy');
    const never = await smoke(fake, { FAKE_NO_GVPROXY: '1' });
    expect(never.stdout).toContain('FAIL (graceful SIGTERM): the sandbox does not come up\n');
  });

  test.each([
    ['no-add', /^FAIL \(graceful SIGTERM\): \S+openshell gateway add .* failed with status 1/m],
    ['no-create', /^FAIL \(graceful SIGTERM\): openshell sandbox create has ended with status 1; see its log$/m],
  ])('ORP-4: a CLI that fails is told at once: %s', async (how, expected) => {
    const fake = new FakeOrphans();
    const { error, stdout, stderr } = await smoke(fake, { FAKE_CLI: how });
    expect(stdout, error).toMatch(expected);
    if (how === 'no-create') expect(stderr).toMatch(/the end of \S+term-create\.log:\n {2}no image\n/);
    expectTidy(fake, true);
  });

  test.each([
    ['dies', 'the gateway has ended with status 3; see its log'],
    ['sick', 'the gateway does not become healthy (http://127.0.0.1:'],
  ])(
    'ORP-5: a gateway that %s: the end of its log, nothing is left, and the next scenario has the port',
    async (how, reason) => {
      const fake = new FakeOrphans();
      const { stdout, stderr } = await smoke(fake, { FAKE_GATEWAY: how });
      expect(stdout).toContain(`FAIL (graceful SIGTERM): ${reason}`);
      expect(stdout).toContain(`FAIL (abrupt SIGKILL): ${reason}`);
      expect(stderr).toMatch(/the end of \S+term-gateway\.log:\n {2}gateway: /);
      expectTidy(fake, true);
    },
  );

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'ORP-6: %s ends all that was started, and keeps the log',
    async (signal) => {
      const fake = new FakeOrphans();
      const result = await fake.smoke({}, [], {
        onStart: whenSaid(/pid \d+: .*gvproxy/, (child) => child.kill(signal)),
      });
      expect(result.status).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
      expect(result.stderr).toMatch(/^the logs are in \S+openshell-vm-orphan-\w+$/m);
      expectTidy(fake, true);
    },
  );

  test('ORP-8, ORP-9: a path with a quote is that path, and nothing of the user gets to the gateway', async () => {
    const fake = new FakeOrphans('check"out');
    const home = { XDG_STATE_HOME: '/mine', XDG_RUNTIME_DIR: '/mine', XDG_CONFIG_HOME: '/mine' };
    const env = { ...home, OPENSHELL_GATEWAY_CONFIG: '/mine', OPENSHELL_BIND_ADDRESS: '0.0.0.0', FAKE_GATEWAY: 'dies' };
    await smoke(fake, env);
    const [directory = ''] = readdirSync(fake.temporary);
    const log = readFileSync(join(fake.temporary, directory, 'term-gateway.log'), 'utf8');
    const seen = JSON.parse(log.slice('gateway: '.length)) as Record<string, string>;
    const place = join(fake.temporary, directory, 'term');
    expect(Object.entries(seen).filter(([, value]) => value.includes('/mine'))).toEqual([]);
    expect(seen).not.toHaveProperty('OPENSHELL_BIND_ADDRESS');
    expect(seen).toMatchObject({
      OPENSHELL_DRIVERS: 'vm',
      OPENSHELL_HEALTH_PORT: String(fake.port + 1),
      OPENSHELL_DB_URL: `sqlite:${place}/state/openshell.db?mode=rwc`,
      XDG_RUNTIME_DIR: `${place}/run`,
      OPENSHELL_LOCAL_TLS_DIR: `${place}/tls`,
    });
  });

  describe('before anything is started', () => {
    test('a port that is taken, the second one too', async () => {
      const fake = new FakeOrphans();
      await fake.smokeEnv();
      const server = createServer().listen(fake.port + 1, '127.0.0.1');
      onTestFinished(() => void server.close());
      const result = await fake.smoke();
      expect(result).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr).toMatch(
        new RegExp(
          `^error: 127\\.0\\.0\\.1:${fake.port + 1} is in use by .*; stop it, or set OPENSHELL_SERVER_PORT$`,
          'm',
        ),
      );
    });

    test.each([
      ['65535', /^error: OPENSHELL_SERVER_PORT is '65535'; allowed is a port up to 65534/m],
      ['x', /^error: OPENSHELL_SERVER_PORT is 'x'/m],
    ])('a port %s', async (port, expected) => {
      const result = await new FakeOrphans().smoke({ OPENSHELL_SERVER_PORT: port });
      expect(result.status).toBe(2);
      expect(result.stderr).toMatch(expected);
    });

    test('ORP-3: a runtime or a supervisor that is missing, empty or cut off', async () => {
      const fake = new FakeOrphans();
      writeFileSync(join(fake.runtime, 'umoci.zst'), '');
      expect((await fake.smoke()).stderr).toMatch(
        /^error: the VM runtime \S+ cannot be used: umoci\.zst \(empty\); run: mise run vm:setup && mise run vm:supervisor$/m,
      );
      const other = new FakeOrphans();
      rmSync(join(other.runtime, BUNDLE_FILE));
      const result = await other.smoke();
      expect(result.status).toBe(2);
      expect(result.stderr).toMatch(/^error: the VM runtime \S+ cannot be used: openshell-sandbox\.zst \(.*\); run: /m);
    });
  });

  test('ORP-3, ORP-11: both are built, with the runtime in the driver, and are where cargo says', async () => {
    const fake = new FakeOrphans();
    const elsewhere = join(fake.root, 'elsewhere/debug');
    mkdirSync(dirname(elsewhere));
    renameSync(fake.debug, elsewhere);
    const result = await fake.smoke({ CARGO_TARGET_DIR: 'elsewhere' });
    expect(result.status, result.stderr).toBe(0);
    const [build] = fake.tools.calls().filter(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
    expect(build?.args.join(' ')).toContain('-p openshell-server --bin openshell-gateway -p openshell-driver-vm');
    expect(build?.env.OPENSHELL_VM_RUNTIME_COMPRESSED_DIR).toBe(fake.runtime);
    expect(existsSync(fake.debug)).toBe(false);
  });

  test('ORP-3: a driver without the runtime is not tested', async () => {
    const fake = new FakeOrphans();
    fake.setCargo({ before: 'unset OPENSHELL_VM_RUNTIME_COMPRESSED_DIR' });
    const result = await fake.smoke();
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: \S+openshell-driver-vm does not have \S+\.zst, .* of \S+ in it; /m);
  });

  test('a dry run prints what would be started', async () => {
    const fake = new FakeOrphans();
    const result = await fake.smoke({}, ['--dry-run']);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toContain("'<openshell-gateway>' --disable-tls &\n");
    expect(result.stdout).toContain('kill -KILL %1\n');
    expect(readdirSync(fake.temporary)).toEqual([]);
    expect(fake.builds()).toEqual([]);
  });
});
