// SPDX-License-Identifier: Apache-2.0

/**
 * Tasks under sudo: nothing in the directories of the user becomes root's, and nothing that is planted there leads root
 * elsewhere. Root is real, and so is the user that commands are started as; tools are fakes.
 */

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeCluster, kubeconfigText } from '../support/fake-cluster.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { bashQuote } from '../support/fake-tools.ts';
import { requireThing, requireTools } from '../support/real-tools.ts';
import { runTaskFile, type TaskResult } from '../support/run-task.ts';

const USER = 1234;
const CACHE = '.cache/buildkit/images';

/** A builder whose builds write their cache, as the engine does: as root, and through links. */
const WRITING_BUILD = `
args=("$@") dest=
for ((i = 0; i < \${#args[@]}; i++)); do [[ \${args[i]} == --cache-to ]] && dest=\${args[i + 1]}; done
dest=\${dest#*dest=}; dest=\${dest%,mode=max}
/bin/mkdir -p "$dest/blobs"
echo x > "$dest/blobs/1"
echo x > "$dest/index.json"`;
const BOX = "printf 'Name:          box\\nDriver:        docker-container\\n'";

/** A checkout of a user who is known to the system's directory alone, and a directory of root beside it. */
class SudoLaunch extends FakeLaunch {
  readonly home = join(this.tools.directory, 'user');
  readonly victim = join(this.tools.directory, 'victim');

  constructor() {
    super({ docker: { builder: BOX, build: WRITING_BUILD }, podman: {} });
    writeFileSync(join(this.root, 'deploy/docker/Dockerfile.gateway'), 'FROM scratch\n');
    this.tools.add('getent', [
      { args: ['passwd', String(USER)], script: `echo ldap:x:${USER}:${USER}::${this.home}:/bin/sh` },
    ]);
    mkdirSync(this.home);
    mkdirSync(this.victim);
    for (const path of [dirname(this.root), this.tools.directory, join(this.tools.directory, 'calls')]) {
      chmodSync(path, 0o777);
    }
    chmodSync(this.victim, 0o755);
  }

  /** Plants a link to the directory of root. */
  plant(path: string, target = this.victim): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    symlinkSync(target, join(this.root, path));
  }

  async sudo(
    task: string,
    args: readonly string[] = [],
    extra: Readonly<Record<string, string>> = {},
    through: readonly string[] = [],
    owner = USER,
  ): Promise<TaskResult> {
    spawnSync('chown', ['-hR', `${owner}:${owner}`, this.root, this.apps, this.home]);
    const env = await this.launchEnv({
      ...{ SUDO_USER: 'ldap', SUDO_UID: String(USER), SUDO_GID: String(USER) },
      ...{ XDG_CONFIG_HOME: '', HOME: '/root', FAKE_GATEWAY_LOG: '', CONTAINER_ENGINE: 'docker', ...extra },
    });
    return runTaskFile(task, args, { cwd: this.root, env, through });
  }

  /** What root owns in the directories of the user. */
  ownedByRoot(): string {
    return spawnSync('find', [this.root, this.home, '-user', 'root'], { encoding: 'utf8' }).stdout;
  }
}

const isRoot = requireThing('root', process.geteuid?.() === 0);

/** A checkout and a home of the user, whose kubeconfig has a local context. */
function sudoCluster() {
  const cluster = new FakeCluster();
  const [home, log] = ['user', 'log'].map((name) => join(cluster.tools.directory, name)) as [string, string];
  const note = `echo "$UID \${KUBECONFIG-}" >> ${bashQuote(log)}; `;
  const script = `${note}/bin/mkdir -p "$HOME/.kube/cache"; `;
  const view = `echo '{"contexts":[{"name":"k3d-x"}],"current-context":"k3d-x"}'`;
  cluster.setFakes({
    kubectl: [
      { args: ['config', 'view', '--raw'], script: `${note}if [[ $* == *json* ]]; then ${view}; else echo; fi` },
      { args: ['config', 'view'], script: note + view },
      { args: [], script },
    ],
    k3d: [{ args: ['cluster', 'delete'], script: `${script}: > "\${KUBECONFIG:-$HOME/.kube/config}"` }],
  });
  mkdirSync(join(home, '.kube'), { recursive: true });
  writeFileSync(join(home, '.kube/config'), kubeconfigText('x', 'https://x'));
  writeFileSync(log, '');
  for (const path of [dirname(cluster.root), cluster.tools.directory, join(cluster.tools.directory, 'calls'), log]) {
    chmodSync(path, 0o777);
  }
  spawnSync('chown', ['-hR', `${USER}:${USER}`, cluster.root, home]);
  const sudo = { SUDO_USER: 'ldap', SUDO_UID: String(USER), SUDO_GID: String(USER), HOME: home };
  cluster.tools.add('getent', [{ args: [], script: `echo ldap:x:${USER}:${USER}::${home}:/bin/sh` }]);
  const run = (task: string, args: readonly string[]) => {
    writeFileSync(log, '');
    return cluster.run(args, { ...sudo, KUBECONFIG: join(home, '.kube/config') }, {}, task);
  };
  const ownedByRoot = () => spawnSync('find', [cluster.root, home, '-user', 'root'], { encoding: 'utf8' }).stdout;
  return { cluster, run, ownedByRoot, callers: () => readFileSync(log, 'utf8').trim().split('\n') };
}

describe('clusters under sudo', isRoot, () => {
  test('K8S-18: kubectl is the user whose kubeconfig it is, and k3d gets no kubeconfig of theirs', async () => {
    const { callers, cluster, ownedByRoot, run } = sudoCluster();
    const setup = await run('keycloak-k8s-setup', []);
    expect(setup, setup.stderr).toMatchObject({ status: 0 });
    expect(callers()).toHaveLength(3);
    expect(callers().every((line) => line.startsWith(`${USER} `))).toBe(true);
    cluster.addCluster('openshell-dev-some-branch');
    const deletion = await run('helm-k3s-local', ['delete']);
    expect(deletion, deletion.stderr).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('Deleted k3d cluster'),
    });
    const own = new RegExp(`^0 ${cluster.temporary}/openshell-k3s-\\w+/default$`);
    expect(callers()).toContainEqual(expect.stringMatching(own));
    expect(readdirSync(cluster.temporary)).toEqual([]);
    expect(ownedByRoot()).toBe('');
  });
});

const compiler = requireTools('cc');

describe('under sudo', compiler.ok ? isRoot : compiler.options, () => {
  test('L12, F18: gateway-docker: all that is created belongs to the user', async () => {
    const launch = new SudoLaunch();
    expect((await launch.sudo('gateway-docker')).stderr).toContain('starting the Docker gateway');
    expect(existsSync(join(launch.home, '.config/openshell/gateways/docker-dev/metadata.json'))).toBe(true);
    expect(launch.ownedByRoot()).toBe('');
  });

  const STAMPED = { OPENSHELL_CARGO_VERSION: '1.2.3' };
  test.each([
    ['stage', ['supervisor'], {}],
    ['stage', ['all'], STAMPED],
    ['vm/build-supervisor-bundle', [], { ...STAMPED, GUEST_ARCH: 'amd64' }],
    ['docker-build-image', ['supervisor'], { DOCKER_BUILDER: 'box' }],
    ['docker-build-image', ['gateway'], { ...STAMPED, DOCKER_BUILD_CACHE_DIR: 'new/cache' }],
  ] as const)('F18: %s %j %j: all that is created belongs to the user', async (task, args, extra) => {
    const launch = new SudoLaunch();
    rmSync(join(launch.apps, 'openshell-gateway'));
    const result = await launch.sudo(task, args, extra);
    expect(result.status).toBe(0);
    expect(launch.ownedByRoot()).toBe('');
    // The engine would write the cache as root, wherever the user's links lead.
    if (task === 'docker-build-image') expect(result.stderr).not.toContain('--cache-to');
  });

  test('F18: vm/vm-setup, with links of the user in its way: what is created is theirs, and root goes nowhere else', async () => {
    const fake = await FakeRuntime.start();
    const victim = join(fake.tools.directory, 'victim');
    const target = join(fake.root, 'target');
    mkdirSync(victim);
    mkdirSync(target);
    writeFileSync(join(victim, 'umoci.zst'), 'of root');
    for (const path of [dirname(fake.root), fake.tools.directory]) chmodSync(path, 0o777);
    for (const ending of ['downloads', 'new', 'old'])
      symlinkSync(victim, join(target, `.vm-runtime-compressed.${ending}`));
    const user = { SUDO_USER: 'ldap', SUDO_UID: String(USER), SUDO_GID: String(USER) };
    fake.tools.add('getent', [{ args: ['passwd'], script: 'exit 2' }]);
    const setUp = () => {
      spawnSync('chown', ['-hR', `${USER}:${USER}`, fake.root]);
      return fake.run('vm-setup', [], user);
    };
    const planted = await setUp();
    expect([planted.status, readdirSync(victim)]).toEqual([expect.any(Number), ['umoci.zst']]);
    for (const ending of ['downloads', 'new', 'old'])
      rmSync(join(target, `.vm-runtime-compressed.${ending}`), { force: true, recursive: true });
    const result = await setUp();
    expect(result.status, result.stderr).toBe(0);
    expect(spawnSync('find', [fake.root, '-user', 'root'], { encoding: 'utf8' }).stdout).toBe('');
    expect(readFileSync(join(victim, 'umoci.zst'), 'utf8')).toBe('of root');
  });

  test('P2: where nothing tells the home, the gateway is not built; with XDG_CONFIG_HOME none is needed', async () => {
    const launch = new SudoLaunch();
    launch.tools.add('getent', [{ args: ['passwd'], script: 'exit 2' }]);
    const refused = await launch.sudo('gateway-docker');
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toMatch(
      /^error: the home of 'ldap', who called sudo, is not known \(getent passwd 1234: .*\); start it with sudo XDG_CONFIG_HOME=…, /,
    );
    expect(launch.builds()).toEqual([]);
    const config = join(launch.home, 'config');
    expect((await launch.sudo('gateway-docker', [], { XDG_CONFIG_HOME: config })).stderr).toContain(
      'starting the Docker',
    );
    expect(existsSync(join(config, 'openshell/gateways/docker-dev/metadata.json'))).toBe(true);
    expect(launch.ownedByRoot()).toBe('');
    expect(existsSync('/home/ldap')).toBe(false);
  });

  test.each([
    ['.cache', 'gateway-docker', []],
    ['.cache/gateway-docker/gateway.db', 'gateway-docker', []],
    ['.cache/gateway-docker/gateway.db-wal', 'gateway-docker', []],
    ['deploy/docker/.build', 'stage', ['supervisor']],
    ['deploy/docker/.build/prebuilt-binaries', 'stage', ['supervisor']],
    ['deploy/docker/.build/prebuilt-binaries/amd64', 'stage', ['supervisor']],
    ['target', 'stage', ['supervisor']],
    ['target/openshell-version', 'stage', ['all']],
    ['target/openshell-version/1.2.3', 'stage', ['all']],
    ['target/vm-runtime-compressed', 'vm/build-supervisor-bundle', []],
  ] as const)('F4: %s as a link to a directory of root: %s does nothing there', async (path, task, args) => {
    const launch = new SudoLaunch();
    launch.plant(path);
    const extra = path.startsWith('target/openshell') ? { OPENSHELL_CARGO_VERSION: '1.2.3' } : {};
    const before = statSync(launch.victim);
    const result = await launch.sudo(task, args, extra);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toMatch(/^error: /m);
    expect(readdirSync(launch.victim)).toEqual([]);
    expect(statSync(launch.victim)).toMatchObject({ mode: before.mode, uid: 0 });
  });

  test.each([
    ['.cache/gateway-docker/gateway.db', 'gateway-docker', []],
    ['.cache/gateway-docker/gateway.db-shm', 'gateway-docker', []],
  ] as const)('F4: %s as a link to a file of root is refused before anything is built', async (path, task, args) => {
    const launch = new SudoLaunch();
    const file = join(launch.victim, 'file');
    writeFileSync(file, 'root', { mode: 0o644 });
    launch.plant(path, file);
    chmodSync(dirname(join(launch.root, path)), 0o700);
    const result = await launch.sudo(task, args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/is a link/);
    expect(launch.builds()).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe('root');
  });

  test.each(['.cache', CACHE, `${CACHE}/supervisor`, `${CACHE}/supervisor/blobs`])(
    'F4: %s as a link to a directory of root: an image build leaves it alone',
    async (path) => {
      const launch = new SudoLaunch();
      launch.plant(path);
      writeFileSync(join(launch.victim, 'shadow'), 'root', { mode: 0o600 });
      expect((await launch.sudo('docker-build-image', ['supervisor'])).status).toBe(0);
      expect(readdirSync(launch.victim)).toEqual(['shadow']);
      expect(statSync(join(launch.victim, 'shadow'))).toMatchObject({ uid: 0 });
    },
  );

  test('F4: in the registry of the CLI, links to what is root’s change nothing there', async () => {
    for (const path of ['.config', '.config/openshell', '.config/openshell/gateways/docker-dev']) {
      const launch = new SudoLaunch();
      mkdirSync(dirname(join(launch.home, path)), { recursive: true });
      symlinkSync(launch.victim, join(launch.home, path));
      lchownSync(join(launch.home, path), USER, USER);
      expect((await launch.sudo('gateway-docker', ['--activate'])).stderr).toMatch(/^error: /m);
      expect(readdirSync(launch.victim)).toEqual([]);
      expect(statSync(launch.victim).mode & 0o777).toBe(0o755);
      rmSync(join(launch.home, path));
    }
  });

  test('AM-13: Node’s cache, where the user has planted a link, is nothing that root writes', async () => {
    const launch = new SudoLaunch();
    const cache = join(launch.home, 'cache');
    const node = join(launch.tools.directory, 'node.mjs');
    writeFileSync(
      node,
      'console.log(import("node:module").then((module) => console.log(module.getCompileCacheDir())))',
    );
    const { stdout } = spawnSync(process.execPath, [node], { env: { NODE_COMPILE_CACHE: cache }, encoding: 'utf8' });
    const [own = ''] = /\/\S+/.exec(stdout) ?? [];
    rmSync(own, { recursive: true });
    symlinkSync(launch.victim, own);
    for (const path of [cache, own]) lchownSync(path, USER, USER);
    const extra = { NODE_COMPILE_CACHE: cache };
    for (const [task, args] of [
      ['stage', ['--help']],
      ['stage', ['supervisor']],
      ['gateway-docker', []],
    ] as const) {
      const result = await launch.sudo(task, args, extra);
      expect([result.status, readdirSync(launch.victim)], result.stderr).toEqual([0, []]);
    }
  });
});
