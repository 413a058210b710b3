// SPDX-License-Identifier: Apache-2.0

/** The clean-up with real engines, each with a store of its own: what goes is what it has said, and nothing else. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { requireTools } from '../support/real-tools.ts';
import { runTaskFile } from '../support/run-task.ts';
import { type Dockerd, makePodmanHome, startDockerd } from '../support/services.ts';

const tools = requireTools('podman', 'buildah', 'dockerd', 'docker', 'buildx', 'runc', 'setpriv');

const OWN = 'openshell/gateway:old';
const RELEASE = 'ghcr.io/nvidia/openshell/supervisor:0.9';
const MIRRORED = '127.0.0.1:5000/openshell/gateway:t1';
const CURRENT = ['openshell/gateway:dev', '127.0.0.1:5000/openshell/gateway:dev'];
const COSTLY = [
  'docker.io/library/alpine:3',
  'docker.io/rancher/k3s:v1',
  'ghcr.io/nvidia/openshell-community/sandboxes/base:latest',
];
const OTHERS = ['registry.k8s.io/pause:3', 'rustdesk/server:1', 'example.com/app:1', 'openshellfish/x:1'];

/** A test of the other engine. */
const skipped = (..._: readonly unknown[]) => undefined;

/** An engine with a store of its own. */
interface Store {
  readonly env: Record<string, string>;
  run(...args: readonly string[]): string;
}

describe.each(['podman', 'docker'] as const)('%s', (engine) => {
  describe('a store of its own', tools.options, () => {
    let directory = '';
    let store: Store;
    let dockerd: Dockerd | undefined;

    /** Builds an image that no other one shares anything with. */
    const build = (tag: string, content = tag, more = '') => {
      const context = mkdtempSync(join(directory, 'context-'));
      writeFileSync(join(context, 'content'), content);
      writeFileSync(join(context, 'Dockerfile'), `FROM scratch\nCOPY content /content\n${more}`);
      const load = engine === 'docker' ? ['buildx', 'build', '--load'] : ['build'];
      store.run(...load, '--quiet', '--tag', tag, context);
    };
    const local = (name: string) => (engine === 'podman' && /^[a-z]+\//.test(name) ? `localhost/${name}` : name);
    const short = (name: string) => (engine === 'docker' ? name.replace(/^docker\.io\/(library\/)?/, '') : local(name));
    const images = () =>
      store.run('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}').trim().split('\n').filter(Boolean).sort();
    const cleanUp = (...args: readonly string[]) =>
      runTaskFile('docker-cleanup', args, { cwd: directory, env: { ...store.env, CONTAINER_ENGINE: engine } });

    beforeAll(async () => {
      directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-cleanup-'));
      if (engine === 'docker') dockerd = await startDockerd();
      // The other engine leads nowhere.
      const nowhere = join(directory, 'nowhere');
      const none = { DOCKER_HOST: `unix://${nowhere}`, CONTAINERS_STORAGE_CONF: nowhere };
      const env = { ...tools.env, ...none, ...(dockerd ?? makePodmanHome()).env };
      const run = (...args: readonly string[]) => execFileSync(engine, args, { env, encoding: 'utf8', stdio: 'pipe' });
      store = { env, run };
      // The last lock: this is not the machine's own store, whatever the variables say.
      const place = run('info', '--format', engine === 'docker' ? '{{.DockerRootDir}}' : '{{.Store.GraphRoot}}').trim();
      if (!place.startsWith(`${realpathSync(tmpdir())}/os-`)) throw new Error(`${place} is not a store of a test`);
    }, 120_000);

    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    beforeEach(() => {
      const there = images();
      const names = [OWN, RELEASE, MIRRORED, ...CURRENT, ...COSTLY, ...OTHERS];
      for (const name of names) if (!there.includes(short(name))) build(name);
    }, 120_000);

    const all = (...without: readonly string[]) =>
      [OWN, RELEASE, MIRRORED, ...CURRENT, ...COSTLY, ...OTHERS]
        .filter((name) => !without.includes(name))
        .map(short)
        .sort();

    test('CLN-1, CLN-3, CLN-6: what is stale of OpenShell goes, and nothing else; a dry run says so and does nothing', async () => {
      const plan = await cleanUp('--dry-run');
      expect(plan.status, plan.stderr).toBe(0);
      const commands = [OWN, RELEASE, MIRRORED].map((name) => `${engine} image rm ${local(name)}`).sort();
      expect(
        plan.stdout
          .split('\n')
          .filter((line) => line.startsWith(engine))
          .sort(),
      ).toEqual(commands);
      expect(plan.stdout).toContain('# keeps 9 images');
      expect(plan.stdout).toContain('# keeps all volumes (--volumes)\n');
      expect(images()).toEqual(all());
      const result = await cleanUp('--yes');
      expect(result.stdout).toMatch(/^removed 3 images \(images of \d+\.\d MB at most\); kept \d+; failed 0\n$/);
      expect(result.status).toBe(0);
      expect(images()).toEqual(all(OWN, RELEASE, MIRRORED));
      expect(await cleanUp('--yes')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^removed nothing; /) });
    }, 120_000);

    test('CLN-4: for all projects: names are compared by whole segments, and what is costly stays', async () => {
      const result = await cleanUp('--all-projects', '--yes');
      expect(result.status, result.stderr).toBe(0);
      expect(images()).toEqual([...CURRENT, ...COSTLY].map(short).sort());
    }, 120_000);

    test('CLN-3: an image of a stopped container stays, by whatever name, and so does its volume', async () => {
      store.run('container', 'create', '--name', 'stopped', '--volume', 'openshell-used:/x', local(OWN), 'none');
      store.run('tag', local(OWN), local('openshell/gateway:other'));
      for (const name of ['openshell-state', 'mydata', 'openshellfish']) store.run('volume', 'create', name);
      store.run('volume', 'create', '--label', 'openshell.ai/managed-by=x', 'labelled');
      const volumes = () => store.run('volume', 'ls', '--quiet').trim().split('\n').sort();
      try {
        expect((await cleanUp('--yes')).status).toBe(0);
        expect(volumes()).toEqual(['labelled', 'mydata', 'openshell-state', 'openshell-used', 'openshellfish']);
        const result = await cleanUp('--yes', '--volumes');
        expect(result.stdout).toMatch(/^removed 2 volumes; kept /);
        expect(volumes()).toEqual(['mydata', 'openshell-used', 'openshellfish']);
        expect((await cleanUp('--yes', '--volumes', '--all-projects')).status).toBe(0);
        expect(volumes()).toEqual(['openshell-used']);
        expect(images()).toEqual(expect.arrayContaining([local(OWN), local('openshell/gateway:other')]));
      } finally {
        store.run('container', 'rm', 'stopped');
        store.run('image', 'rm', local('openshell/gateway:other'));
        store.run('volume', 'rm', 'openshell-used');
      }
    }, 120_000);

    test('images that have lost their names: those of OpenShell go, the others only for all projects', async () => {
      const entry = 'ENTRYPOINT ["/usr/local/bin/openshell-gateway"]\n';
      build('openshell/gateway:dev', 'first', entry);
      build('openshell/gateway:dev', 'second', entry);
      build('example.com/app:1', 'first');
      build('example.com/app:1', 'second');
      const nameless = () => store.run('image', 'ls', '--filter', 'dangling=true', '--quiet').trim().split('\n').length;
      const before = nameless();
      expect((await cleanUp('--yes')).status).toBe(0);
      expect(before - nameless()).toBeGreaterThanOrEqual(1);
      expect(store.run('image', 'ls', '--filter', 'dangling=true', '--quiet').trim()).not.toBe('');
      expect((await cleanUp('--yes', '--all-projects')).status).toBe(0);
      expect(store.run('image', 'ls', '--filter', 'dangling=true', '--quiet').trim()).toBe('');
    }, 120_000);

    (engine === 'podman' ? test : skipped)('CLN-2: with podman nothing is pruned, also for all projects', async () => {
      const result = await cleanUp('--all-projects', '--dry-run');
      expect(result.stdout).not.toContain('prune');
      expect(images()).toEqual(expect.arrayContaining(COSTLY.map(short)));
    });

    (engine === 'podman' ? test : skipped)(
      'a list for other platforms is no obstacle, and buildah holds its image',
      async () => {
        store.run('manifest', 'create', 'localhost/openshell/ci:list');
        const buildah = (...args: readonly string[]) =>
          execFileSync('buildah', args, { env: store.env, stdio: 'pipe' });
        buildah('from', '--name', 'working', local(OWN));
        try {
          const result = await cleanUp('--yes');
          expect(result.stderr).not.toContain('warning');
          expect(result.status).toBe(0);
          expect(images()).toContain(local(OWN));
          expect(images()).not.toContain('localhost/openshell/ci:list');
        } finally {
          buildah('rm', 'working');
        }
      },
      120_000,
    );

    (engine === 'docker' ? test : skipped)(
      'the build cache goes for all projects only, unless --skip-cache keeps it',
      async () => {
        const cache = () => /Total:\s+(\S+)/.exec(store.run('builder', 'du'))?.[1];
        const before = cache();
        expect((await cleanUp('--yes')).status).toBe(0);
        expect(cache()).toBe(before);
        expect((await cleanUp('--yes', '--all-projects', '--skip-cache')).stdout).not.toContain('cache');
        expect(cache()).not.toBe('0B');
        const result = await cleanUp('--yes', '--all-projects');
        expect(result.stderr).toContain('$ docker builder prune --all --force\n');
        expect(result.stdout).toMatch(/1 build cache/);
        expect(cache()).toBe('0B');
      },
      120_000,
    );
  });
});
