// SPDX-License-Identifier: Apache-2.0

/**
 * The publish against a real registry, with real buildx and BuildKit and with real podman: really linked binaries of
 * both architectures, read back from the registry without any engine.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectExecutable } from '../../lib/elf/verify.ts';
import { makeMiniature } from '../support/miniature.ts';
import { requireTools } from '../support/real-tools.ts';
import { Repository } from '../support/registry-client.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from '../support/run-task.ts';
import { makePodmanHome, type Registry, startBuildkitd, startDockerd, startRegistry } from '../support/services.ts';

const TIMEOUT_MS = 300_000;
const RUST = [
  'cargo',
  'rustup',
  'zigbuild',
  'zig',
  'musl-x86_64',
  'musl-aarch64',
  'gnu-x86_64',
  'gnu-aarch64',
] as const;
const SERVICES = ['docker-registry', 'htpasswd', 'setpriv', 'runc'] as const;
const TOOLS = {
  docker: requireTools(...RUST, ...SERVICES, 'docker', 'dockerd', 'buildx', 'buildkitd'),
  podman: requireTools(...RUST, ...SERVICES, 'podman'),
} as const;
const LOGIN = { user: 'robot', password: 'right' };
const COMPONENTS = [
  { name: 'gateway', binary: 'openshell-gateway', path: 'usr/local/bin/openshell-gateway' },
  { name: 'supervisor', binary: 'openshell-sandbox', path: 'openshell-sandbox' },
] as const;
const MACHINES = { amd64: 'x86-64', arm64: 'aarch64' } as const;

/** An engine that is ready, with what only it knows. */
interface World {
  readonly env: Record<string, string>;
  /** Puts another image under a name on this machine. */
  makeLocalImage(name: string, directory: string): void;
  /** Writes a login where the engine looks for it. */
  login(host: string, password: string): void;
}

const loginFile = (host: string, password: string) =>
  JSON.stringify({ auths: { [host]: { auth: Buffer.from(`${LOGIN.user}:${password}`).toString('base64') } } });

async function dockerWorld(): Promise<World> {
  const [dockerd, buildkitd] = await Promise.all([startDockerd(), startBuildkitd()]);
  const env = { ...TOOLS.docker.env, ...dockerd.env, CONTAINER_ENGINE: 'docker' };
  const docker = (...args: string[]) => execFileSync('docker', args, { env, stdio: 'pipe' });
  buildkitd.createBuilder('far', dockerd.env);
  docker('buildx', 'use', 'far');
  return {
    env,
    makeLocalImage: (name, directory) =>
      docker('buildx', 'build', '--builder', 'default', '--load', '-t', name, directory),
    login: (host, password) =>
      writeFileSync(join(dockerd.env.DOCKER_CONFIG ?? '', 'config.json'), loginFile(host, password)),
  };
}

async function podmanWorld(): Promise<World> {
  const home = makePodmanHome();
  const env = { ...TOOLS.podman.env, ...home.env, CONTAINER_ENGINE: 'podman' };
  return {
    env,
    makeLocalImage: (name, directory) =>
      execFileSync('podman', ['build', '-t', name, directory], { env, stdio: 'pipe' }),
    login: (host, password) => writeFileSync(home.env.REGISTRY_AUTH_FILE ?? '', loginFile(host, password)),
  };
}

describe.each(['docker', 'podman'] as const)('publish with %s', (engine) => {
  const tools = TOOLS[engine];
  describe('for real', tools.options, () => {
    let directory = '';
    let root = '';
    let world: World;
    let registry: Registry;

    beforeAll(async () => {
      directory = mkdtempSync(join(realpathSync(tmpdir()), 'publish-'));
      root = makeMiniature({ at: join(directory, 'checkout') }).root;
      world = await (engine === 'docker' ? dockerWorld() : podmanWorld());
      registry = await startRegistry({ data: join(directory, 'data') });
    }, TIMEOUT_MS);

    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    function publish(extra: Record<string, string> = {}, options: Partial<TaskOptions> = {}): Promise<TaskResult> {
      const settings = { OPENSHELL_ROOT: root, ZIG: tools.path('zig'), DOCKER_REGISTRY: `${registry.host}/org` };
      const env = { ...world.env, ...settings, ...extra };
      return runTaskFile('docker-publish-multiarch', [], { cwd: root, env, ...options });
    }

    /** What is staged is published as it is. */
    const STAGED = { PREBUILT_AUTO_STAGE: '0' };
    const repository = (name: string, host = registry.host) => new Repository(host, `org/${name}`);
    const staged = (arch: string, binary: string) => join(root, 'deploy/docker/.build/prebuilt-binaries', arch, binary);

    /** Ends the registry when the task says something; the task goes on. */
    const whenItSays = (text: string, act: () => void): Partial<TaskOptions> => {
      let said = '';
      return {
        onStart: (child) =>
          child.stderr?.on('data', (part) => {
            const before = said.includes(text);
            said += part;
            if (!before && said.includes(text)) act();
          }),
      };
    };

    test('compiles and publishes both images for both platforms under all tags', { timeout: TIMEOUT_MS }, async () => {
      const stale = join(directory, 'stale');
      mkdirSync(stale);
      writeFileSync(join(stale, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /openshell-sandbox\n');
      world.makeLocalImage('openshell/supervisor:dev', stale);
      world.makeLocalImage(`${registry.host}/org/supervisor:dev`, stale);

      const result = await publish({ EXTRA_DOCKER_TAGS: 'v1 v1.2', TAG_LATEST: 'true' });
      expect(result.stderr).not.toContain('error:');
      expect(result.status).toBe(0);
      for (const { name, binary, path } of COMPONENTS) {
        const index = await repository(name).manifest('dev');
        const platforms = index?.manifests?.map(({ platform }) => `${platform?.os}/${platform?.architecture}`);
        expect(platforms).toEqual(['linux/amd64', 'linux/arm64']);
        for (const tag of ['v1', 'v1.2', 'latest']) expect(await repository(name).digest(tag)).toBe(index?.digest);
        expect(result.stdout).toMatch(new RegExp(`/org/${name}:latest +${index?.digest} +linux/amd64,linux/arm64\n`));
        for (const arch of ['amd64', 'arm64'] as const) {
          const bytes = await repository(name).file('dev', arch, path);
          expect(bytes.equals(readFileSync(staged(arch, binary)))).toBe(true);
          const copy = join(directory, `${name}-${arch}`);
          writeFileSync(copy, bytes);
          expect(inspectExecutable(copy).facts?.machine).toBe(MACHINES[arch]);
        }
      }
    });

    test('a second run moves nothing, whatever is in caches and whenever files were touched', {
      timeout: TIMEOUT_MS,
    }, async () => {
      const before = await Promise.all(COMPONENTS.map(({ name }) => repository(name).digest('dev')));
      const second = await publish({ EXTRA_DOCKER_TAGS: 'v1 v1.2', TAG_LATEST: 'true' });
      expect(second.status).toBe(0);
      expect(await Promise.all(COMPONENTS.map(({ name }) => repository(name).digest('dev')))).toEqual(before);
      const prune = engine === 'docker' ? ['buildx', 'prune', '-af'] : ['system', 'prune', '-af'];
      execFileSync(engine, prune, { env: world.env, stdio: 'pipe' });
      for (const arch of ['amd64', 'arm64']) {
        for (const { binary } of COMPONENTS) execFileSync('touch', [staged(arch, binary)]);
      }
      const third = await publish({ ...STAGED, EXTRA_DOCKER_TAGS: 'v2' });
      expect(third.status).toBe(0);
      expect(await Promise.all(COMPONENTS.map(({ name }) => repository(name).digest('dev')))).toEqual(before);
      expect(await Promise.all(COMPONENTS.map(({ name }) => repository(name).digest('v2')))).toEqual(before);
    });

    const testWithPodman = engine === 'podman' ? test : () => undefined;
    testWithPodman('nothing is left in its storage', { timeout: TIMEOUT_MS }, async () => {
      const result = await publish({ ...STAGED, EXTRA_DOCKER_TAGS: 'v3' });
      expect(result.stderr).not.toMatch(/error:|warning:/);
      expect(await repository('supervisor').digest('v3')).toBe(await repository('supervisor').digest('dev'));
      const left = ['images', '--filter', 'reference=localhost/openshell-publish/*', '--format', '{{.ID}}'];
      expect(execFileSync('podman', left, { env: world.env, encoding: 'utf8' })).toBe('');
    });

    test('the registry goes away between the two components: nothing of the release moves, and the next run finishes', {
      timeout: TIMEOUT_MS,
    }, async () => {
      const text = engine === 'docker' ? 'Dockerfile.supervisor' : 'supervisor:gone-linux-amd64';
      let stopping: Promise<void> | undefined;
      const failed = await publish(
        { ...STAGED, IMAGE_TAG: 'gone' },
        whenItSays(text, () => (stopping = registry.kill())),
      );
      await stopping;
      expect(failed.status).not.toBe(0);
      expect(failed.stdout).toBe('');
      expect(failed.stderr).toMatch(/connection refused/);
      expect(failed.stderr).toMatch(
        /(no reference was set before that|set before that: [^;]*-linux-\w+); run it again to finish/,
      );
      const { port } = registry;
      await registry.stop();
      registry = await startRegistry({ port, data: join(directory, 'data') });
      for (const { name } of COMPONENTS) expect(await repository(name).manifest('gone')).toBeUndefined();
      expect((await publish({ ...STAGED, IMAGE_TAG: 'gone' })).status).toBe(0);
      for (const { name } of COMPONENTS) {
        expect(await repository(name).digest('gone')).toBe(await repository(name).digest('dev'));
      }
    });

    test('a run that is killed while it tags does not hinder the next one', { timeout: TIMEOUT_MS }, async () => {
      const text = engine === 'docker' ? '-t ' : 'manifest push';
      let kill = () => {};
      const watching = whenItSays(`${text}`, () => kill());
      const killed = await publish(
        { ...STAGED, IMAGE_TAG: 'killed' },
        {
          onStart: (child) => {
            kill = () => child.kill('SIGKILL');
            watching.onStart?.(child);
          },
        },
      );
      expect(killed.signal).toBe('SIGKILL');
      const again = await publish({ ...STAGED, IMAGE_TAG: 'killed' });
      expect(again.stderr).not.toContain('error:');
      expect(again.status).toBe(0);
      for (const { name } of COMPONENTS) {
        expect(await repository(name).digest('killed')).toBe(await repository(name).digest('dev'));
      }
    });

    test("a wrong password is told before a compile, with the registry's reason; a right one publishes", {
      timeout: TIMEOUT_MS,
    }, async () => {
      const closed = await startRegistry({ htpasswd: LOGIN });
      world.login(closed.host, 'wrong');
      const refused = await publish({ DOCKER_REGISTRY: `${closed.host}/org` });
      expect(refused).toMatchObject({ status: 2, stdout: '' });
      expect(refused.stderr).toMatch(/error: .*\/org\/gateway cannot be read: .*unauthorized/i);
      expect(refused.stderr).not.toContain('cargo');
      expect(refused.stderr + refused.stdout).not.toContain('wrong');
      world.login(closed.host, LOGIN.password);
      expect((await publish({ ...STAGED, DOCKER_REGISTRY: `${closed.host}/org` })).status).toBe(0);
      const inside = new Repository(closed.host, 'org/gateway', LOGIN);
      expect(await inside.digest('dev')).toBe(await repository('gateway').digest('dev'));
    });
  });
});
