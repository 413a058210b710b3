// SPDX-License-Identifier: Apache-2.0

/** The image modules as a library: what other modules build in passing, and the readers of the user's words. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { findEngine } from '../../../lib/engine/detect.ts';
import { readExtra } from '../../../lib/image/build-options.ts';
import { localImageConfig, resolveBuilder, resolveDestination } from '../../../lib/image/config.ts';
import { executeImage, imageLines, prepareImage } from '../../../lib/image/execute.ts';
import { verifyReference } from '../../../lib/image/reference.ts';
import { addEngine, imageCheckout } from '../../support/fake-engine.ts';
import { inProcess } from '../../support/in-process.ts';
import { refusalOf } from '../../support/task-errors.ts';

/** Everything that must not reach a build for this machine alone. */
const PUBLISHING = {
  DOCKER_PUSH: '1',
  IMAGE_REGISTRY: 'ghcr.io/prod',
  IMAGE_TAG: 'release',
  DOCKER_OUTPUT: 'type=local,dest=o',
  DOCKER_PLATFORM: 'linux/arm64,linux/386',
  DOCKER_BUILDER: 'far',
  DOCKER_BUILD_CACHE_DIR: '/elsewhere',
  PREBUILT_ARCH: 'arm64',
  PREBUILT_AUTO_STAGE: '0',
  CI: '1',
  CONTAINER_ENGINE: 'nonsense',
};

describe.each(['docker', 'podman'] as const)('an image for this machine alone, with %s', (name) => {
  async function prepared(extra: Record<string, string>) {
    const checkout = imageCheckout();
    addEngine(checkout.tools, name);
    onTestFinished(() => checkout.tools.verify());
    const { runner, env, signals, terminal } = inProcess(checkout.tools, { ...checkout.env(), ...extra });
    const ctx = { runner, env, signals, terminal, startDirectory: checkout.root };
    const config = localImageConfig('supervisor', env, checkout.root, checkout.root);
    const engine = await findEngine(runner, env, checkout.root, { candidates: [name], reason: 'the driver' });
    return { ctx, checkout, image: await prepareImage(ctx, config, engine) };
  }

  test('C5, H6: nothing that says where or for whom to publish gets in', async () => {
    const { ctx, checkout, image } = await prepared(PUBLISHING);
    await executeImage(ctx, image);
    const calls = checkout.tools.lines().filter((line) => line.startsWith(`${name} `));
    expect(calls.at(-1)).toBe(
      name === 'docker'
        ? 'docker buildx build --platform linux/amd64 -f deploy/docker/Dockerfile.supervisor --target supervisor ' +
            '-t openshell/supervisor:dev --provenance=false --load .'
        : 'podman build --platform linux/amd64 -f deploy/docker/Dockerfile.supervisor --target supervisor ' +
            '-t openshell/supervisor:dev .',
    );
    expect(checkout.builds()).toHaveLength(1);
    expect(checkout.builds()[0]).toContain('--target x86_64-unknown-linux-musl');
    for (const forbidden of ['ghcr.io', 'push', 'arm64', 'far', 'release', 'type=local']) {
      expect(calls.join('\n')).not.toContain(forbidden);
    }
  });

  test('the engine is asked once, and the plan is the same without all that', async () => {
    const [plain, surrounded] = [await prepared({}), await prepared(PUBLISHING)];
    const infos = surrounded.checkout.tools.lines().filter((line) => line.includes(' info '));
    expect(infos).toHaveLength(1);
    const lines = ({ ctx, checkout, image }: typeof plain) =>
      imageLines(ctx, image).map((line) => line.replaceAll(checkout.root, 'ROOT'));
    expect(lines(surrounded)).toEqual(lines(plain));
  });
});

test('an architecture and a tag can be given', () => {
  const config = localImageConfig('gateway', {}, '/root', '/root', { arch: 'arm64', tag: 'x' });
  expect(config).toMatchObject({ reference: 'openshell/gateway:x', arches: ['arm64'], stage: { arches: ['arm64'] } });
});

describe("the user's words", () => {
  test.each([
    [['--builder', 'b', '--pull'], { builder: 'b', rest: ['--pull'] }],
    [['--builder=a', '--builder', 'b'], { builder: 'b', rest: [] }],
    [['-tx', '-t=y', '-t', 'z', '--tag=w'], { tags: ['x', 'y', 'z', 'w'], rest: [] }],
    [['--file=a', '-f', 'b'], { dockerfile: 'b', rest: [] }],
    [['--target', 't', '--build-arg', 'A=b'], { target: 't', rest: ['--build-arg', 'A=b'] }],
    [['--build-arg=A', '-q', '--network', 'none'], { rest: ['--build-arg=A', '-q', '--network', 'none'] }],
    [['--label', '-x'], { rest: ['--label', '-x'] }],
    [['--tagged', 'x'], { tags: [], rest: ['--tagged', 'x'] }],
    [[], { builder: undefined, dockerfile: undefined, target: undefined, tags: [], rest: [] }],
  ])('%j', (words, expected) => {
    expect(readExtra(words)).toMatchObject(expected);
  });

  test.each([
    [['x'], "2: 'x' is neither an option of the build command nor the value of one; write a value as --option=VALUE"],
    [['--pull', 'x', 'y'], "2: 'y' is neither"],
    [['--a=b', 'x'], "2: 'x' is neither"],
    [['--builder', 'b', 'x'], "2: 'x' is neither"],
    [['-'], "2: '-' is neither"],
    [['--tag='], '2: --tag needs a value: --tag VALUE'],
    [['-f'], '2: -f needs a value: -f VALUE'],
    [['--push=false'], "2: '--push=false' cannot be passed on; where the image goes is said by"],
    [['-o', 'x'], "2: '-o' cannot be passed on; where the image goes is said by"],
    [['--iidfile', 'x'], "2: '--iidfile' cannot be passed on; "],
    [['--platform=linux/amd64'], "2: '--platform=linux/amd64' cannot be passed on; the platforms"],
  ])('%j', (words, expected) => {
    expect(refusalOf(() => readExtra(words)).startsWith(expected)).toBe(true);
  });
});

test.each([
  [{}, undefined, undefined],
  [{ DOCKER_BUILDER: 'a' }, undefined, 'a'],
  [{ DOCKER_BUILDER: 'a' }, 'a', 'a'],
  [{}, 'my.ctx+1', 'my.ctx+1'],
])('the builder of %j and %s is %s', (env, builder, expected) => {
  expect(resolveBuilder(env, { ...readExtra([]), builder })).toBe(expected);
});

test('where the image goes', () => {
  const of = (env: Record<string, string>, arches: ('amd64' | 'arm64')[] | undefined = undefined, takes = true) =>
    resolveDestination(env, arches, '/start', takes);
  expect(of({})).toEqual({ kind: 'load' });
  expect(of({ DOCKER_PUSH: 'yes' }, ['amd64', 'arm64'])).toEqual({ kind: 'push' });
  expect(of({ DOCKER_OUTPUT: 'type=oci,dest=x' }, ['amd64', 'arm64'])).toEqual({
    kind: 'output',
    value: 'type=oci,dest=/start/x',
  });
  expect(of({ DOCKER_OUTPUT: 'no pairs' }, ['amd64'], false)).toEqual({ kind: 'load' });
  expect(refusalOf(() => of({}, ['amd64', 'arm64'], false))).not.toContain('DOCKER_OUTPUT');
});

test.each(['x', 'x/y:1', 'ghcr.io/a/b', 'localhost:5000/a:b', '[::1]:5/a'])('a reference: %s', (text) => {
  expect(verifyReference('--tag', text)).toBe(text);
});

test.each(['', 'x/Y', 'x:', ':y', 'a b', 'x@sha256:0', 'https://x/y', `x:${'a'.repeat(129)}`])(
  'no reference: %j',
  (text) => {
    expect(refusalOf(() => verifyReference('--tag', text))).toMatch(/^2: --tag is '/);
  },
);
