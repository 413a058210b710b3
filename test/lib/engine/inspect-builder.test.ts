// SPDX-License-Identifier: Apache-2.0

/** Inspecting builders, over fake engines and in the text that buildx prints. */

import { describe, expect, test } from 'vitest';
import { DOCKER } from '../../../lib/engine/docker.ts';
import {
  inspectBuilder,
  parseBuilder,
  parseRefusal,
  probeBuilder,
  verifyPlatforms,
} from '../../../lib/engine/inspect-builder.ts';
import { PODMAN } from '../../../lib/engine/podman.ts';
import type { Engine } from '../../../lib/engine/types.ts';
import { addEngine } from '../../support/fake-engine.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';

const INFO = { arch: 'x86_64', storesIndexes: false } as const;
const ENGINES = {
  docker: { record: DOCKER, program: 'docker', reason: 'it responds', info: { engine: 'docker', ...INFO } },
  podman: { record: PODMAN, program: 'podman', reason: 'it responds', info: { engine: 'podman', ...INFO } },
} as const satisfies Record<string, Engine>;

/** As buildx prints a builder of two nodes. */
const TWO_NODES = `Name:          multi
Driver:        docker-container
Last Activity: 2026-01-02 03:04:05 +0000 UTC

Nodes:
Name:                  multi0
Endpoint:              unix:///var/run/docker.sock
Status:                running
Platforms:             linux/amd64*, linux/amd64/v2

Name:      multi1
Endpoint:  ssh://far
Status:    running
Platforms: linux/arm64
`;

const named = (name: string | undefined) => (name === undefined ? undefined : { name, source: 'DOCKER_BUILDER' });

/** Inspects with a docker whose `buildx inspect` does this. */
function inspecting(script: string) {
  const tools = fakeTools();
  addEngine(tools, 'docker', { builder: script });
  return { tools, ctx: inProcess(tools, { GITHUB_TOKEN: 'ghp_secret' }) };
}

describe('the text of buildx', () => {
  test('H1: the driver of a builder, however the column is padded', () => {
    expect(parseBuilder('Name: x\nDriver: docker-container\n')).toMatchObject({ driver: 'docker-container' });
    expect(parseBuilder('Name:          x\nDriver:        docker-container\nLast Activity: 1h\n')).toMatchObject({
      driver: 'docker-container',
    });
  });

  test('text that is not a builder is broken', () => {
    expect(parseBuilder('nothing')).toEqual({ problem: 'does not work: nothing' });
  });

  test('the name and the driver are those of the builder', () => {
    expect(parseBuilder(TWO_NODES)).toEqual({ name: 'multi', driver: 'docker-container' });
  });

  test('the error of a node is kept', () => {
    const text = 'Name: x\nDriver: remote\n\nNodes:\nName: x0\nError: connection refused\n';
    expect(parseBuilder(text)).toMatchObject({ problem: 'does not work: connection refused' });
  });

  const remote = (...nodes: string[]) =>
    parseBuilder(['Name: x\nDriver: remote\n\nNodes:\n', ...nodes.map((rows) => `Name: n\n${rows}\n`)].join('\n'));

  test('R10: buildx builds with the nodes that work: only where none does, there is a problem', () => {
    const [lost, works, fails] = ['Endpoint: tcp://far:1\nStatus: inactive', 'Status: running', 'Error: refused'];
    expect(remote(lost)).toMatchObject({ problem: 'does not work: nothing responds at tcp://far:1' });
    expect(remote(fails, lost)).toMatchObject({ problem: 'does not work: refused' });
    for (const nodes of [[works], [works, fails], [lost, works]])
      expect(remote(...nodes)).not.toHaveProperty('problem');
    // Of other drivers it is started for the build.
    const stopped = 'Name: x\nDriver: docker-container\n\nNodes:\nName: x0\nStatus: inactive\n';
    expect(parseBuilder(stopped)).not.toHaveProperty('problem');
    // As buildx prints a context whose daemon is down.
    expect(parseBuilder('Name:   c\nDriver: \nError:  Cannot connect\n')).toMatchObject({
      problem: 'does not work: Cannot connect',
    });
  });

  test('only a builder that does not exist is absent', () => {
    expect(parseRefusal('ERROR: no builder "x" found')).toMatchObject({ isAbsent: true });
    expect(parseRefusal("no builder 'x' found")).toEqual({ problem: 'does not exist', isAbsent: true });
    expect(parseRefusal('permission denied')).toEqual({ problem: 'does not work: permission denied' });
  });
});

test.each([
  "docker: 'buildx' is not a docker command.\nSee 'docker --help'",
  "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information",
])('R15: without the plugin no builder is at fault: %j', (reason) => {
  expect(refusalOf(() => parseRefusal(reason))).toMatch(
    /^2: docker has no plugin buildx, which builds the images \(docker: .*\); install it \(the package docker-buildx-plugin /,
  );
});

describe('a probe', () => {
  test('names the builder that the user named, else none, and carries no token', async () => {
    const { tools, ctx } = inspecting("printf 'Name: x\\nDriver: docker\\n'");
    expect(await inspectBuilder(ctx, ENGINES.docker, tools.directory, 'x')).toMatchObject({ driver: 'docker' });
    expect(await probeBuilder(ctx, ENGINES.docker, tools.directory, undefined)).toMatchObject({ driver: 'docker' });
    expect(tools.lines()).toEqual(['docker buildx inspect x', 'docker buildx inspect']);
    for (const { env } of tools.calls()) expect(JSON.stringify(env)).not.toContain('ghp_');
  });

  test.each([
    [
      'x',
      'echo "no builder \\"x\\" found" >&2; exit 1',
      `2: builder 'x' (DOCKER_BUILDER) does not exist; name another one in DOCKER_BUILDER, or leave that out (see docker buildx ls)`,
    ],
    [
      'x',
      'echo "permission denied" >&2; exit 1',
      "2: builder 'x' (DOCKER_BUILDER) does not work: permission denied; name another one in DOCKER_BUILDER, or leave that out (see docker buildx ls)",
    ],
    [
      undefined,
      'echo "no builder \\"y\\" found" >&2; exit 1',
      '2: the builder chosen with docker buildx use does not exist; ' +
        'choose another one, or name one in DOCKER_BUILDER (see docker buildx ls)',
    ],
    ['x', 'echo gibberish', /^2: builder 'x' \(DOCKER_BUILDER\) does not work: gibberish; /],
  ])('builder %s, %s: refused', async (name, script, expected) => {
    const { tools, ctx } = inspecting(script);
    const refusal = await refusalFrom(() => probeBuilder(ctx, ENGINES.docker, tools.directory, named(name)));
    if (typeof expected === 'string') expect(refusal).toBe(expected);
    else expect(refusal).toMatch(expected);
  });

  test('podman has none: nothing is started, and a builder that is named has no effect', async () => {
    const ctx = inProcess(fakeTools());
    expect((await probeBuilder(ctx, ENGINES.podman, '/', undefined)).driver).toBeUndefined();
    expect((await probeBuilder(ctx, ENGINES.podman, '/', named('x'))).driver).toBeUndefined();
    expect(ctx.screen.stderr()).toBe('');
  });
});

describe('several platforms', () => {
  const two = ['linux/amd64', 'linux/arm64'];

  test("docker's own builder over its old store refuses them", () => {
    expect(refusalOf(() => verifyPlatforms({ engine: ENGINES.docker, driver: 'docker' }, two))).toMatch(
      /^2: the builder is docker's own, which builds one platform at a time, not linux\/amd64,linux\/arm64; set DOCKER_BUILDER/,
    );
  });

  test.each([
    ['one platform', ENGINES.docker, 'docker', ['linux/amd64']],
    ['another driver', ENGINES.docker, 'docker-container', two],
    ["containerd's store", { ...ENGINES.docker, info: { ...ENGINES.docker.info, storesIndexes: true } }, 'docker', two],
    ['no builders', ENGINES.podman, undefined, two],
  ])('%s: accepted', (_, engine, driver, platforms) => {
    expect(() => verifyPlatforms({ engine, driver }, platforms)).not.toThrow();
  });
});
