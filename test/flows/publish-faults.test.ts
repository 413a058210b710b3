// SPDX-License-Identifier: Apache-2.0

/** The faults of the bash publish, each under its id: what it did, and that it does not happen here. */

import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { takeLock } from '../../lib/fs/lock.ts';
import { newRunName } from '../../lib/fs/temporary-directory.ts';
import { builderRow, FakePublishing } from '../support/fake-publishing.ts';
import { endedRun } from '../support/run-names.ts';
import { whenSaid } from '../support/run-task.ts';

const ENGINES = ['docker', 'podman'] as const;
const DIGEST = 'sha256:[0-9a-f]{64}';

describe('C2, DPM-1, DPM-2: an older local image of the same name is not what is published', () => {
  test('podman: nothing is built, pushed or listed by a name that an image of this machine can have', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    await fake.publish({ EXTRA_DOCKER_TAGS: 'v1' });
    for (const { tool, args } of fake.checkout.tools.calls()) {
      if (tool !== 'podman') continue;
      const local = args.filter((word) => !word.startsWith('docker://'));
      expect(local.join(' '), args.join(' ')).not.toMatch(/(openshell|org)\/(gateway|supervisor):/);
      expect(args).not.toContain('-t');
      expect(args).not.toContain('tag');
      if (args[0] === 'push') expect(args.at(-2)).toMatch(new RegExp(`^${DIGEST}$`));
      if (args[1] === 'add') expect(args.slice(-2).join(' ')).toMatch(new RegExp(`@${DIGEST} .*@${DIGEST}$`));
    }
  });

  test('docker: builds have no tag, and tags are set from digests', async () => {
    const fake = new FakePublishing();
    await fake.publish({ EXTRA_DOCKER_TAGS: 'v1' });
    for (const line of fake.changes()) {
      if (line.startsWith('docker buildx build')) expect(line).not.toMatch(/ (-t|--tag)\b/);
      else expect(line).toMatch(new RegExp(`@${DIGEST}$`));
    }
  });
});

describe('C3: a failed publish does not hinder the next one', () => {
  test.each([
    'manifest create localhost/openshell-publish/gateway',
    'manifest add localhost',
    'manifest push',
    'push --digestfile',
    'build --platform',
  ])('podman: `%s` fails, and the next run finishes', async (FAKE_ON) => {
    const fake = new FakePublishing({ engine: 'podman' });
    const failed = await fake.publish({ FAKE_ON, FAKE_DO: 'echo "Error: no space left" >&2; exit 125' });
    expect(failed).toMatchObject({ status: 125, stdout: '' });
    expect(failed.stderr).toContain('Error: no space left');
    expect(fake.lists()).toEqual([]);
    expect(readdirSync(fake.temporary)).toEqual([]);
    expect((await fake.publish()).status).toBe(0);
  });

  test('podman: a list that bash has left under the release name is not in the way', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    fake.setList('ghcr.io/org/gateway:dev');
    expect((await fake.publish()).status).toBe(0);
    expect(fake.lists()).toEqual(['ghcr.io%org%gateway=dev']);
  });

  test('podman: what a killed run has left is removed, what a living one has is not', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    const names = [`gateway:${newRunName()}`, `gateway:${endedRun()}`, 'gateway:v1'];
    for (const name of names) fake.setList(`localhost/openshell-publish/${name}`);
    const directory = join(fake.temporary, `openshell-publish-${endedRun()}`);
    writeFileSync(directory, '');
    expect((await fake.publish()).status).toBe(0);
    expect(fake.lists().map((name) => name.replace(/.*%/, '').replace('=', ':'))).toEqual([names[0], names[2]].sort());
    expect(readdirSync(fake.temporary)).toEqual([]);
  });
});

test('AM-8: a publish with a builder elsewhere needs no daemon here', async () => {
  const fake = new FakePublishing({ builders: { far: builderRow('far', 'remote') } });
  const FAKE_DO = 'echo "Cannot connect to the Docker daemon" >&2; exit 1';
  const result = await fake.publish({ DOCKER_BUILDER: 'far', FAKE_ON: 'docker info', FAKE_DO });
  expect(result.status).toBe(0);
});

test('AM-1: a publish waits for a build of one of its images', async () => {
  const fake = new FakePublishing();
  const path = join(fake.checkout.root, 'deploy/docker/.build/.image-supervisor.lock');
  const lock = await takeLock({ path, remedy: '' }, 'image supervisor');
  if (!('release' in lock)) throw new Error('somebody else has it');
  const onStart = whenSaid(/waiting for another build of the image supervisor: pid/, () => {
    expect(fake.changes()).toEqual([]);
    lock.release();
  });
  const result = await fake.publish({}, [], { onStart });
  expect(result.stderr).toContain('waiting for another build of the image supervisor');
  expect(result.status).toBe(0);
});

describe('C4, DPM-5: settings of single builds do not reach a publish', () => {
  test.each(ENGINES)('%s: the same commands with and without them', async (engine) => {
    const settings = {
      DOCKER_OUTPUT: 'type=local,dest=o',
      DOCKER_PUSH: '0',
      DOCKER_PLATFORM: 'linux/amd64',
      IMAGE_REGISTRY: 'ghcr.io/elsewhere',
      PREBUILT_ARCH: 'arm64',
    };
    const shape = (line: string) =>
      line.replaceAll(/\S*openshell-publish\S*/g, 'OURS').replaceAll(/(?<= )\/\S*\/checkout\b/g, 'ROOT');
    const [plain, set] = [new FakePublishing({ engine }), new FakePublishing({ engine })];
    await plain.publish();
    const result = await set.publish(settings);
    expect(result.status).toBe(0);
    expect(set.changes().map(shape)).toEqual(plain.changes().map(shape));
    expect(set.checkout.builds()).toEqual(plain.checkout.builds());
  });
});

test.each(ENGINES)('H8, DPM-6: %s: extra tags are not expanded to names of files', async (engine) => {
  const fake = new FakePublishing({ engine });
  const result = await fake.publish({ EXTRA_DOCKER_TAGS: 'v1,Cargo*' });
  expect(result.status).toBe(2);
  expect(result.stderr).toContain("EXTRA_DOCKER_TAGS is 'Cargo*'");
  expect(fake.changes()).toEqual([]);
  await fake.publish({ EXTRA_DOCKER_TAGS: ' v1,  v2 v1, dev,' });
  const tags = Object.keys(fake.tags()).filter((tag) => tag.includes('gateway') && !tag.includes('linux'));
  expect(tags.sort()).toEqual(['dev', 'v1', 'v2'].map((tag) => `ghcr.io/org/gateway:${tag}`));
});

test.each(ENGINES)('H9: %s: blanks around platforms are dropped, and so are duplicates', async (engine) => {
  const fake = new FakePublishing({ engine });
  const result = await fake.publish({ DOCKER_PLATFORMS: ' linux/amd64,  linux/arm64 ,linux/amd64' });
  expect(result.status).toBe(0);
  const args = fake.checkout.tools.calls().flatMap((call) => (call.tool === engine ? call.args : []));
  expect(args.filter((word) => /\s/.test(word) && !word.includes('{{'))).toEqual([]);
  expect(fake.changes().filter((line) => line.includes('Dockerfile.gateway'))).toHaveLength(
    engine === 'docker' ? 1 : 2,
  );
});

test('H10, DPM-3: podman: an extra tag, new or existing', async () => {
  const fake = new FakePublishing({ engine: 'podman' });
  fake.setTag('ghcr.io/org/gateway:v1', '{"manifests":[]}');
  const result = await fake.publish({ EXTRA_DOCKER_TAGS: 'v1' });
  expect(result.status).toBe(0);
  const tags = fake.tags();
  expect(tags['ghcr.io/org/gateway:v1']).toBe(tags['ghcr.io/org/gateway:dev']);
  expect(tags['ghcr.io/org/supervisor:v1']).toBe(tags['ghcr.io/org/supervisor:dev']);
  expect(fake.lists()).toEqual([]);
});

test.each([builderRow('default', 'docker'), builderRow('far', 'remote')])(
  "H11, DPM-4: the user's builder is not switched",
  async (current) => {
    const fake = new FakePublishing({ builders: { '': current } });
    await fake.publish();
    const args = fake.checkout.tools.calls().flatMap(({ args }) => args);
    expect(args).not.toContain('use');
    expect(args).not.toContain('--use');
  },
);

describe('H12: not one component new and the other old', () => {
  test.each(ENGINES)('%s: a build that ends with 2 is a failure, not wrong usage', async (engine) => {
    const fake = new FakePublishing({ engine });
    const failed = await fake.publish({ FAKE_ON: 'Dockerfile.gateway', FAKE_DO: 'exit 2' });
    expect(failed).toMatchObject({ status: 1, stdout: '' });
    expect(failed.stderr).toMatch(/failed with status 2 .*; no reference was set before that; run it again to finish/);
  });

  test.each(ENGINES)('%s: the second build fails: no reference moves, the next run finishes', async (engine) => {
    const fake = new FakePublishing({ engine });
    const failed = await fake.publish({ FAKE_ON: 'Dockerfile.supervisor', FAKE_DO: 'echo "RUN failed" >&2; exit 17' });
    expect(failed).toMatchObject({ status: 17, stdout: '' });
    expect(failed.stderr).toContain('RUN failed');
    expect(failed.stderr).toMatch(/; no reference was set before that; run it again to finish$/m);
    expect(fake.tags()).toEqual({});
    expect((await fake.publish()).status).toBe(0);
  });

  test('podman: content of the second does not arrive: no tag of the release moves', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    const failed = await fake.publish({ FAKE_ON: 'supervisor:dev-linux-arm64', FAKE_DO: '[[ $1 != push ]] || exit 9' });
    expect(failed.status).toBe(9);
    expect(Object.keys(fake.tags()).every((tag) => tag.includes('-linux-'))).toBe(true);
  });

  test.each([
    ['docker', 'imagetools create --builder far --prefer-index=false -t ghcr.io/org/supervisor:dev'],
    ['podman', 'digest-of-supervisor localhost'],
  ] as const)(
    '%s: the second tag fails: it says which moved, and the next run moves the rest',
    async (engine, FAKE_ON) => {
      const fake = new FakePublishing({ engine });
      const failed = await fake.publish({ FAKE_ON, FAKE_DO: 'echo "connection reset" >&2; exit 3', TAG_LATEST: 'on' });
      expect(failed).toMatchObject({ status: 3, stdout: '' });
      expect(failed.stderr).toContain('connection reset');
      const error = failed.stderr.split('\n').find((line) => line.startsWith('error:')) ?? '';
      expect(error).toMatch(/set before that: .*ghcr\.io\/org\/gateway:dev; run it again to finish$/);
      const again = await fake.publish({ TAG_LATEST: 'on' });
      expect(again.status).toBe(0);
      expect(Object.keys(fake.tags())).toEqual(expect.arrayContaining(again.stdout.match(/^\S+/gm) ?? []));
    },
  );

  test('a compile that fails is before everything', async () => {
    const fake = new FakePublishing();
    fake.checkout.setCargo({ before: '[[ $binary == *gateway ]] || exit 101' });
    expect((await fake.publish()).status).toBe(101);
    expect(fake.changes()).toEqual([]);
  });
});

test.each(ENGINES)('X2: %s: no extra tags, and latest alone: all is tagged', async (engine) => {
  const fake = new FakePublishing({ engine });
  expect((await fake.publish({ TAG_LATEST: 'true', EXTRA_DOCKER_TAGS: '' })).status).toBe(0);
  const tags = fake.tags();
  for (const name of ['gateway', 'supervisor']) {
    expect(tags[`ghcr.io/org/${name}:latest`]).toBe(tags[`ghcr.io/org/${name}:dev`]);
  }
});

test.each([
  ['1', true],
  ['Yes', true],
  ['off', false],
  ['0', false],
])('L1: TAG_LATEST=%s', async (TAG_LATEST, isTagged) => {
  const fake = new FakePublishing();
  await fake.publish({ TAG_LATEST, CI: 'false' });
  expect('ghcr.io/org/gateway:latest' in fake.tags()).toBe(isTagged);
  expect(fake.checkout.builds()).toHaveLength(2);
});

test('L7: a wrong argument is told without an engine', async () => {
  const fake = new FakePublishing();
  const result = await fake.publish({ DOCKER_REGISTRY: '', PATH: `${fake.checkout.root}:/bin` });
  expect(result.status).toBe(2);
  expect(result.stderr).toContain('DOCKER_REGISTRY is not set');
});

test('DPM-6, G-1: it works on the checkout, whatever directory it is started in', async () => {
  const fake = new FakePublishing();
  const start = fake.checkout.tools.directory;
  const result = await fake.publish({}, [], { cwd: start });
  expect(result.status).toBe(0);
  const builds = fake.checkout.tools.calls().filter(({ args }) => args[1] === 'build');
  expect(builds).toHaveLength(2);
  for (const { cwd, args } of builds) {
    expect(args.at(-1)).toBe(fake.checkout.root);
    expect(args[args.indexOf('-f') + 1]).toMatch(`${fake.checkout.root}/deploy/docker/Dockerfile.`);
    // Relative paths in options are relative to where the task was started, as in an image build.
    expect(cwd).toBe(start);
  }
  const changing = /^buildx (build|imagetools create)/;
  const others = fake.checkout.tools.calls().filter(({ args }) => !changing.test(args.join(' ')));
  expect(new Set(others.map(({ cwd }) => cwd))).toEqual(new Set([fake.checkout.root]));
});

describe('stopped', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s: the engine ends first, it says how far it came, and the next run finishes',
    async (signal, status) => {
      const fake = new FakePublishing({ engine: 'podman' });
      const FAKE_DO = ': > "$FAKE_STATE/asleep"; exec /bin/sleep 60';
      const stopped = await fake.publish({ FAKE_ON: 'digest-of-supervisor localhost', FAKE_DO }, [], {
        onStart: async (child) => {
          while (!fake.hasMark('asleep')) await sleep(10);
          child.kill(signal);
        },
      });
      expect(stopped).toMatchObject({ status, stdout: '' });
      expect(stopped.stderr).toMatch(/^publish stopped: set before that: .*ghcr\.io\/org\/gateway:dev; run it again/m);
      expect(stopped.stderr.trimEnd()).toMatch(new RegExp(`\nerror: stopped by ${signal}$`));
      expect(readdirSync(fake.temporary)).toEqual([]);
      const again = await fake.publish();
      expect(again.status).toBe(0);
      expect(fake.lists()).toEqual([]);
    },
  );

  test('SIGKILL: what it left is removed by the next run, which finishes', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    const FAKE_DO = ': > "$FAKE_STATE/asleep"; exec /bin/sleep 3';
    const killed = await fake.publish({ FAKE_ON: 'digest-of-gateway localhost', FAKE_DO }, [], {
      onStart: async (child) => {
        while (!fake.hasMark('asleep')) await sleep(10);
        child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(fake.lists()).not.toEqual([]);
    expect((await fake.publish()).status).toBe(0);
    expect(fake.lists()).toEqual([]);
    expect(readdirSync(fake.temporary)).toEqual([]);
  });
});
