// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cleanUp, isLeftover, newRunName } from '../../../lib/publish/cleanup.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { publishPlan, RUN } from '../../support/publish-plan.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('leftovers', () => {
  test('of this run, of a dead one, of another program', () => {
    expect(isLeftover(`openshell-publish-${newRunName()}`)).toBe(false);
    expect(isLeftover('localhost/openshell-publish/gateway:999999999-12-0123abcd')).toBe(true);
    // The same pid, started at another time.
    expect(isLeftover(`openshell-publish-${process.pid}-1-0123abcd`)).toBe(process.platform === 'linux');
    for (const name of ['openshell-publish', 'x:dev', 'x-0-0-0123abcd', 'x-999999999-1-0123']) {
      expect(isLeftover(name), name).toBe(false);
    }
  });

  test('no two runs have the same name', () => {
    expect(newRunName()).not.toBe(newRunName());
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
    await cleanUp(ctx, plan, isOurs);
    expect(readdirSync(temporary).sort()).toEqual(others);
    expect(tools.lines()[1]).toBe(`podman manifest rm ${mine}`);
    expect(ctx.screen.stderr()).toBe('');
  });

  test('nothing is removed where nothing is left, and with docker nothing is started', async () => {
    const podman = place('podman', ':');
    await cleanUp(podman.ctx, podman.plan, () => false);
    expect(podman.tools.lines()).toHaveLength(1);
    expect(readdirSync(podman.temporary)).toHaveLength(3);
    const docker = place('docker', ':');
    await cleanUp(docker.ctx, docker.plan, isOurs);
    expect(docker.tools.lines()).toEqual([]);
    expect(readdirSync(docker.temporary).sort()).toEqual(docker.others);
  });

  test('what podman does not find at first is removed when it does', async () => {
    const { ctx, plan, tools } = place('podman', '[ -e asked ] && exit 0; : > asked; exit 125');
    await cleanUp(ctx, plan, isOurs);
    expect(tools.lines().filter((line) => line.startsWith('podman manifest rm'))).toHaveLength(2);
    expect(ctx.screen.stderr()).toBe('');
  });

  test('what cannot be removed is a warning', async () => {
    const { ctx, plan } = place('podman', 'echo "in use" >&2; exit 125');
    await cleanUp(ctx, plan, isOurs);
    expect(ctx.screen.stderr()).toBe('warning: what a publish has left cannot be removed: in use\n');
  });
});
