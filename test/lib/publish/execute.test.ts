// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isLeftover } from '../../../lib/fs/temporary-directory.ts';
import { chooseBuilder, readDigest, removeLeftovers } from '../../../lib/publish/execute.ts';
import { addEngine } from '../../support/fake-engine.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { DIGEST_A, DIGEST_B, engineOf, publishConfig, publishPlan, RUN } from '../../support/publish-plan.ts';
import { onlyRoot, requireTools } from '../../support/real-tools.ts';
import { endedRun } from '../../support/run-names.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('what engines leave in a file', () => {
  const fileWith = (text: string) => {
    const file = join(temporaryDirectory(), 'digest');
    writeFileSync(file, text);
    return file;
  };

  test.each([`${DIGEST_A}\n`, DIGEST_A, `{"containerimage.digest":"${DIGEST_A}","x":1}`])('a digest: %j', (text) => {
    expect(readDigest('digest of gateway', fileWith(text))).toBe(DIGEST_A);
  });

  test.each(['', 'sha256:abc', `${DIGEST_A} ${DIGEST_B}`, '{}', '{"containerimage.digest":7}', '<html>'])(
    'something else: %j',
    (text) => {
      const file = fileWith(text);
      expect(refusalOf(() => readDigest('digest of gateway', file))).toMatch(
        new RegExp(`^1: the engine did not give the digest of gateway: ${file} holds '`),
      );
    },
  );

  test('nothing', () => {
    expect(refusalOf(() => readDigest('id of gateway linux/amd64', '/nonexistent'))).toBe(
      "1: the engine did not give the id of gateway linux/amd64: /nonexistent holds ''",
    );
  });
});

describe('cleaning up', () => {
  const isOurs = (name: string) => name.endsWith(RUN);
  const mine = `localhost/openshell-publish/gateway:${RUN}`;

  function place(name: 'docker' | 'podman', script: string) {
    const temporary = temporaryDirectory();
    const tools = fakeTools();
    if (name === 'podman') {
      tools.add('podman', [
        { args: ['images'], script: `printf '%s\\n' ${mine} localhost/openshell-publish/gateway:v1` },
        { args: ['manifest', 'rm'], script },
      ]);
    }
    const plan = publishPlan(name, {}, { temporary });
    mkdirSync(plan.scratch);
    writeFileSync(join(plan.scratch, 'digest'), '');
    mkdirSync(join(temporary, `other-${RUN}`));
    mkdirSync(join(temporary, 'openshell-publish-1-1-0123abcd'));
    const ctx = inProcess(tools);
    const others = ['openshell-publish-1-1-0123abcd', `other-${RUN}`];
    return { plan: { ...plan, config: { ...plan.config, root: temporary } }, ctx, tools, temporary, others };
  }

  test('the directory of the run, and its names in the storage of podman', async () => {
    const { ctx, others, plan, temporary, tools } = place('podman', ':');
    await removeLeftovers(ctx, plan, isOurs);
    expect(readdirSync(temporary).sort()).toEqual(others);
    expect(tools.lines()[1]).toBe(`podman manifest rm ${mine}`);
    expect(ctx.screen.stderr()).toBe('');
  });

  test('nothing is removed where nothing is left, and with docker nothing is started', async () => {
    const podman = place('podman', ':');
    await removeLeftovers(podman.ctx, podman.plan, () => false);
    expect(podman.tools.lines()).toHaveLength(1);
    expect(readdirSync(podman.temporary)).toHaveLength(3);
    const docker = place('docker', ':');
    await removeLeftovers(docker.ctx, docker.plan, isOurs);
    expect(docker.tools.lines()).toEqual([]);
    expect(readdirSync(docker.temporary).sort()).toEqual(docker.others);
  });

  test('what podman does not find at first is removed when it does', async () => {
    const { ctx, plan, tools } = place('podman', '[ -e asked ] && exit 0; : > asked; exit 125');
    await removeLeftovers(ctx, plan, isOurs);
    expect(tools.lines().filter((line) => line.startsWith('podman manifest rm'))).toHaveLength(2);
    expect(ctx.screen.stderr()).toBe('');
  });

  test('F5: in a shared directory what another user has left stays', onlyRoot(), async () => {
    const { ctx, plan, temporary } = place('docker', ':');
    const names = [1, 2].map((start) => `openshell-publish-${endedRun(start)}`);
    for (const name of names) {
      mkdirSync(join(temporary, name), { mode: 0o700 });
      writeFileSync(join(temporary, name, 'digest'), '');
    }
    chownSync(join(temporary, names[0] ?? ''), 65534, 65534);
    await removeLeftovers(ctx, plan, isLeftover);
    expect(readdirSync(temporary)).toContain(names[0]);
    expect(readdirSync(temporary)).not.toContain(names[1]);
    expect(ctx.screen.stderr()).toBe('');
  });

  const mounts = requireTools('unshare', 'chattr');
  test('F5: what cannot be removed, and a directory that cannot be listed', mounts.options, async () => {
    const { ctx, plan, temporary } = place('docker', ':');
    const path = join(temporary, `openshell-publish-${endedRun(1)}`);
    mkdirSync(path);
    writeFileSync(join(path, 'digest'), '');
    execFileSync('chattr', ['+i', path]);
    try {
      await removeLeftovers(ctx, plan, isLeftover);
    } finally {
      execFileSync('chattr', ['-i', path]);
    }
    expect(ctx.screen.stderr()).toMatch(
      /^warning: what a publish has left cannot be removed: \/\S+: the operation is not permitted; [^\n]*\n$/,
    );
    const unlisted = { ...plan, scratch: join(temporary, 'absent/x') };
    await expect(removeLeftovers(ctx, unlisted, isLeftover)).resolves.toBeUndefined();
  });
});

/** What `buildx inspect` prints for a builder. */
const row = (name: string, driver: string, more = '') => `printf 'Name: ${name}\\nDriver: ${driver}\\n${more}'`;
const ABSENT = 'echo "ERROR: no builder \\"x\\" found" >&2; exit 1';

/** Chooses with builders by name, '' for the current one; `named` is `DOCKER_BUILDER`. */
function choosing(builders: Readonly<Record<string, string>>, named?: string) {
  const tools = fakeTools();
  const cases = Object.entries(builders).map(([name, script]) => ({ args: ['buildx', 'inspect', name], script }));
  addEngine(tools, 'docker', { cases: cases.filter(({ args }) => args[2] !== ''), builder: builders[''] ?? ABSENT });
  const config = { ...publishConfig(named === undefined ? {} : { DOCKER_BUILDER: named }), root: tools.directory };
  return chooseBuilder(inProcess(tools), engineOf('docker'), config);
}

describe('which builder, without a name', () => {
  test.each(['docker-container', 'kubernetes', 'remote', 'cloud'])(
    'the current one with the driver %s',
    async (driver) => {
      expect(await choosing({ '': row('x', driver) })).toEqual({
        name: 'x',
        driver,
        note: '[builder] x (chosen with docker buildx use)',
      });
    },
  );

  test.each([
    ['has the driver docker', row('x', 'docker'), 'the current builder x has the driver docker, which cannot publish'],
    ['has an error', row('x', 'remote', 'Error: refused\\n'), 'the current builder x does not work: refused'],
    ['does not respond', 'echo denied >&2; exit 1', 'the current builder (docker buildx use) does not work: denied'],
    ['does not exist', ABSENT, 'the current builder (docker buildx use) does not exist'],
  ])('multiarch where the current one %s', async (_, current, why) => {
    const found = await choosing({ '': current, multiarch: row('multiarch', 'docker-container') });
    expect(found).toMatchObject({ name: 'multiarch', note: `[builder] multiarch (${why})` });
    expect(found.creation).toBeUndefined();
    const created = await choosing({ '': current, multiarch: ABSENT });
    expect(created).toEqual({
      name: 'multiarch',
      driver: 'docker-container',
      creation: ['buildx', 'create', '--name', 'multiarch', '--driver', 'docker-container', '--bootstrap'],
      note: `[builder] multiarch, which is created first (${why})`,
    });
  });
});

describe('which builder, with a name', () => {
  test('only one that does not exist is created', async () => {
    expect((await choosing({ x: ABSENT }, 'x')).creation).toContain('x');
    expect((await choosing({ x: row('x', 'remote') }, 'x')).creation).toBeUndefined();
    expect(await refusalFrom(() => choosing({ x: 'echo "ERROR: permission denied" >&2; exit 1' }, 'x'))).toBe(
      "2: the builder 'x' (DOCKER_BUILDER) does not work: ERROR: permission denied; set DOCKER_BUILDER to another one " +
        '(docker buildx ls), or to a new name, which is then created',
    );
  });

  test('R15: the one that BUILDX_BUILDER names is created under that name, and no other one', async () => {
    const tools = fakeTools();
    addEngine(tools, 'docker', { builder: ABSENT });
    const config = { ...publishConfig({ BUILDX_BUILDER: 'x' }), root: tools.directory };
    expect(await chooseBuilder(inProcess(tools), engineOf('docker'), config)).toMatchObject({
      name: 'x',
      creation: ['buildx', 'create', '--name', 'x', '--driver', 'docker-container', '--bootstrap'],
      note: '[builder] x, which is created first (BUILDX_BUILDER)',
    });
    expect(tools.lines()).toEqual(['docker buildx inspect x']);
  });

  test('podman has none: nothing is started, and a name has no effect', async () => {
    const ctx = inProcess(fakeTools());
    expect(await chooseBuilder(ctx, engineOf('podman'), publishConfig())).toEqual({});
    expect(await chooseBuilder(ctx, engineOf('podman'), publishConfig({ DOCKER_BUILDER: 'x' }))).toEqual({});
  });
});
