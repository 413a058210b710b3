// SPDX-License-Identifier: Apache-2.0

/** Images of the miniature, built by real docker, buildx, BuildKit and podman, with really compiled binaries. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeMiniature } from '../support/miniature.ts';
import { readTar } from '../support/read-tar.ts';
import { requireTools } from '../support/real-tools.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from '../support/run-task.ts';
import {
  type Buildkitd,
  type Dockerd,
  makePodmanHome,
  type Registry,
  startBuildkitd,
  startDockerd,
  startRegistry,
} from '../support/services.ts';

const BUILD_TIMEOUT_MS = 300_000;
const rust = ['cargo', 'rustup', 'zigbuild', 'zig', 'musl-x86_64', 'musl-aarch64', 'gnu-x86_64'] as const;
const engines = ['dockerd', 'docker', 'buildx', 'buildkitd', 'docker-registry', 'podman', 'runc', 'setpriv'] as const;
const tools = requireTools(...rust, ...engines);
const machine = { x64: 'amd64', arm64: 'arm64' }[process.arch as 'x64' | 'arm64'];

describe('real images', tools.options, () => {
  let directory = '';
  let root = '';
  let dockerd: Dockerd;
  let buildkitd: Buildkitd;
  let registry: Registry;

  type Extra = Record<string, string>;
  const base = (extra: Extra) => ({ ...tools.env, OPENSHELL_ROOT: root, ZIG: tools.path('zig'), ...extra });
  const image = (args: readonly string[], extra: Extra, options: Partial<TaskOptions> = {}): Promise<TaskResult> =>
    runTaskFile('docker-build-image', args, { cwd: root, env: base(extra), ...options });
  const ofDocker = (extra: Extra = {}) => ({ CONTAINER_ENGINE: 'docker', ...dockerd.env, ...extra });
  const run = (program: string, args: readonly string[], extra: Extra) =>
    execFileSync(program, args, { env: { ...tools.env, ...extra }, stdio: ['ignore', 'pipe', 'pipe'] });
  const staged = (arch: string, binary = 'openshell-sandbox') =>
    readFileSync(join(root, 'deploy/docker/.build/prebuilt-binaries', arch, binary));

  /** A file as it is in a container of the image. */
  function fileIn(program: string, reference: string, path: string, extra: Extra): Buffer | undefined {
    const container = run(program, ['create', reference, 'none'], extra).toString().trim();
    const files = readTar(run(program, ['cp', `${container}:${path}`, '-'], extra));
    run(program, ['rm', container], extra);
    return files.get(path.replace(/^.*\//, ''));
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-image-'));
    root = join(directory, 'checkout');
    makeMiniature({ at: root });
    [dockerd, buildkitd, registry] = await Promise.all([startDockerd(), startBuildkitd(), startRegistry()]);
    buildkitd.createBuilder('far', dockerd.env);
    // Once for all tests; each of them stages again, and cargo has nothing to do then.
    const first = await runTaskFile('stage', ['supervisor'], {
      cwd: root,
      env: base({ DOCKER_PLATFORM: 'linux/amd64,linux/arm64' }),
    });
    expect(first).toMatchObject({ status: 0 });
  }, BUILD_TIMEOUT_MS);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test(
    'docker builds and loads the supervisor; it runs, and holds the staged binary byte for byte',
    async () => {
      const result = await image(['supervisor'], ofDocker());
      expect(result).toMatchObject({ status: 0, stdout: 'openshell/supervisor:dev\n' });
      expect(result.stderr).toContain('[container-engine] docker (CONTAINER_ENGINE)');
      expect(result.stderr).toMatch(/^done: openshell\/supervisor:dev for linux\/\w+ loaded into docker; /m);
      expect(
        fileIn('docker', 'openshell/supervisor:dev', '/openshell-sandbox', dockerd.env)?.equals(staged(machine)),
      ).toBe(true);
      const args = ['run', '--rm', '--network', 'none', 'openshell/supervisor:dev', '--version'];
      expect(run('docker', args, dockerd.env).toString()).toBe('openshell-sandbox 0.0.0\n');
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'a second build with nothing changed is all cache',
    async () => {
      const id = () => run('docker', ['images', '-q', 'openshell/supervisor:dev'], dockerd.env).toString();
      await image(['supervisor'], ofDocker());
      const before = id();
      const result = await image(['supervisor'], ofDocker({ BUILDKIT_PROGRESS: 'plain' }));
      expect(result.stderr).toMatch(/0 of \d+ crates compiled/);
      const steps = [...result.stderr.matchAll(/^#(\d+) \[\d+\/\d+\] /gm)].map(([, number]) => number);
      expect(steps.length).toBeGreaterThan(0);
      for (const step of steps) expect(result.stderr).toMatch(new RegExp(`^#${step} CACHED$`, 'm'));
      expect(id()).toBe(before);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'podman builds the same, and says what is in it',
    async () => {
      const podman = makePodmanHome();
      const result = await image(['supervisor', '--provenance', 'false'], {
        CONTAINER_ENGINE: 'podman',
        ...podman.env,
      });
      expect(result).toMatchObject({ status: 0, stdout: 'openshell/supervisor:dev\n' });
      const name = 'localhost/openshell/supervisor:dev';
      expect(fileIn('podman', name, '/openshell-sandbox', podman.env)?.equals(staged(machine))).toBe(true);
      const [facts] = JSON.parse(run('podman', ['image', 'inspect', name], podman.env).toString());
      expect(facts).toMatchObject({ Architecture: machine, Config: { Entrypoint: ['/openshell-sandbox'] } });
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'podman writes below where the task was started, and nothing into the checkout',
    async () => {
      const start = join(directory, 'start');
      mkdirSync(start);
      const extra = { CONTAINER_ENGINE: 'podman', DOCKER_OUTPUT: 'type=local,dest=out', ...makePodmanHome().env };
      expect(await image(['supervisor'], extra, { cwd: start })).toMatchObject({ status: 0, stdout: '' });
      expect(readFileSync(join(start, 'out/openshell-sandbox')).equals(staged(machine))).toBe(true);
      expect(existsSync(join(root, 'out'))).toBe(false);
    },
    BUILD_TIMEOUT_MS,
  );

  describe('two platforms through a builder of the driver remote', () => {
    const kinds = ['docker.distribution.manifest.list.v2', 'docker.distribution.manifest.v2'];
    const headers = { accept: kinds.map((kind) => `application/vnd.${kind}+json`).join(', ') };
    const two = { DOCKER_PLATFORM: 'linux/amd64, linux/arm64' };

    /** The supervisor of each platform, as the registry has it. */
    async function pushed(reference: string): Promise<Record<string, Buffer | undefined>> {
      const [name, tag] = reference.split(':');
      const get = async (path: string) =>
        Buffer.from(await (await fetch(`http://${registry.host}/v2/${name}/${path}`, { headers })).arrayBuffer());
      const index = JSON.parse((await get(`manifests/${tag}`)).toString());
      const files: Record<string, Buffer | undefined> = {};
      for (const { digest, platform } of index.manifests) {
        const manifest = JSON.parse((await get(`manifests/${digest}`)).toString());
        const layers = await Promise.all(
          manifest.layers.map((layer: { digest: string }) => get(`blobs/${layer.digest}`)),
        );
        files[`${platform.os}/${platform.architecture}`] = layers
          .map((layer) => readTar(layer).get('openshell-sandbox'))
          .find((file) => file !== undefined);
      }
      return files;
    }

    test(
      'pushed: the index has both, each with its own binary',
      async () => {
        const settings = {
          DOCKER_BUILDER: 'far',
          DOCKER_PUSH: '1',
          IMAGE_REGISTRY: `${registry.host}/org`,
        };
        const result = await image(['supervisor'], ofDocker({ ...two, ...settings }));
        expect(result).toMatchObject({ status: 0, stdout: `${registry.host}/org/supervisor:dev\n` });
        expect(await pushed('org/supervisor:dev')).toEqual({
          'linux/amd64': staged('amd64'),
          'linux/arm64': staged('arm64'),
        });
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'L9: the builder chosen with `buildx use` counts when none is named, and writes below where the task was started',
      async () => {
        const config = { BUILDX_CONFIG: join(directory, 'buildx') };
        buildkitd.createBuilder('chosen', { ...dockerd.env, ...config });
        run('docker', ['buildx', 'use', 'chosen'], { ...dockerd.env, ...config });
        const settings = { ...two, ...config, DOCKER_OUTPUT: 'type=oci,"dest=a,b.tar"' };
        const result = await image(['supervisor'], ofDocker(settings), { cwd: directory });
        expect(result).toMatchObject({ status: 0, stdout: '' });
        expect(existsSync(join(root, 'a,b.tar'))).toBe(false);
        const archive = readTar(readFileSync(join(directory, 'a,b.tar')));
        const [entry] = JSON.parse(String(archive.get('index.json'))).manifests;
        const index = JSON.parse(String(archive.get(`blobs/${entry.digest.replace(':', '/')}`)));
        expect(index.manifests.map((one: { platform: { architecture: string } }) => one.platform.architecture)).toEqual(
          ['amd64', 'arm64'],
        );
      },
      BUILD_TIMEOUT_MS,
    );

    test('a builder that does not exist is an error before anything is compiled', async () => {
      const result = await image(
        ['supervisor'],
        ofDocker({ ...two, DOCKER_BUILDER: 'nobody', DOCKER_PUSH: '1', IMAGE_REGISTRY: 'r/org' }),
      );
      expect(result.status).toBe(2);
      expect(result.stderr).toMatch(/^error: builder 'nobody' \(DOCKER_BUILDER\) does not exist; name another one/m);
      expect(result.stderr).not.toContain('cargo');
    });

    test("docker's own builder over its old store is refused before anything is compiled", async () => {
      const result = await image(['supervisor'], ofDocker({ ...two, DOCKER_PUSH: '1', IMAGE_REGISTRY: 'r/org' }));
      expect(result.status).toBe(2);
      expect(result.stderr).toMatch(/^error: the builder is docker's own, which builds one platform at a time/m);
      expect(result.stderr).not.toContain('cargo');
    });
  });

  describe('engines that are not what they seem', () => {
    test('H15: podman under the name docker', async () => {
      const shim = join(directory, 'shim');
      mkdirSync(shim);
      symlinkSync(tools.path('podman'), join(shim, 'docker'));
      const extra = { ...makePodmanHome().env, PATH: `${shim}:${tools.env.PATH}` };
      const result = await image(['supervisor'], { ...extra, CONTAINER_ENGINE: 'docker' });
      expect(result).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr).toBe(
        'error: docker does not respond (CONTAINER_ENGINE): docker is really podman; ' +
          'install docker itself, or set CONTAINER_ENGINE to one that runs\n',
      );
    });

    test('C8: docker without a daemon, in its own words', async () => {
      const extra = { DOCKER_HOST: `unix://${directory}/nobody.sock`, CONTAINER_ENGINE: 'docker' };
      const result = await image(['supervisor'], extra);
      expect(result).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr).toMatch(
        /^error: docker does not respond \(CONTAINER_ENGINE\): docker info: .*Cannot connect to the Docker daemon at .*nobody\.sock.*\n$/,
      );
      expect(result.stderr).not.toContain('cargo');
    });

    test(
      'a daemon that dies in the middle: its own words and status, and nothing is claimed',
      async () => {
        const doomed = await startDockerd();
        let dying: Promise<void> | undefined;
        const result = await image(['supervisor'], ofDocker({ ...doomed.env }), {
          onStart: (child) =>
            child.stderr?.on('data', (text) => {
              if (/^\$ docker buildx build/m.test(String(text))) dying ??= doomed.kill();
            }),
        });
        await dying;
        expect(result).toMatchObject({ status: 1, stdout: '' });
        expect(result.stderr).toMatch(/^ERROR: /m);
        expect(result.stderr).toMatch(/^error: docker buildx build .* failed with status 1 in /m);
        expect(result.stderr).not.toContain('done:');
      },
      BUILD_TIMEOUT_MS,
    );
  });
});
