// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { chooseBuilder } from '../../../lib/publish/choose-builder.ts';
import { addEngine } from '../../support/fake-engine.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { engineOf, publishConfig } from '../../support/publish-plan.ts';
import { refusalFrom } from '../../support/task-errors.ts';

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

describe('without a name', () => {
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
      creation: ['buildx', 'create', '--name', 'multiarch', '--driver', 'docker-container'],
      boot: ['buildx', 'inspect', '--bootstrap', 'multiarch'],
      note: `[builder] multiarch, which is created first (${why})`,
    });
  });
});

describe('with a name', () => {
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
      creation: ['buildx', 'create', '--name', 'x', '--driver', 'docker-container'],
      boot: ['buildx', 'inspect', '--bootstrap', 'x'],
      note: '[builder] x, which is created first (BUILDX_BUILDER)',
    });
    expect(tools.lines()).toEqual(['docker buildx inspect x']);
  });

  test('podman has none: nothing is started, and a name is said to have no effect', async () => {
    const ctx = inProcess(fakeTools());
    expect(await chooseBuilder(ctx, engineOf('podman'), publishConfig())).toEqual({});
    expect(await chooseBuilder(ctx, engineOf('podman'), publishConfig({ DOCKER_BUILDER: 'x' }))).toEqual({
      note: 'podman has no builders; DOCKER_BUILDER has no effect',
    });
  });
});
