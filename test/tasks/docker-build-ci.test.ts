// SPDX-License-Identifier: Apache-2.0

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addEngine, type FakeEngine, imageCheckout } from '../support/fake-engine.ts';
import type { FakeCheckout } from '../support/fake-rust.ts';
import { runTaskFile, type TaskResult } from '../support/run-task.ts';

type Extra = Record<string, string>;

const TOKEN = 'ghp_0123456789abcdefghijABCDEFGHIJ';

function checkoutWith(name: 'docker' | 'podman', engine: FakeEngine = {}): FakeCheckout {
  const checkout = imageCheckout();
  addEngine(checkout.tools, name, engine);
  onTestFinished(() => checkout.tools.verify());
  return checkout;
}

function build(checkout: FakeCheckout, args: readonly string[] = [], extra: Extra = {}): Promise<TaskResult> {
  return runTaskFile('docker-build-ci', args, { cwd: checkout.root, env: checkout.env(extra) });
}

const engineLines = (checkout: FakeCheckout, name: string) =>
  checkout.tools.lines().filter((line) => line.startsWith(`${name} `));

describe('C1, DBC-1: the engine is reached', () => {
  test('docker', async () => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, ['--pull'], { IMAGE_TAG: 'v1', DOCKER_OUTPUT: 'ignored', CI: '1' });
    expect(result).toMatchObject({ status: 0, stdout: 'openshell/ci:v1\n' });
    expect(checkout.tools.lines()).toEqual([
      'docker info --format {{json .}}',
      'docker buildx inspect',
      `docker buildx build -f ${checkout.root}/deploy/docker/Dockerfile.ci -t openshell/ci:v1 --provenance=false ` +
        `--pull --load ${checkout.root}`,
    ]);
    expect(result.stderr).toMatch(/^done: openshell\/ci:v1 loaded into docker; /m);
  });

  test('podman', async () => {
    const checkout = checkoutWith('podman');
    const result = await build(checkout, ['--target', 'secret-check'], { DOCKER_PUSH: '1' });
    expect(result).toMatchObject({ status: 0, stdout: 'openshell/ci:dev\n' });
    expect(engineLines(checkout, 'podman').slice(1)).toEqual([
      `podman build -f ${checkout.root}/deploy/docker/Dockerfile.ci --target secret-check -t openshell/ci:dev ${checkout.root}`,
      'podman push openshell/ci:dev',
    ]);
  });

  test('DBC-2, H7: builder and platforms are one argument each', async () => {
    const remote = "printf 'Name:     far\\nDriver:   remote\\n'";
    const checkout = checkoutWith('docker', { builder: remote });
    const settings = { DOCKER_BUILDER: 'far', DOCKER_PLATFORM: 'linux/amd64, linux/arm64', DOCKER_PUSH: 'true' };
    expect((await build(checkout, [], settings)).status).toBe(0);
    expect(engineLines(checkout, 'docker').at(-1)).toMatch(
      /^docker buildx build --builder far --platform linux\/amd64,linux\/arm64 -f .* --push \S+\/checkout$/,
    );
  });

  test('its own status and words, and nothing is claimed', async () => {
    const checkout = checkoutWith('docker', { build: 'echo "ERROR: no such base" >&2; exit 17' });
    const result = await build(checkout);
    expect(result).toMatchObject({ status: 17, stdout: '' });
    expect(result.stderr).toMatch(/^ERROR: no such base$/m);
    expect(result.stderr).not.toContain('done:');
  });

  test('a dry run prints the command that a run echoes', async () => {
    const checkout = checkoutWith('docker');
    const planned = await build(checkout, ['--dry-run', '--label', 'a=b c'], { GITHUB_TOKEN: TOKEN });
    expect(planned.status).toBe(0);
    const result = await build(checkout, ['--label', 'a=b c'], { GITHUB_TOKEN: TOKEN });
    const echo = /^\$ (.*)$/m.exec(result.stderr)?.[1];
    expect(planned.stdout).toBe(`cd ${checkout.root}\n${echo}\n`);
  });
});

describe('the token', () => {
  test.each([
    [{ GITHUB_TOKEN: TOKEN }, 'GITHUB_TOKEN'],
    [{ MISE_GITHUB_TOKEN: TOKEN }, 'MISE_GITHUB_TOKEN'],
    [{ MISE_GITHUB_TOKEN: TOKEN, GITHUB_TOKEN: 'ghp_another-one' }, 'MISE_GITHUB_TOKEN'],
    [{ MISE_GITHUB_TOKEN: '', GITHUB_TOKEN: TOKEN }, 'GITHUB_TOKEN'],
  ])('%j is passed by its name, and its value is in the environment of that one child', async (extra, name) => {
    for (const engine of ['docker', 'podman'] as const) {
      const checkout = checkoutWith(engine);
      const result = await build(checkout, [], extra as Extra);
      expect(result.status).toBe(0);
      const calls = checkout.tools.calls();
      expect(calls.at(-1)?.args.join(' ')).toContain(`--secret id=MISE_GITHUB_TOKEN,env=${name} `);
      expect(calls.at(-1)?.env[name]).toBe(TOKEN);
      for (const { env } of calls.slice(0, -1)) expect(JSON.stringify(env)).not.toContain('ghp_');
      for (const { args } of calls) expect(args.join(' ')).not.toContain('ghp_');
      expect(result.stdout + result.stderr).not.toContain('ghp_');
    }
  });

  test('without one there is no secret', async () => {
    const checkout = checkoutWith('docker');
    await build(checkout);
    expect(engineLines(checkout, 'docker').at(-1)).not.toContain('--secret');
  });

  const telling = 'echo "I have $GITHUB_TOKEN$MISE_GITHUB_TOKEN" >&2; exit 1';

  test.each([
    ['dry run', {}, ['--dry-run'], 0],
    ['engine that tells all it knows when it is probed', { info: undefined, refusal: '', script: telling }, [], 2],
    ['builder that does', { builder: telling }, [], 2],
    ['build that fails', { build: 'exit 3' }, [], 3],
  ])('is not in what is said: %s', async (_, engine, args, status) => {
    const { script, ...rest } = engine as FakeEngine & { script?: string };
    const checkout = checkoutWith('docker', rest);
    if (script !== undefined) checkout.tools.add('docker', [{ args: ['info'], script }]);
    const result = await build(checkout, args, { GITHUB_TOKEN: TOKEN });
    expect(result.status).toBe(status);
    expect(result.stdout + result.stderr).not.toContain('ghp_');
  });
});

describe('bad input is one line and status 2, before anything is started', () => {
  test.each<[readonly string[], Extra, RegExp]>([
    [['word'], {}, /'word' is neither an option of the build command nor the value of one/],
    [['--load'], {}, /'--load' cannot be passed on/],
    [[], { DOCKER_PLATFORM: 'linux/386' }, /DOCKER_PLATFORM is 'linux\/386'/],
    [
      [],
      { DOCKER_PLATFORM: 'linux/amd64,linux/arm64' },
      /names 2 platforms, .* set DOCKER_PUSH=1 to push them, or name/,
    ],
    [[], { IMAGE_TAG: 'a:b' }, /IMAGE_TAG is 'a:b'/],
    [[], { DOCKER_PUSH: 'ja' }, /DOCKER_PUSH is 'ja'/],
    [[], { DOCKER_BUILDER: 'a b' }, /DOCKER_BUILDER is 'a b'/],
    [[], { CONTAINER_ENGINE: 'nerdctl' }, /CONTAINER_ENGINE is 'nerdctl'; allowed are docker, podman;/],
  ])('%j %j', async (args, extra, expected) => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, args, extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]*\n$/);
    expect(result.stderr).toMatch(expected);
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('a checkout without the Dockerfile', async () => {
    const checkout = checkoutWith('docker');
    rmSync(join(checkout.root, 'deploy/docker/Dockerfile.ci'));
    expect(await build(checkout)).toMatchObject({ status: 2 });
    expect(checkout.tools.lines()).toEqual([]);
  });
});
