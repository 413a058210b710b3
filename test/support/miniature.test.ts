// SPDX-License-Identifier: Apache-2.0

/**
 * Proves that the miniature is what the other tests take it for: that a copy is whole, that it builds offline, and that
 * its gateway starts with what the launchers write and refuses what the real one refuses. The links that need zig are
 * not made here.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { stringify, type TomlTable } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveApi } from './fake-api.ts';
import { freePort } from './free-port.ts';
import { type Miniature, makeMiniature } from './miniature.ts';
import { requireTools } from './real-tools.ts';

const MINUTES = 60_000;
const WIDTH = 3;

// The blank, the quote and the letter outside ASCII have to survive TOML and every command line.
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'mini \'"é-')));
// A socket's path may be 104 bytes long on some systems.
const vmState = mkdtempSync(join(tmpdir(), 'mini-vm-'));
afterAll(() => {
  for (const directory of [scratch, vmState]) rmSync(directory, { recursive: true, force: true });
});

describe('makeMiniature', () => {
  test('copies the workspace and nothing else', () => {
    const copy = makeMiniature({ at: join(scratch, 'narrow') });
    expect(readdirSync(copy.root).sort()).toEqual(
      [
        ...['.dockerignore', '.gitignore', 'Cargo.lock', 'Cargo.toml', 'README.md'],
        ...['crates', 'deploy', 'e2e', 'install.sh'],
      ].sort(),
    );
    expect(copy.wideCrates).toEqual([]);
    for (const path of [copy.manifest, copy.lockfile, copy.supervisorMain]) expect(existsSync(path)).toBe(true);
  });

  test('makes the crates that it says it made', () => {
    const copy = makeMiniature({ at: join(scratch, 'wide'), width: 11 });
    expect(copy.wideCrates).toHaveLength(11);
    expect(readdirSync(join(copy.root, 'vendor')).sort()).toEqual([...copy.wideCrates]);
    expect(readFileSync(copy.lockfile, 'utf8').match(/^name = ".*"$/gm)).toHaveLength(4 + 11);
  });

  test('refuses a directory with something in it, and a width that is none', () => {
    const at = join(scratch, 'taken');
    mkdirSync(join(at, 'something'), { recursive: true });
    expect(() => makeMiniature({ at })).toThrow('is not empty');
    for (const width of [-1, 1.5, 10_000, Number.NaN]) {
      expect(() => makeMiniature({ at: join(scratch, 'none'), width })).toThrow('whole number from 0 to 9999');
    }
  });
});

/** The environment of a build and of a run: nothing that the user who runs the tests has set for either. */
const environment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(OPENSHELL_|CARGO_(?!HOME)|RUSTC|RUSTFLAGS|XDG_|GIT_|IMAGE_TAG|TARGET_|CC|AR)/.test(name),
  ),
);

const tools = requireTools('cargo', 'cc', 'git');

describe('the miniature, built', tools.options, () => {
  let copy: Miniature;
  const bin = (name: string) => join(copy.root, 'target/debug', name);

  function cargo(args: string[], extra: NodeJS.ProcessEnv = {}) {
    const result = spawnSync('cargo', [...args, '--offline'], {
      cwd: copy.root,
      env: { ...environment, ...extra },
      encoding: 'utf8',
      maxBuffer: 1e8,
    });
    return { status: result.status, output: result.stdout + result.stderr };
  }

  function build(args: string[], extra: NodeJS.ProcessEnv = {}): void {
    const { status, output } = cargo(['build', ...args], extra);
    expect(status, output).toBe(0);
    expect(output).not.toMatch(/^warning: (?!openshell-driver-vm@)/m);
  }

  beforeAll(() => {
    copy = makeMiniature({ at: join(scratch, 'built'), width: WIDTH });
    for (const args of [
      ['init', '-q'],
      ['add', '-A'],
      ['commit', '-qm', 'x'],
      ['tag', 'v0.4.2'],
      ['tag', 'vm-dev'],
    ]) {
      const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
      execFileSync('git', [...identity, ...args], { cwd: copy.root, env: environment });
    }
    build(['--locked']);
  }, 5 * MINUTES);

  test('the generated crates are third-party crates', () => {
    const { packages } = JSON.parse(
      execFileSync('cargo', ['metadata', '--offline', '--locked', '--format-version', '1'], {
        cwd: copy.root,
        env: environment,
        encoding: 'utf8',
      }),
    ) as { packages: { name: string; source: string | null }[] };
    const outside = packages.filter((each) => each.source?.startsWith('registry+')).map((each) => each.name);
    expect(outside.sort()).toEqual([...copy.wideCrates]);
  });

  test('the supervisor calls every generated crate and has the version of the tag', () => {
    expect(execFileSync(bin('openshell-sandbox'), { env: environment, encoding: 'utf8' })).toBe(
      'openshell-sandbox 0.4.2: mode network,process, bundled CA roots\nlinked crates: 3, their sum: 6\n',
    );
    expect(spawnSync(bin('openshell-sandbox'), ['--upstream-proxi', 'x'], { env: environment }).status).toBe(2);
  });

  test('the unit tests of the miniature pass', { timeout: 3 * MINUTES }, () => {
    const { status, output } = cargo(['test', '--lib']);
    expect(status, output).toBe(0);
    expect(output.match(/^test result: ok\. [1-9]/gm)).toHaveLength(4);
  });

  describe('the gateway', () => {
    const started: ChildProcess[] = [];
    afterAll(() => {
      for (const child of started) child.kill('SIGKILL');
    });

    /** A state directory with certificates, and the config that a launcher writes into it. */
    function prepare(name: string, driver: string, table: TomlTable, gateway: TomlTable = {}) {
      const state = join(scratch, name);
      const tls = join(state, 'tls');
      const env = { ...environment, XDG_CONFIG_HOME: join(state, 'config'), XDG_STATE_HOME: join(state, 'xdg') };
      const sans = ['127.0.0.1', 'localhost', 'host.openshell.internal'].flatMap((san) => ['--server-san', san]);
      execFileSync(bin('openshell-gateway'), ['generate-certs', '--output-dir', tls, ...sans], { env });
      const config = join(state, 'gateway.toml');
      const document = {
        openshell: {
          version: 1,
          gateway: {
            compute_drivers: [driver],
            disable_tls: true,
            auth: { allow_unauthenticated_users: true },
            gateway_jwt: {
              signing_key_path: join(tls, 'jwt/signing.pem'),
              public_key_path: join(tls, 'jwt/public.pem'),
              kid_path: join(tls, 'jwt/kid'),
              gateway_id: `${driver}-dev`,
              ttl_secs: 3600,
            },
            ...gateway,
          },
          drivers: { [driver]: table },
        },
      };
      writeFileSync(config, stringify(document));
      return { state, env, config };
    }

    /** Starts the gateway as a launcher does; `log` is what it has said so far. */
    function start(prepared: ReturnType<typeof prepare>, driver: string, port: number, extra: NodeJS.ProcessEnv = {}) {
      const database = `sqlite:${prepared.state}/gateway.db?mode=rwc`;
      const flags = ['--config', prepared.config, '--bind-address', '127.0.0.1', '--port', `${port}`, '--log-level'];
      const rest = ['debug', '--drivers', driver, '--disable-tls', '--db-url', database];
      const child = spawn(bin('openshell-gateway'), [...flags, ...rest], { env: { ...prepared.env, ...extra } });
      started.push(child);
      const run = { child, log: '', ended: once(child, 'close') };
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (run.log += chunk));
      return run;
    }

    /** The status for a path, as soon as the port answers; fails when the gateway ends before. */
    async function statusOf(run: ReturnType<typeof start>, port: number, path: string): Promise<number> {
      for (;;) {
        if (run.child.exitCode !== null) throw new Error(`the gateway ended with ${run.child.exitCode}: ${run.log}`);
        const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
        if (response) return response.status;
        await delay(20);
      }
    }

    const image = 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest';

    test.each<[string, () => TomlTable, TomlTable]>([
      [
        'docker',
        () => ({
          socket_path: serveApi(join(scratch, 'd.sock'), 'docker'),
          default_image: image,
          image_pull_policy: 'IfNotPresent',
          sandbox_namespace: 'docker-dev',
          grpc_endpoint: 'http://host.openshell.internal:18080',
          // A shell script would be refused.
          ...(process.platform === 'linux' && { supervisor_bin: bin('openshell-sandbox') }),
        }),
        {},
      ],
      [
        'podman',
        () => ({
          socket_path: serveApi(join(scratch, 'p.sock'), 'podman'),
          supervisor_image: 'openshell/supervisor:dev',
          image_pull_policy: 'missing',
          https_proxy: 'http://proxy.corp.com:3128',
          proxy_auth_file: '/etc/proxy "auth"\n',
          proxy_auth_allow_insecure: true,
        }),
        { default_image: image },
      ],
      [
        'kubernetes',
        () => ({ namespace: 'kubernetes-dev', image_pull_policy: 'IfNotPresent' }),
        { default_image: image },
      ],
    ])('starts for %s, answers, and ends on SIGTERM', async (driver, table, gateway) => {
      const [port, health] = [await freePort(), await freePort()];
      const prepared = prepare(driver, driver, table(), gateway);
      const run = start(prepared, driver, port, { OPENSHELL_HEALTH_PORT: `${health}` });
      expect(await statusOf(run, health, '/healthz')).toBe(200);
      expect(await statusOf(run, health, '/readyz')).toBe(200);
      expect(await statusOf(run, port, '/healthz')).toBe(404);
      expect(await statusOf(run, port, '/openshell.v1.OpenShell/Health')).toBe(200);
      run.child.kill('SIGTERM');
      expect(await run.ended, run.log).toEqual([0, null]);
      expect(existsSync(join(prepared.state, 'gateway.db'))).toBe(true);
    });

    test('refuses what is wrong before it listens', async () => {
      const prepared = prepare('refusals', 'docker', {});
      const good = ['--config', prepared.config, '--drivers', 'docker', '--disable-tls', '--db-url', 'sqlite::memory:'];
      const attempt = (args: string[], extra: NodeJS.ProcessEnv = {}) => {
        const result = spawnSync(bin('openshell-gateway'), args, {
          env: { ...prepared.env, OPENSHELL_SERVER_PORT: '1', ...extra },
          encoding: 'utf8',
          timeout: 10_000,
        });
        return `${result.status}: ${result.stderr.trim().split('\n')[0]}`;
      };
      expect(attempt([...good, '--grpc-endpoint', 'x'])).toContain("2: error: unexpected argument '--grpc-endpoint'");
      expect(attempt([...good, '--bind-address', 'localhost'])).toContain("2: error: invalid value 'localhost'");
      expect(attempt(['generate-certs', '--output-dir', scratch], { OPENSHELL_DISABLE_TLS: '1' })).toContain(
        '2: error',
      );
      expect(attempt([...good, '--drivers', 'vm'])).toContain('1: Error: multiple compute drivers');
      expect(attempt(good, { OPENSHELL_TLS_CLIENT_CA: '/ca' })).toContain('mutually exclusive');
      expect(attempt([...good.slice(0, -1), `sqlite:${scratch}/missing/gateway.db`])).toContain('unable to open');
      rmSync(join(prepared.state, 'tls/jwt/kid'));
      expect(attempt(good)).toContain('1: Error: failed to read sandbox JWT kid');
    });

    test.each([
      ['docker', {}, 'failed to query Docker daemon version: '],
      ['podman', {}, 'failed to connect to Podman at '],
      // The variable wins, even where it is empty.
      ['podman', { OPENSHELL_PODMAN_SOCKET: '' }, 'failed to connect to Podman at : '],
    ])('R1, R3: %s %j: ends where its engine does not respond', async (driver, extra, said) => {
      const socket_path = join(scratch, 'nobody.sock');
      if ('OPENSHELL_PODMAN_SOCKET' in extra) serveApi(socket_path, 'podman');
      const run = start(prepare(`nobody-${driver}`, driver, { socket_path }), driver, await freePort(), extra);
      expect(await run.ended).toEqual([1, null]);
      expect(run.log).toContain(said);
    });

    test('leaves a port alone that is taken', async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      const socket_path = serveApi(join(scratch, 'd.sock'), 'docker');
      const run = start(prepare('taken-port', 'docker', { socket_path }), 'docker', port);
      expect(await run.ended).toEqual([1, null]);
      expect(run.log).toContain(`failed to bind to 127.0.0.1:${port}`);
      server.close();
    });

    describe.skipIf(!['linux', 'darwin'].includes(process.platform))('with the VM driver', () => {
      const table = () => ({
        default_image: image,
        bootstrap_image: '',
        grpc_endpoint: 'http://host.containers.internal:18081',
        driver_dir: join(copy.root, 'target/debug'),
        state_dir: vmState,
      });
      const socket = join(vmState, 'run/compute-driver.sock');

      test('does not start with the stubs of a build without the runtime', async () => {
        const run = start(prepare('vm-stubs', 'vm', table()), 'vm', await freePort());
        expect(await run.ended).toEqual([1, null]);
        expect(run.log).toContain('is an empty stub');
        expect(run.log).toContain('vm compute driver exited before becoming ready');
      });

      test('starts with the runtime embedded, and takes its driver down', { timeout: 2 * MINUTES }, async () => {
        const artifacts = join(scratch, 'vm-runtime-compressed');
        mkdirSync(artifacts);
        const libraries =
          process.platform === 'linux' ? ['libkrun.so', 'libkrunfw.so.5'] : ['libkrun.dylib', 'libkrunfw.5.dylib'];
        for (const name of [...libraries, 'gvproxy', 'openshell-sandbox', 'umoci']) {
          writeFileSync(join(artifacts, `${name}.zst`), zstdCompressSync(Buffer.from(name)));
        }
        build(['-p', 'openshell-driver-vm'], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: artifacts });

        const port = await freePort();
        const polite = start(prepare('vm', 'vm', table()), 'vm', port);
        expect(await statusOf(polite, port, '/')).toBe(404);
        polite.child.kill('SIGINT');
        expect(await polite.ended).toEqual([0, null]);
        expect(existsSync(socket)).toBe(false);

        const killed = start(prepare('vm-killed', 'vm', table()), 'vm', port, { OPENSHELL_VM_GPU: 'true' });
        expect(await statusOf(killed, port, '/')).toBe(404);
        expect(killed.log).toContain('GPU enabled mem_mib=8192 vcpus=4');
        killed.child.kill('SIGKILL');
        // The output is closed when the last process that holds it has ended: the driver.
        expect(await killed.ended).toEqual([null, 'SIGKILL']);
        expect(existsSync(socket)).toBe(false);
      });
    });

    test('is built without telemetry, with C, and with another image tag', { timeout: 2 * MINUTES }, async () => {
      const telemetry = ['events.telemetry.data.nvidia.com', '415437562476676'];
      const markers = () => telemetry.filter((text) => readFileSync(bin('openshell-gateway')).includes(text));
      expect(markers()).toEqual(telemetry);

      const features = ['--no-default-features', '--features', 'in-tree-compute-drivers,bundled-z3'];
      const gateway = ['-p', 'openshell-server', ...features];
      const broken = cargo(['build', ...gateway], { CC: join(scratch, 'no-such-compiler') });
      expect(broken.output).toContain('failed to find tool');
      expect(broken.status).not.toBe(0);

      build(gateway, { IMAGE_TAG: '1.2.3+nightly' });
      expect(markers()).toEqual([]);
      const port = await freePort();
      const socket_path = serveApi(join(scratch, 'd.sock'), 'docker');
      const run = start(prepare('built-otherwise', 'docker', { socket_path }), 'docker', port);
      await statusOf(run, port, '/');
      expect(run.log).toContain('policy prover: z3 4.15');
      expect(run.log).toContain('supervisor=ghcr.io/nvidia/openshell/supervisor:1.2.3-nightly');
      run.child.kill('SIGTERM');
      await run.ended;
    });
  });
});
