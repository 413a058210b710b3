// SPDX-License-Identifier: Apache-2.0

/** The real services that other tests stand on: they serve, they keep to themselves, and nothing is left of them. */

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { requireTools } from '../support/real-tools.ts';
import { type Service, serviceDirectory, startService } from '../support/services/service.ts';
import { makePodmanHome, startBuildkitd, startDockerd, startRegistry } from '../support/services.ts';
import { temporaryDirectory } from '../support/temporary.ts';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Stops a service and looks for anything that is left of it. */
async function expectGoneAfterStop(service: Service): Promise<void> {
  await service.stop();
  expect(isAlive(service.pid)).toBe(false);
  expect(existsSync(service.directory)).toBe(false);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(service.directory);
  await service.stop();
}

function imageDirectory(): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /here\n');
  return directory;
}

const docker = requireTools('dockerd', 'docker', 'buildx', 'setpriv', 'runc');

describe('dockerd', docker.options, () => {
  test('serves a client that knows nothing of the user, and leaves nothing', async () => {
    const dockerd = await startDockerd();
    const env = { ...docker.env, ...dockerd.env };
    const run = (...args: string[]) => execFileSync('docker', args, { env, encoding: 'utf8', stdio: 'pipe' });
    expect(run('info', '--format', '{{.Driver}} {{.Images}}')).toMatch(/^\w+ 0\n$/);
    run('buildx', 'build', '--load', '-t', 'x:y', imageDirectory());
    expect(run('images', '--format', '{{.Repository}}:{{.Tag}}')).toBe('x:y\n');
    expect(run('buildx', 'ls', '--format', '{{.Name}}').trim().split('\n')).toEqual(['default', 'default']);
    await expectGoneAfterStop(dockerd);
  });

  test('two of them have nothing to do with each other, and one that crashed can be cleaned up', async () => {
    const [one, other] = await Promise.all([startDockerd(), startDockerd()]);
    await one.kill();
    expect(execFileSync('docker', ['info'], { env: { ...docker.env, ...other.env }, stdio: 'pipe' })).toBeTruthy();
    await expectGoneAfterStop(one);
    await expectGoneAfterStop(other);
  });
});

const remote = requireTools('buildkitd', 'docker', 'buildx', 'dockerd', 'setpriv', 'runc');

describe('buildkitd', remote.options, () => {
  test('builds for two platforms through a builder', async () => {
    const [dockerd, buildkitd] = await Promise.all([startDockerd(), startBuildkitd()]);
    buildkitd.createBuilder('far', dockerd.env);
    const platforms = ['--platform', 'linux/amd64,linux/arm64'];
    const args = ['buildx', 'build', '--builder', 'far', ...platforms, '--output', 'type=oci,dest=-', imageDirectory()];
    const image = execFileSync('docker', args, { env: { ...remote.env, ...dockerd.env }, stdio: 'pipe' });
    expect(image.includes('oci-layout')).toBe(true);
    await expectGoneAfterStop(buildkitd);
  });
});

const registry = requireTools('docker-registry', 'htpasswd', 'podman', 'setpriv');

describe('registry', registry.options, () => {
  const catalog = async (host: string, headers: Record<string, string> = {}) =>
    (await fetch(`http://${host}/v2/_catalog`, { headers })).json();

  test('takes an image, crashes, and comes back on its port with its images', async () => {
    const data = temporaryDirectory();
    const first = await startRegistry({ data });
    const podman = makePodmanHome([first.host]);
    const env = { ...registry.env, ...podman.env };
    execFileSync('podman', ['build', '-t', `${first.host}/x:y`, imageDirectory()], { env, stdio: 'pipe' });
    execFileSync('podman', ['push', `${first.host}/x:y`], { env, stdio: 'pipe' });
    await first.kill();
    await expect(catalog(first.host)).rejects.toThrow('fetch failed');
    await expectGoneAfterStop(first);
    const second = await startRegistry({ data, port: first.port });
    expect(await catalog(second.host)).toEqual({ repositories: ['x'] });
    await expectGoneAfterStop(second);
    podman.remove();
    expect(existsSync(podman.directory)).toBe(false);
  });

  test('refuses a wrong password', async () => {
    const { host } = await startRegistry({ htpasswd: { user: 'me', password: 'p w' } });
    const as = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    expect(await catalog(host, as('me:wrong'))).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
    expect(await catalog(host, as('me:p w'))).toEqual({ repositories: [] });
  });

  test('ends with the process that started it, however that ends', async () => {
    const script = `
      import { startRegistry } from '${join(import.meta.dirname, '../support/services/registry.ts')}';
      const { pid, directory } = await startRegistry();
      process.stdout.write(JSON.stringify({ pid, directory }));
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = await new Promise<Buffer>((resolve) => child.stdout.once('data', resolve));
    const { pid, directory } = JSON.parse(said.toString()) as { pid: number; directory: string };
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    expect(isAlive(pid)).toBe(true);
    child.kill('SIGKILL');
    for (let waited = 0; isAlive(pid) && waited < 5000; waited += 50) await sleep(50);
    expect(isAlive(pid)).toBe(false);
  });
});

test('a service that does not start says why, in its own words', requireTools('setpriv').options, async () => {
  const directory = serviceDirectory('none');
  const argv = ['bash', '-c', 'echo "the port is taken" >&2; exit 3'] as const;
  const start = startService({
    name: 'thing',
    argv,
    env: { PATH: '/usr/bin:/bin' },
    directory,
    isReady: async () => false,
  });
  await expect(start).rejects.toThrow('thing ended at once (status 3); it said:\nthe port is taken');
  expect(existsSync(directory)).toBe(false);
});
