// SPDX-License-Identifier: Apache-2.0

/** Whole launches, the same for every driver: fake tools, and a small real program in the place of the gateway. */

import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { takeLock } from '../../lib/fs/lock.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { DRIVERS, expectRefused, launcherOf, newLaunch, run, startLauncher } from '../support/launchers.ts';
import { listen } from '../support/listener.ts';
import { both, requireTools } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { until } from '../support/until.ts';

const tools = requireTools('cc');

describe.each(DRIVERS)('launching with fake tools: %s', tools.options, (driver) => {
  test('L10: the gateway runs as the task itself, with everything that it is given; its files are whole and private', async () => {
    const launch = newLaunch(driver);
    let child: ChildProcess | undefined;
    const result = await run(
      launch,
      driver,
      [],
      { FAKE_GATEWAY: 'exit 7' },
      { onStart: (started) => (child = started) },
    );
    expect(result.status).toBe(7);
    const state = launch.state(driver);
    const served = launch.served();
    expect(served?.pid).toBe(child?.pid);
    expect(served?.args).toEqual([
      ...['--config', join(state, 'gateway.toml')],
      ...['--bind-address', '127.0.0.1', '--port', String(launch.port)],
      ...['--log-level', 'info', '--drivers', driver, '--disable-tls'],
      ...['--db-url', `sqlite:${state}/gateway.db?mode=rwc`],
    ]);
    expect(launch.gatewayCalls()[0]?.args).toEqual([
      ...['generate-certs', '--output-dir', join(state, 'tls')],
      ...['--server-san', '127.0.0.1', '--server-san', 'localhost', '--server-san', 'host.openshell.internal'],
    ]);
    expect(launch.toml(driver).openshell.gateway.compute_drivers).toEqual([driver]);
    expect(launch.entry(`${driver}-dev`)).toMatchObject({
      name: `${driver}-dev`,
      gateway_endpoint: `http://127.0.0.1:${launch.port}`,
      is_remote: false,
      gateway_port: launch.port,
      auth_mode: 'plaintext',
    });
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect(mode(join(state, 'gateway.toml'))).toBe(0o600);
    expect(readdirSync(state).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(mode(state)).toBe(0o700);
    expect(mode(join(launch.config, `openshell/gateways/${driver}-dev`))).toBe(0o700);
  });

  test('C29, H19, H24, C27, L6, L7: all that is wrong is listed at once, before anything is built', async () => {
    const launch = newLaunch(driver);
    const result = await run(launch, driver, [], {
      OPENSHELL_GATEWAY_NAME: '..',
      OPENSHELL_SERVER_PORT: 'abc',
      OPENSHELL_BIND_ADDRESS: 'localhost',
      OPENSHELL_DISABLE_TLS: 'false',
      OPENSHELL_GRPC_ENDPOINT: 'nowhere',
      ...(driver === 'vm' ? { OPENSHELL_VM_GPU: 'perhaps' } : { OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: 'bogus' }),
    });
    expectRefused(
      result,
      launch,
      /^error: OPENSHELL_GATEWAY_NAME is '\.\.'/m,
      /^error: OPENSHELL_SERVER_PORT is 'abc'; allowed is a whole number of at least 1 and at most 65535/m,
      /^error: OPENSHELL_BIND_ADDRESS is 'localhost'/m,
      /^error: OPENSHELL_DISABLE_TLS is 'false'/m,
      /^error: OPENSHELL_GRPC_ENDPOINT is 'nowhere'/m,
      driver === 'vm'
        ? /^error: OPENSHELL_VM_GPU is 'perhaps'/m
        : /^error: OPENSHELL_SANDBOX_IMAGE_PULL_POLICY is 'bogus'/m,
    );
    // A user who may not use /dev/kvm is warned of it.
    const others = result.stderr.split('\n').filter((line) => !/^error: |^warning: no sandbox will start: /.test(line));
    expect(others).toEqual(driver === 'kubernetes' ? ['driver kubernetes (--driver)', ''] : ['']);
  });

  test('F19: port, registry and lock are tried with the values that were given, not with others in their place', async () => {
    const launch = newLaunch(driver);
    launch.port = await listen('127.0.0.1');
    mkdirSync(launch.state(driver), { recursive: true, mode: 0o700 });
    const lock = await takeLock({ path: join(launch.state(driver), '.launch.lock'), remedy: '' }, 'another launch');
    onTestFinished(() => {
      if ('release' in lock) lock.release();
    });
    const file = join(launch.tools.directory, 'file');
    writeFileSync(file, '');
    const taken = { XDG_CONFIG_HOME: file };
    const lines = async (extra: Record<string, string>) => {
      const result = await run(launch, driver, [], { ...taken, ...extra });
      expectRefused(result, launch);
      return result.stderr.match(/^error: .*$/gm) ?? [];
    };
    expect(await lines({})).toEqual([
      expect.stringMatching(
        new RegExp(`^error: ${launch.state(driver)} is in use by pid ${process.pid} \\(another launch`),
      ),
      expect.stringMatching(new RegExp(`^error: 127.0.0.1:${launch.port} is in use by `)),
      expect.stringMatching(
        /^error: .*file\/openshell\/gateways.* cannot be written because of .*file: it is not a dir/,
      ),
    ]);
    expect(await lines({ OPENSHELL_GATEWAY_NAME: '..' })).toEqual([
      expect.stringMatching(/^error: OPENSHELL_GATEWAY_NAME is '\.\.'/),
      expect.stringMatching(/^error: .* is in use by pid /),
      expect.stringMatching(/^error: 127.0.0.1:[0-9]+ is in use by /),
    ]);
    expect(await lines({ OPENSHELL_SERVER_PORT: 'abc' })).toEqual([
      expect.stringMatching(/^error: OPENSHELL_SERVER_PORT is 'abc'/),
      expect.stringMatching(/^error: .* is in use by pid /),
      expect.stringMatching(/^error: .*file\/openshell\/gateways.* cannot be written because of /),
    ]);
  });

  test('H22: a gateway that fails leaves the active one as it is', async () => {
    const launch = newLaunch(driver);
    launch.setActive('prod');
    const after = join(launch.tools.directory, 'after');
    const extra = { FAKE_GATEWAY: 'exit 7', FAKE_GATEWAY_AFTER: after, ...launch.lookEnv() };
    const running = await startLauncher(launch, driver, ['--activate'], extra);
    // The gateway fails only when the watcher has looked, and whatever the watcher does is done when it has ended.
    await until(() => launch.served() !== undefined && launch.looks() > 1);
    writeFileSync(after, '');
    expect((await running.ended).status).toBe(7);
    await until(() => launch.watchers().length === 0);
    expect(launch.active()).toBe('prod');
  });

  test('a gateway that responds becomes active, and none before it does; docker only where it is wanted', async () => {
    const launch = newLaunch(driver);
    launch.setActive('prod');
    const after = join(launch.tools.directory, 'after');
    const running = await startLauncher(launch, driver, [], { FAKE_GATEWAY_AFTER: after, ...launch.lookEnv() });
    await until(() => launch.served() !== undefined && launch.looks() > 1);
    const before = [launch.active(), running.stderr().includes(' is up at ')];
    writeFileSync(after, '');
    await running.said(' is up at ');
    const active = launch.active();
    running.kill('SIGINT');
    expect((await running.ended).status).toBe(0);
    expect(before).toEqual(['prod', false]);
    expect(active).toBe(driver === 'docker' ? 'prod' : `${driver}-dev`);
    expect(running.stderr()).toMatch(
      new RegExp(`^${driver}-dev is up at http://127.0.0.1:${launch.port} after \\d`, 'm'),
    );
  });

  test('H21: a second one in the same place says who is there, and leaves everything alone', async () => {
    const launch = newLaunch(driver);
    const running = await startLauncher(launch, driver);
    await running.said(' is up at ');
    const before = readFileSync(join(launch.state(driver), 'gateway.toml'), 'utf8');
    const builds = launch.builds().length;
    const second = await run(launch, driver, [], { OPENSHELL_SANDBOX_IMAGE: 'other' });
    running.kill('SIGINT');
    await running.ended;
    expect(second.status).toBe(2);
    expect(second.stderr).toMatch(
      new RegExp(`^error: \\S+ is in use by pid ${running.pid} \\(gateway ${driver}-dev with ${driver}, since `, 'm'),
    );
    expect(second.stderr).toMatch(
      new RegExp(
        `^error: 127.0.0.1:${launch.port} is in use by (fake-gateway\\S*|openshell-gateway) \\(pid ${running.pid}\\)`,
        'm',
      ),
    );
    expect(readFileSync(join(launch.state(driver), 'gateway.toml'), 'utf8')).toBe(before);
    expect(launch.builds()).toHaveLength(builds);
  });

  const unshare = requireTools('cc', 'unshare');
  test(
    'F6: so does one in another pid namespace, whichever of them is in it',
    both(tools.options, unshare.options),
    async () => {
      const launch = newLaunch(driver);
      const namespace = [unshare.path('unshare'), '--pid', '--fork', '--mount-proc', '--kill-child'];
      const running = await startLauncher(launch, driver, [], {}, namespace);
      await running.said(' is up at ');
      const held = /^error: \S+ is in use by pid \d+ of another container \(gateway \S+ with /m;
      const builds = launch.builds().length;
      for (const through of [[], namespace]) {
        const second = await run(launch, driver, [], {}, { through });
        expect(second).toMatchObject({ status: 2, stdout: '' });
        expect(second.stderr).toMatch(held);
      }
      expect(launch.builds()).toHaveLength(builds);
      running.kill('SIGKILL');
      await running.ended;
      expect((await run(launch, driver, [], { FAKE_GATEWAY: 'exit 7' })).status).toBe(7);
    },
  );

  test('AH-4: a state directory that is removed during the build, with its lock, ends the launch', async () => {
    const launch = newLaunch(driver);
    launch.setCargo({ before: `/bin/rm -rf ${launch.root}/.cache` });
    const result = await run(launch, driver);
    expect(result.stderr).toMatch(/^error: \S+\/\.launch\.lock was removed while it kept other runs away/m);
    expect(result.status).toBe(1);
    expect(existsSync(launch.state(driver))).toBe(false);
    expect(launch.gatewayCalls()).toEqual([]);
    launch.setCargo({});
    expect((await run(launch, driver)).status).toBe(0);
  });

  test('settings that a gateway would stumble over do not reach it', async () => {
    const launch = newLaunch(driver);
    await run(launch, driver, [], {
      OPENSHELL_DISABLE_TLS: 'yes',
      OPENSHELL_TLS_CLIENT_CA: '/nowhere',
      OPENSHELL_DB_URL: 'postgres://x',
      OPENSHELL_HEALTH_PORT: '1234',
    });
    expect(launch.gatewayCalls()).toHaveLength(2);
    for (const { env } of launch.gatewayCalls()) {
      expect(Object.keys(env)).not.toContain('OPENSHELL_DISABLE_TLS');
      expect(Object.keys(env)).not.toContain('OPENSHELL_TLS_CLIENT_CA');
      expect(Object.keys(env)).not.toContain('OPENSHELL_DB_URL');
      expect(Object.keys(env)).not.toContain('OPENSHELL_SERVER_PORT');
      expect(env.OPENSHELL_HEALTH_PORT).toBe('1234');
    }
  });

  test('the gateway has the open-file limit of the shell that started the task, not the one of Node', async () => {
    const launch = newLaunch(driver);
    const { task, args } = launcherOf(driver);
    // The last command keeps the shell: without it bash would be replaced by the task.
    const shell = ['-c', 'ulimit -Sn 777; "$@"; exit $?', 'bash', process.execPath];
    const env = await launch.launchEnv({ OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') });
    await runProcess('/bin/bash', [...shell, join(SUITE_ROOT, 'tasks', `${task}.ts`), ...args], {
      cwd: launch.root,
      env,
    });
    expect(launch.served()?.softLimit).toBe(777);
  });

  test('H28, L11: from another directory; state directory and name by the variables of all launchers, relative to the start', async () => {
    const launch = newLaunch(driver);
    const cwd = join(launch.root, 'crates');
    const extra = { OPENSHELL_GATEWAY_STATE_DIR: 'my state', OPENSHELL_GATEWAY_NAME: 'mine' };
    expect((await run(launch, driver, [], extra, { cwd })).status).toBe(0);
    expect(launch.served()?.args[1]).toBe(join(cwd, 'my state/gateway.toml'));
    expect(launch.entry('mine')).toMatchObject({ name: 'mine' });
  });

  test('C28: a state directory that is a link is refused, and its target left alone', async () => {
    const launch = newLaunch(driver);
    const victim = join(launch.tools.directory, 'victim');
    mkdirSync(victim, { mode: 0o755 });
    chmodSync(victim, 0o755);
    mkdirSync(dirname(launch.state(driver)), { recursive: true });
    symlinkSync(victim, launch.state(driver));
    expectRefused(await run(launch, driver), launch, /which is a link/);
    expect(statSync(victim).mode & 0o777).toBe(0o755);
    expect(readdirSync(victim)).toEqual([]);
  });

  test('L4: unknown arguments are errors, help is help, a dry run starts nothing', async () => {
    const launch = newLaunch(driver);
    expectRefused(await run(launch, driver, ['--bogus']), launch, /unknown option '--bogus'/);
    expectRefused(await run(launch, driver, ['--activate', '--no-activate']), launch, /contradict each other/);
    const help = await run(launch, driver, ['--help']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('--no-activate');
    const dry = await run(launch, driver, ['--dry-run']);
    expect(dry.status).toBe(0);
    const active = driver === 'docker' ? '' : '# makes it the active gateway once it responds\\n';
    expect(dry.stdout).toMatch(
      new RegExp(
        '^# step build$[\\s\\S]*^# step credentials$[\\s\\S]*^# step config$[\\s\\S]*^# step exec\\n' +
          `# writes \\S*/gateways/${driver}-dev/metadata.json \\(0600\\)\\n${active}# the gateway replaces the task\\n` +
          `env -u OPENSHELL_SERVER_PORT '<openshell-gateway>' --config .* --drivers ${driver} --disable-tls .*\\n$`,
        'm',
      ),
    );
    expect(launch.builds()).toEqual([]);
    expect(existsSync(launch.state(driver))).toBe(false);
  });

  test('L19: the tools may come from mise alone: asked once, its environment is merged, and a dry run says how', async () => {
    const launch = newLaunch(driver);
    launch.moveToMise();
    const dry = await run(launch, driver, ['--dry-run']);
    expect(dry.stdout).toMatch(
      new RegExp(`^cd ${launch.root}\\neval "\\$\\(mise --cd ${launch.root} env --shell bash\\)"\\n# step `),
    );
    // Not again in the steps that stage.
    expect(dry.stdout.match(/^eval /gm)).toHaveLength(1);
    expect((await run(launch, driver)).status).toBe(0);
    expect(launch.tools.lines().filter((line) => line.startsWith('mise'))).toEqual(Array(2).fill('mise env --json'));
    // What comes with the tool chain is for cargo, not for the gateway.
    const [cargo] = launch.tools.calls().filter(({ tool }) => tool === 'cargo');
    expect(cargo?.env.PATH).toBe(`${join(launch.tools.directory, 'mise')}:${launch.tools.bin}`);
    expect(launch.served()?.env.PATH).toBe(launch.tools.bin);
  });

  test('C25: hostile values are values', async () => {
    const launch = newLaunch(driver);
    const hostile = 'x"\nallow_privileged = "yes\u001b\\';
    expect((await run(launch, driver, [], { OPENSHELL_SANDBOX_IMAGE: hostile })).status).toBe(0);
    const { gateway, drivers } = launch.toml(driver).openshell;
    expect(gateway.default_image ?? drivers[driver].default_image).toBe(hostile);
    expect(JSON.stringify(launch.toml(driver))).not.toContain('"allow_privileged"');
  });

  test('a checkout with blanks and quotes in its path', async () => {
    const launch = newLaunch(driver, `a 'b" $c;#%`);
    expect((await run(launch, driver)).status).toBe(0);
    expect(launch.served()?.args[1]).toBe(join(launch.state(driver), 'gateway.toml'));
  });

  test("a failed build gives cargo's own status; failed certificates theirs; nothing is registered", async () => {
    const launch = newLaunch(driver);
    const certificates = await run(launch, driver, [], { FAKE_CERTS: 'no entropy' });
    expect(certificates.status).toBe(3);
    expect(certificates.stderr).toMatch(/^error: .*generate-certs .* failed with status 3 .*no entropy$/m);
    launch.setCargo({ before: 'exit 101' });
    expect((await run(launch, driver)).status).toBe(101);
    expect(existsSync(join(launch.config, 'openshell'))).toBe(false);
  });
});

describe('launching with fake tools', tools.options, () => {
  test('H20: a port that is taken is found before anything is built', async () => {
    const launch = newLaunch('docker');
    launch.port = await listen('::');
    expectRefused(await run(launch, 'docker'), launch, new RegExp(`in use by \\S+ \\(pid ${process.pid}\\)`));
  });

  test('no cargo, no engine, a taken port: one line for each', async () => {
    const launch = new FakeLaunch({ docker: { info: undefined, refusal: 'no daemon' } });
    launch.port = await listen('127.0.0.1');
    rmSync(join(launch.tools.bin, 'cargo'));
    const result = await run(launch, 'docker');
    expectRefused(result, launch, /^error: cargo is not on PATH/m, /^error: .*no daemon/m, /^error: .* is in use by/m);
    expect(result.stderr.trim().split('\n')).toHaveLength(3);
  });

  test('H4: a signal during the build ends cargo and the task, and the next launch works', async () => {
    const launch = newLaunch('docker');
    const file = join(launch.tools.directory, 'pid');
    launch.setCargo({ before: `echo $$ > ${file}; /bin/sleep 30` });
    const onStart = (child: ChildProcess) => void until(() => existsSync(file)).then(() => child.kill('SIGTERM'));
    expect((await run(launch, 'docker', [], {}, { onStart })).status).toBe(143);
    const pid = Number(readFileSync(file, 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    launch.setCargo({});
    expect((await run(launch, 'docker')).status).toBe(0);
  });
});

test(
  'a signal while the engine is probed ends the launch, with nothing left of the probes',
  tools.options,
  async () => {
    const launch = newLaunch('docker');
    const slow = (args: string[]) => ({ args, script: "trap '' INT; /bin/sleep 3; exit 1" });
    launch.tools.add('docker', [slow(['context']), slow(['info'])]);
    const running = await startLauncher(launch, 'docker');
    await until(() => launch.tools.lines().filter((line) => line.startsWith('docker ')).length > 1);
    running.kill('SIGINT');
    const { status, stderr } = await running.ended;
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'error: stopped by SIGINT\n' });
  },
);
