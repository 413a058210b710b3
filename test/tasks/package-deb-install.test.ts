// SPDX-License-Identifier: Apache-2.0

/** Installing over fakes: sudo, dpkg and the user's systemd are fakes that check how they are called. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeDeb } from '../support/fake-deb.ts';
import { bashQuote } from '../support/fake-tools.ts';
import { listen } from '../support/listener.ts';
import { runTaskFile } from '../support/run-task.ts';
import { refusalFrom } from '../support/task-errors.ts';

const PROBES = ['dpkg --print-architecture', 'systemctl --user show --property=ActiveState --value openshell-gateway'];

/** The calls that are no probes, without repeats of the wait. */
function steps(fake: FakeDeb): string[] {
  return fake.tools.lines().filter((line) => !/--user show|--print-architecture|^rustup|^rustc|^sudo -n/.test(line));
}

/** Registers an earlier gateway. */
function addRegistration(fake: FakeDeb, active: string | undefined): string {
  const directory = join(fake.config, 'openshell/gateways/openshell');
  mkdirSync(join(directory, 'mtls'), { recursive: true });
  for (const name of ['metadata.json', 'edge_token', 'oidc_token.json', 'mtls/ca.crt', 'other']) {
    writeFileSync(join(directory, name), name);
  }
  if (active !== undefined) writeFileSync(join(fake.config, 'openshell/active_gateway'), active);
  return directory;
}

describe('all of it', () => {
  test('DPI-1, DPI-4: the steps in their order, installed programs by their paths, and cargo says where its output is', async () => {
    const fake = new FakeDeb();
    const elsewhere = join(fake.tools.directory, 'else where');
    const port = await listen('127.0.0.1');
    fake.setService('active');
    const env = {
      CARGO_TARGET_DIR: elsewhere,
      OPENSHELL_OUTPUT_DIR: 'out',
      SOURCE_DATE_EPOCH: '0',
      IMAGE_TAG: 'leaks',
    };
    const { screen } = await fake.install({ port }, env);
    const deb = join(fake.tools.directory, 'out/openshell_0.0.0-local_amd64.deb');
    expect(screen.stdout()).toBe(`${deb}\n`);
    const scratch = `${fake.temporary}/openshell-deb-RUN`;
    expect(steps(fake).map((line) => line.replaceAll(/openshell-deb-[\w-]+/g, 'openshell-deb-RUN'))).toEqual([
      'cargo build --release -p openshell-server --bin openshell-gateway -p openshell-cli --bin openshell ' +
        '-p openshell-driver-vm --bin openshell-driver-vm --message-format=json-render-diagnostics',
      `dpkg-deb --build --root-owner-group ${scratch}/stage ${scratch}/package.deb`,
      `dpkg-deb --info ${scratch}/package.deb`,
      `dpkg-deb --contents ${scratch}/package.deb`,
      `sudo dpkg -i ${deb}`,
      `dpkg -i ${deb}`,
      'openshell --version',
      'openshell-gateway --version',
      'systemctl --user daemon-reload',
      'systemctl --user enable --now openshell-gateway',
      'systemctl --user restart openshell-gateway',
      `openshell gateway add https://127.0.0.1:${port} --local --name openshell`,
    ]);
    const cargo = fake.tools.calls().find(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
    expect(cargo?.env).toMatchObject({ CARGO_TARGET_DIR: elsewhere });
    expect(cargo?.env).not.toHaveProperty('IMAGE_TAG');
    expect(readFileSync(deb, 'latin1')).toContain('\x7fELF');
    expect(screen.stderr()).toMatch(/^==> user service openshell-gateway$/m);
    expect(screen.stderr()).toMatch(/^done: build .*, package .*, installation .*, service .*, registration /m);
    expect(readdirSync(fake.temporary)).toEqual([]);
  });

  test('the printed commands say /usr/bin, and 17670', async () => {
    const fake = new FakeDeb();
    const result = await runTaskFile('package-deb-install', ['--dry-run'], {
      cwd: fake.root,
      env: { ...fake.installEnv(), FAKE_SHOW: 'echo active; exit' },
    });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/^\/usr\/bin\/openshell --version\n\/usr\/bin\/openshell-gateway --version$/m);
    expect(result.stdout).toMatch(
      /^\/usr\/bin\/openshell gateway add https:\/\/127\.0\.0\.1:17670 --local --name openshell$/m,
    );
    expect(result.stdout).toMatch(/\/stage\/usr\/bin\/openshell-gateway \(0755\)$/m);
    expect(steps(fake)).toEqual([]);
    expect(readdirSync(fake.root)).not.toContain('artifacts');
  });

  test('root needs no sudo; features go where they are declared', async () => {
    const fake = new FakeDeb();
    fake.setService('active');
    const port = await listen('127.0.0.1');
    await fake.install({ port, isRoot: true }, { EXTRA_CARGO_FEATURES: 'bundled-z3', OPENSHELL_DEB_VERSION: '1:2.0' });
    expect(steps(fake).join('\n')).toContain('--features openshell-server/bundled-z3 ');
    expect(steps(fake)).toContain(`dpkg -i ${fake.root}/artifacts/openshell_2.0_amd64.deb`);
    expect(steps(fake).join('\n')).not.toContain('sudo');
  });
});

describe('DPI-5: what it needs is checked before the compile', () => {
  test('all that is missing, at once', async () => {
    const fake = new FakeDeb();
    for (const name of ['dpkg', 'dpkg-deb', 'systemctl', 'sudo', 'cargo']) rmSync(join(fake.tools.bin, name));
    rmSync(join(fake.root, 'deploy/deb/postinst.sh'));
    const env = { OPENSHELL_DEB_VERSION: 'x', OPENSHELL_OUTPUT_DIR: '/proc/x', OPENSHELL_DEB_ARCH: 'arm64' };
    const last = await refusalFrom(() => fake.install({}, env));
    expect(last).toMatch(/^2: /);
    const said = `${fake.last?.screen.stderr()}${last.replace('2:', 'error:')}`;
    for (const text of [
      'dpkg is not on PATH; the package is for Debian and Ubuntu',
      'systemctl is not on PATH',
      'cargo is not on PATH',
      'sudo is not on PATH',
      "OPENSHELL_DEB_VERSION is 'x'",
      'the package would be for arm64, and this machine is amd64; unset OPENSHELL_DEB_ARCH',
      'dpkg-deb is not on PATH',
      `${fake.root}/deploy/deb/postinst.sh: it does not exist`,
    ]) {
      expect(said).toContain(`error: ${text}`);
    }
    expect(steps(fake)).toEqual([]);
  });

  test('no systemd of the user, in its own words, and another program on the port', async () => {
    const fake = new FakeDeb();
    const none = { FAKE_SHOW: 'echo "Failed to connect to bus: No medium found" >&2; exit 1' };
    expect(await refusalFrom(() => fake.install({}, none))).toMatch(
      /^2: the user's systemd does not respond: Failed to connect to bus: No medium found; start this in a login session/,
    );
    const port = await listen('127.0.0.1');
    expect(await refusalFrom(() => fake.install({ port }))).toMatch(
      new RegExp(
        `^2: 127\\.0\\.0\\.1:${port}, where openshell-gateway listens, is in use by another program; stop it$`,
      ),
    );
    expect(steps(fake)).toEqual([]);
  });

  test('a sudo that would ask where nobody can answer', async () => {
    const fake = new FakeDeb();
    const asking = { FAKE_SUDO: 'echo "sudo: a password is required" >&2; exit 1' };
    expect(await refusalFrom(() => fake.install({ hasTerminal: false }, asking))).toBe(
      '2: sudo cannot ask for a password: sudo: a password is required; start this in a terminal',
    );
    const { screen } = await fake.install({ hasTerminal: false }, asking, true);
    expect(screen.stdout()).toMatch(/^# <WHAT: WHY> stands for .*: sudo cannot ask for a password/);
    expect(fake.tools.lines()).not.toContain('dpkg -i');
    expect(fake.tools.lines().filter((line) => line.startsWith('cargo build'))).toEqual([]);
  });

  test('places that cannot be written', async () => {
    const fake = new FakeDeb();
    writeFileSync(join(fake.tools.directory, 'config'), 'a file');
    const env = { OPENSHELL_OUTPUT_DIR: '/proc/x' };
    expect(await refusalFrom(() => fake.install({}, env))).toMatch(/^2: .*config.* it is not a directory/);
    expect(fake.last?.screen.stderr()).toMatch(/^error: \/proc\/x\S* cannot be written/m);
    expect(steps(fake)).toEqual([]);
  });
});

describe('DPI-2: the service', () => {
  test('one that did not run is started once; the port is waited for', async () => {
    const fake = new FakeDeb();
    const failing = fake.install({ waitMs: 600 });
    expect(await refusalFrom(() => failing)).toMatch(
      /^1: openshell-gateway is installed, and does not respond at 127\.0\.0\.1:\d+: its state is active; its log is above$/,
    );
    expect(steps(fake)).not.toContain('systemctl --user restart openshell-gateway');
    expect(steps(fake).at(-1)).toBe('journalctl --user -u openshell-gateway -n 50 --no-pager');
    expect(fake.last?.screen.stderr()).toContain('\none\ntwo\n');
    expect(fake.last?.screen.stdout()).toBe('');
  });

  test('one that fails is not waited for', async () => {
    const fake = new FakeDeb();
    const before = performance.now();
    expect(await refusalFrom(() => fake.install({ waitMs: 60_000 }, { FAKE_STATE: 'failed' }))).toContain(
      'its state is failed',
    );
    expect(performance.now() - before).toBeLessThan(20_000);
  });

  test('one that restarts by itself all the time counts as running', async () => {
    const fake = new FakeDeb();
    fake.setService('activating');
    const port = await listen('127.0.0.1');
    await fake.install({ port });
    expect(steps(fake)).toContain('systemctl --user restart openshell-gateway');
    expect(fake.service).toBe('active');
  });
});

describe('SIGINT', () => {
  test.each([
    ['cargo', false],
    ['dpkg-deb', false],
    ['the service', true],
  ])(
    'while %s is waited for: status 130, nothing is registered, and no temporary file is left',
    async (what, isPacked) => {
      const fake = new FakeDeb();
      // A signal that comes before it would only end what the shell has just started.
      const mark = join(fake.tools.directory, 'at work');
      const SLEEP = `: > ${bashQuote(mark)}; /bin/sleep 30 & wait`;
      const isDue = () =>
        existsSync(mark) || fake.tools.lines().some((line) => line.startsWith('systemctl --user enable'));
      const directory = addRegistration(fake, 'openshell');
      if (what === 'cargo') fake.setCargo({ before: SLEEP });
      const env: Record<string, string> = what === 'dpkg-deb' ? { FAKE_DPKG_DEB: SLEEP } : {};
      const running = fake.install({ waitMs: 60_000 }, env).catch((caught: unknown) => caught);
      let isListening = false;
      const timer = setInterval(() => {
        if (!isListening) fake.last?.signals.listen();
        isListening = fake.last !== undefined;
        if (!isDue()) return;
        clearInterval(timer);
        process.emit('SIGINT', 'SIGINT');
      }, 50);
      const before = performance.now();
      const error = await running;
      clearInterval(timer);
      fake.last?.signals.stop();
      expect(error).toMatchObject({ exitCode: 130 });
      expect(performance.now() - before).toBeLessThan(20_000);
      expect(existsSync(join(directory, 'metadata.json'))).toBe(true);
      expect(fake.tools.lines().join('\n')).not.toContain('gateway add');
      expect(readdirSync(fake.temporary)).toEqual([]);
      expect(existsSync(join(fake.root, 'artifacts'))).toBe(isPacked);
    },
  );
});

describe('failures keep their status, and end it there', () => {
  test.each([
    ['cargo', { FAKE_APPS: '/nowhere' }, /no executable|cannot run|does not exist/],
    ['dpkg-deb', { FAKE_DPKG_DEB: 'exit 9' }, /dpkg-deb --build .* failed with status 9/],
    ['dpkg', { FAKE_DPKG: 'exit 7' }, /sudo dpkg -i .* failed with status 7/],
  ])('%s', async (_, env, text) => {
    const fake = new FakeDeb();
    expect(await refusalFrom(() => fake.install({}, env as Record<string, string>))).toMatch(text);
    expect(fake.tools.lines().filter((line) => /^systemctl --user (enable|daemon)/.test(line))).toEqual([]);
    expect(readdirSync(fake.temporary)).toEqual([]);
  });
});

describe('the registration', () => {
  test.each([
    ['openshell', false],
    ['openshell\n', false],
    ['openshell-2', true],
    ['', true],
    [undefined, false],
  ])('the earlier one goes with its tokens, and the mark %j stays: %s', async (active, stays) => {
    const fake = new FakeDeb();
    const directory = addRegistration(fake, active);
    fake.setService('active');
    await fake.install({ port: await listen('127.0.0.1') }, { FAKE_ADD: `[[ ! -e '${directory}/metadata.json' ]]` });
    expect(readdirSync(directory).sort()).toEqual(['mtls', 'other']);
    expect(existsSync(join(fake.config, 'openshell/active_gateway'))).toBe(stays);
  });

  test('where the new one fails, its status is that of the task', async () => {
    const fake = new FakeDeb();
    fake.setService('active');
    const port = await listen('127.0.0.1');
    const error = await refusalFrom(() => fake.install({ port }, { FAKE_ADD: 'exit 5' }));
    expect(error).toMatch(/^5: .*openshell gateway add .* failed with status 5/);
    expect(fake.last?.screen.stdout()).toBe('');
  });

  test('without an entry nothing is touched', async () => {
    const fake = new FakeDeb();
    rmSync(join(addRegistration(fake, 'openshell'), 'metadata.json'));
    fake.setService('active');
    const { screen } = await fake.install({ port: await listen('127.0.0.1') });
    expect(existsSync(join(fake.config, 'openshell/active_gateway'))).toBe(true);
    expect(screen.stderr()).not.toContain('earlier registration');
  });
});

describe('DPI-3: the VM runtime', () => {
  test('a complete one is embedded, and that is verified', async () => {
    const fake = new FakeDeb();
    const directory = fake.addRuntime();
    fake.setService('active');
    const { screen } = await fake.install({ port: await listen('127.0.0.1') });
    const cargo = fake.tools.calls().find(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
    expect(cargo?.env).toMatchObject({ OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory });
    expect(screen.stderr()).not.toContain('WITHOUT its runtime');
    // Nobody has verified these files.
    expect(screen.stderr()).toMatch(/^warning: the VM runtime in .* is NOT verified/m);
  });

  test('a driver that does not have it in it is not packaged', async () => {
    const fake = new FakeDeb();
    fake.addRuntime();
    fake.setCargo({ before: 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR=' });
    expect(await refusalFrom(() => fake.install())).toMatch(
      /^1: .*openshell-driver-vm does not have libkrun\.so\.zst, .* in it/,
    );
    expect(steps(fake).filter((line) => line.startsWith('dpkg'))).toEqual([]);
  });

  test.each([['gvproxy.zst'], ['openshell-sandbox.zst']])(
    'without %s cargo gets none, and that is said before and after',
    async (name) => {
      const fake = new FakeDeb();
      const directory = fake.addRuntime([name]);
      fake.setService('active');
      const { screen } = await fake.install(
        { port: await listen('127.0.0.1') },
        { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory },
      );
      const cargo = fake.tools.calls().find(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
      expect(cargo?.env).not.toHaveProperty('OPENSHELL_VM_RUNTIME_COMPRESSED_DIR');
      const said = screen.stderr().match(/^warning: the VM driver is packaged WITHOUT its runtime, .*$/gm) ?? [];
      expect(said).toHaveLength(2);
      expect(said[0]).toContain(name);
      expect(said[0]).toContain('mise run vm:setup && mise run vm:supervisor');
    },
  );
});

test('probes only are started by a dry run', async () => {
  const fake = new FakeDeb();
  const directory = addRegistration(fake, 'openshell');
  const { screen } = await fake.install({}, {}, true);
  expect(
    fake.tools
      .lines()
      .filter((line) => !/^(rustup|rustc) /.test(line))
      .sort(),
  ).toEqual(PROBES);
  expect(screen.stdout()).toContain(`# removes ${directory}/metadata.json\n`);
  expect(screen.stdout()).toMatch(/^# waits 2 s at most until the service is active and 127\.0\.0\.1:\d+ responds$/m);
  expect(existsSync(join(directory, 'metadata.json'))).toBe(true);
});
