// SPDX-License-Identifier: Apache-2.0

/** What a launch finds before it builds, and what it keeps from its builds; with fake tools, for every driver. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { metadataPath } from '../../lib/gateway/registration.ts';
import { DOCKER_ARM_INFO } from '../support/fake-engine.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { freePort } from '../support/free-port.ts';
import { DRIVERS, expectRefused, launcherOf, newLaunch, run, startLauncher } from '../support/launchers.ts';
import { listen } from '../support/listener.ts';
import { requireTools } from '../support/real-tools.ts';
import { runTaskFile } from '../support/run-task.ts';

const tools = requireTools('cc');
const ARM = { docker: { info: DOCKER_ARM_INFO } };

/** The lines of the errors. */
const errorsOf = (stderr: string) => stderr.match(/^error: .*$/gm) ?? [];

describe.each(DRIVERS)('before a launch: %s', tools.options, (driver) => {
  test('R16: a name that another gateway has, which responds: who it is, and the way on; another name is free', async () => {
    const first = newLaunch(driver);
    const running = await startLauncher(first, driver);
    await running.said(' is up at ');
    const second = newLaunch(driver);
    const home = { XDG_CONFIG_HOME: first.config };
    const result = await run(second, driver, [], home);
    expectRefused(result, second);
    expect(errorsOf(result.stderr)).toEqual([
      expect.stringMatching(
        new RegExp(
          `^error: ${driver}-dev is registered for http://127.0.0.1:${first.port}, where \\S+ ` +
            `\\(pid ${running.pid}\\) responds; set OPENSHELL_GATEWAY_NAME to another name`,
        ),
      ),
    ]);
    expect((await run(second, driver, ['--dry-run'], home)).status).toBe(2);
    expect((await run(second, driver, [], { ...home, OPENSHELL_GATEWAY_NAME: 'mine' })).status).toBe(0);
    expect(first.entry(`${driver}-dev`)).toMatchObject({ gateway_port: first.port });
    running.kill('SIGINT');
    await running.ended;
    // It does not respond any more.
    expect((await run(second, driver, [], home)).status).toBe(0);
    expect(first.entry(`${driver}-dev`)).toMatchObject({ gateway_port: second.port });
  });

  test('R16: a name that was taken while this launch built is not taken over', async () => {
    const first = newLaunch(driver);
    await (await startLauncher(first, driver)).said(' is up at ');
    const launch = newLaunch(driver);
    const { port } = first;
    const path = metadataPath(launch.config, `${driver}-dev`);
    const entry = JSON.stringify({ gateway_endpoint: `http://127.0.0.1:${port}` });
    launch.setCargo({ before: `/bin/mkdir -p ${dirname(path)}; echo '${entry}' > ${path}` });
    const result = await run(launch, driver);
    expect(result.status).toBe(2);
    expect(errorsOf(result.stderr)).toEqual([expect.stringContaining(`${driver}-dev is registered for`)]);
    expect(launch.entry(`${driver}-dev`)).toEqual({ gateway_endpoint: `http://127.0.0.1:${port}` });
  });

  test.each([
    ['unset', {}],
    ['empty', { HOME: '', XDG_CONFIG_HOME: '' }],
  ])('E1: a home that is %s is found before anything is built', async (_, home) => {
    const launch = newLaunch(driver);
    const root = join(launch.tools.directory, 's');
    const {
      HOME: _home,
      XDG_CONFIG_HOME: _config,
      ...env
    } = await launch.launchEnv({
      OPENSHELL_VM_DRIVER_STATE_ROOT: root,
    });
    const { task, args } = launcherOf(driver);
    const result = await runTaskFile(task, args, { cwd: launch.root, env: { ...env, ...home } });
    expectRefused(result, launch, /^error: neither HOME nor XDG_CONFIG_HOME is set/m);
  });

  test('R17: the .env of the checkout counts, is said by its names, and the environment wins', async () => {
    const launch = newLaunch(driver);
    launch.port = await freePort();
    const name = driver === 'kubernetes' ? 'OPENSHELL_GATEWAY_NAME' : `OPENSHELL_${driver.toUpperCase()}_GATEWAY_NAME`;
    const text = `# mine\n${name}=named\nOPENSHELL_LOG_LEVEL=debug\nOPENSHELL_SERVER_PORT=1\nOPENSHELL_GATEWAY=seen\n`;
    writeFileSync(join(launch.root, '.env'), text);
    const said = `${name}, OPENSHELL_LOG_LEVEL, OPENSHELL_GATEWAY`;
    const dry = await run(launch, driver, ['--dry-run']);
    expect(dry.stderr).toContain(`${launch.root}/.env sets ${said}\n`);
    expect(dry.stdout).toContain(`# with ${said} of .env\n`);
    const result = await run(launch, driver);
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(`  from .env    ${said}\n`);
    expect(launch.entry('named')).toMatchObject({ gateway_port: launch.port });
    expect(launch.served()?.args).toEqual(expect.arrayContaining(['--log-level', 'debug']));
    expect(launch.served()?.env.OPENSHELL_GATEWAY).toBe('seen');
    // As if mise had loaded it.
    const loaded = { [name]: 'named', OPENSHELL_LOG_LEVEL: 'debug', OPENSHELL_GATEWAY: 'seen' };
    expect((await run(launch, driver, ['--dry-run'], loaded)).stderr).not.toContain('.env');
    writeFileSync(join(launch.root, '.env'), 'OPENSHELL_LOG_LEVEL=$LEVEL\n');
    const wrong = await run(launch, driver);
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(errorsOf(wrong.stderr)).toEqual([
      expect.stringContaining('.env: line 1 is not NAME=value as every program reads it; '),
    ]);
  });

  test('R17: what the mise configuration of the checkout sets counts, asked once', async () => {
    const launch = newLaunch(driver);
    const kubeconfig = join(launch.root, 'kubeconfig');
    writeFileSync(kubeconfig, '');
    const set = { KUBECONFIG: kubeconfig, RUSTC_WRAPPER: 'sccache', SCCACHE_DIR: '/co/sccache' };
    launch.tools.add('mise', [{ args: ['env', '--json'], script: `echo '${JSON.stringify(set)}'` }]);
    launch.tools.addSilent('sccache');
    writeFileSync(join(launch.root, 'mise.toml'), '');
    expect((await run(launch, driver)).status).toBe(0);
    expect(launch.tools.lines().filter((line) => line.startsWith('mise'))).toEqual(['mise env --json']);
    for (const { env } of launch.tools.calls().filter(({ tool }) => tool === 'cargo')) {
      expect(env.SCCACHE_DIR).toBe('/co/sccache');
    }
    const { KUBECONFIG } = launch.served()?.env ?? {};
    expect(KUBECONFIG).toBe(driver === 'kubernetes' ? kubeconfig : undefined);
  });

  test.each([130, 137, 255])('F19: cargo metadata that ends with %i is a problem beside the others', async (status) => {
    const launch = newLaunch(driver);
    launch.tools.add('cargo', [{ args: ['metadata'], script: `exit ${status}` }]);
    launch.port = await listen('127.0.0.1');
    const result = await run(launch, driver, [], { EXTRA_CARGO_FEATURES: 'telemetry' });
    expectRefused(
      result,
      launch,
      new RegExp(`^error: cargo metadata .* failed with status ${status} `, 'm'),
      /^error: 127.0.0.1:[0-9]+ is in use by /m,
    );
    expect(errorsOf(result.stderr)).toHaveLength(2);
  });
});

describe('before a launch', tools.options, () => {
  test('R16: sandboxes of two gateways on one daemon are told apart; a namespace that is given counts', async () => {
    const namespaceOf = async (extra: Record<string, string>) => {
      const launch = newLaunch('docker');
      expect((await run(launch, 'docker', [], extra)).status).toBe(0);
      return launch.toml('docker').openshell.drivers.docker.sandbox_namespace;
    };
    expect(await namespaceOf({})).toBe('docker-dev');
    expect(await namespaceOf({ OPENSHELL_GATEWAY_NAME: 'mine' })).toBe('mine');
    expect(await namespaceOf({ OPENSHELL_GATEWAY_NAME: 'mine', OPENSHELL_SANDBOX_NAMESPACE: 'ns' })).toBe('ns');
  });

  test('F19: with a wrong name the state of the default one is not looked at', async () => {
    const launch = newLaunch('vm');
    mkdirSync(join(launch.tools.directory, 's'));
    symlinkSync('/nowhere', join(launch.tools.directory, 's/openshell-vm-driver-dev-vm-dev'));
    const result = await run(launch, 'vm', [], { OPENSHELL_GATEWAY_NAME: '..' });
    expectRefused(result, launch);
    expect(errorsOf(result.stderr)).toEqual([expect.stringContaining("OPENSHELL_GATEWAY_NAME is '..'")]);
  });

  test('F19: with a wrong profile the engine is asked, and no default one is planned', async () => {
    const launch = new FakeLaunch({ docker: { info: undefined, refusal: 'no daemon' } });
    launch.tools.add('cc', []);
    const result = await run(launch, 'docker', [], { OPENSHELL_SUPERVISOR_PROFILE: 'debug' });
    expectRefused(result, launch);
    expect(errorsOf(result.stderr)).toEqual([
      expect.stringContaining("OPENSHELL_SUPERVISOR_PROFILE is 'debug'"),
      expect.stringContaining('no daemon'),
    ]);
  });
});

describe('P3: what a publish sets reaches no cargo run of a launch', tools.options, () => {
  const PUBLISH = { IMAGE_TAG: 't', OPENSHELL_IMAGE_TAG: 't', OPENSHELL_GIT_VERSION: '9.9.9' };
  const RELEASE = { OPENSHELL_SUPERVISOR_PROFILE: 'release' };

  test.each([
    ['docker, dev', () => newLaunch('docker'), 'docker', {}, 2],
    ['docker, release', () => newLaunch('docker'), 'docker', RELEASE, 3],
    ['docker, for another machine', () => new FakeLaunch(ARM), 'docker', {}, 3],
    ['podman, release', () => newLaunch('podman'), 'podman', RELEASE, 3],
    ['vm with its bundle', () => newLaunch('vm'), 'vm', {}, 3],
    ['vm with a version', () => newLaunch('vm'), 'vm', { OPENSHELL_CARGO_VERSION: '1.2.3' }, 3],
    ['kubernetes', () => newLaunch('kubernetes'), 'kubernetes', {}, 2],
  ] as const)('%s', async (_, make, driver, extra, count) => {
    const launch = make();
    const env = { ...PUBLISH, ...extra, EXTRA_CARGO_FEATURES: 'telemetry' };
    const dry = await run(launch, driver, ['--dry-run'], env);
    expect(dry.stdout).toMatch(/^unset IMAGE_TAG OPENSHELL_IMAGE_TAG OPENSHELL_GIT_VERSION$/m);
    expect((await run(launch, driver, [], env)).status).toBe(0);
    const calls = launch.tools.calls().filter(({ tool }) => tool === 'cargo');
    // The dry run has asked for the workspace, too.
    expect(calls).toHaveLength(count + 1);
    for (const call of calls) for (const name of Object.keys(PUBLISH)) expect(call.env).not.toHaveProperty(name);
  });

  test('staging keeps it', async () => {
    const launch = newLaunch('docker');
    expect((await launch.stage(['supervisor'], PUBLISH)).status).toBe(0);
    const [cargo] = launch.tools.calls().filter(({ tool }) => tool === 'cargo');
    expect(cargo?.env).toMatchObject(PUBLISH);
  });
});
