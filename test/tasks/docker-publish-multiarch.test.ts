// SPDX-License-Identifier: Apache-2.0

/** The publish with fake tools: what it starts, in which order, and what it says. The faults of bash: publish-faults. */

import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildElf } from '../support/elf-builder.ts';
import { builderRow, FakePublishing } from '../support/fake-publishing.ts';

const ENGINES = ['docker', 'podman'] as const;
const DIGEST = /sha256:[0-9a-f]{64}/g;

/** A line with what differs from run to run, from place to place and from content to content taken out. */
function shape(line: string): string {
  return line
    .replaceAll(DIGEST, 'DIGEST')
    .replaceAll(/(?<= )\/\S*\/checkout\b/g, 'ROOT')
    .replace(/\/\S*openshell-publish-[0-9a-f-]+/, 'SCRATCH')
    .replace(/:\d+(-[0-9a-f]{8}){2}/g, ':RUN');
}

/** The lines that were printed, by reference. */
function rowsOf(stdout: string): Record<string, string[]> {
  const rows = stdout.trimEnd().split('\n');
  return Object.fromEntries(
    rows.map((row) => row.split(/ {2,}/)).map(([reference = '', ...rest]) => [reference, rest]),
  );
}

describe('what is started', () => {
  test('docker: one compile for each component, builds pushed by digest, then tags from digests', async () => {
    const fake = new FakePublishing();
    const result = await fake.publish({ EXTRA_DOCKER_TAGS: 'v1' });
    expect(result.stderr).not.toContain('error');
    expect(result.status).toBe(0);
    const build = (name: string) =>
      `docker buildx build --builder far --platform linux/amd64,linux/arm64 -f ROOT/deploy/docker/Dockerfile.${name} ` +
      `--target ${name} --provenance=false --build-arg SOURCE_DATE_EPOCH=0 --metadata-file SCRATCH/digest-of-${name} ` +
      `--output type=image,name=ghcr.io/org/${name},push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true ROOT`;
    const tag = (name: string, as: string) =>
      `docker buildx imagetools create --builder far --prefer-index=false -t ghcr.io/org/${name}:${as} ghcr.io/org/${name}@DIGEST`;
    expect(fake.changes().map(shape)).toEqual([
      build('gateway'),
      build('supervisor'),
      tag('gateway', 'dev'),
      tag('supervisor', 'dev'),
      tag('gateway', 'v1'),
      tag('supervisor', 'v1'),
    ]);
    expect(fake.checkout.builds().map((line) => line.match(/--target \S+|-p \S+/g))).toEqual([
      ['--target x86_64-unknown-linux-gnu.2.28', '--target aarch64-unknown-linux-gnu.2.28', '-p openshell-server'],
      ['--target x86_64-unknown-linux-musl', '--target aarch64-unknown-linux-musl', '-p openshell-sandbox'],
    ]);
    fake.checkout.tools.verify();
  });

  test('podman: images without names, pushed by id; a list of digests under each tag', async () => {
    const fake = new FakePublishing({ engine: 'podman' });
    const result = await fake.publish({ TAG_LATEST: 'yes', DOCKER_PLATFORMS: 'linux/arm64,linux/amd64' });
    expect(result.status).toBe(0);
    const each = (lines: (name: string, arch: string) => string) =>
      ['gateway', 'supervisor'].flatMap((name) => ['arm64', 'amd64'].map((arch) => lines(name, arch)));
    const list = (name: string) => `localhost/openshell-publish/${name}:RUN`;
    const content = (name: string) => [
      ...['arm64', 'amd64'].map(
        (arch) =>
          `podman push --digestfile SCRATCH/digest-of-${name}-linux-${arch} DIGEST docker://ghcr.io/org/${name}:dev-linux-${arch}`,
      ),
      `podman manifest create ${list(name)}`,
      `podman manifest add ${list(name)} docker://ghcr.io/org/${name}@DIGEST docker://ghcr.io/org/${name}@DIGEST`,
    ];
    const tag = (name: string, as: string) =>
      `podman manifest push --all=false --digestfile SCRATCH/digest-of-${name} ${list(name)} docker://ghcr.io/org/${name}:${as}`;
    expect(fake.changes().map(shape)).toEqual([
      ...each(
        (name, arch) =>
          `podman build --platform linux/${arch} -f ROOT/deploy/docker/Dockerfile.${name} --target ${name} --timestamp 0 ` +
          `--iidfile SCRATCH/id-of-${name}-linux-${arch} ROOT`,
      ),
      ...content('gateway'),
      ...content('supervisor'),
      tag('gateway', 'dev'),
      tag('supervisor', 'dev'),
      tag('gateway', 'latest'),
      tag('supervisor', 'latest'),
    ]);
    expect(fake.lists()).toEqual([]);
    fake.checkout.tools.verify();
  });

  test.each(ENGINES)(
    '%s: a dry run prints the commands that a run starts, and starts nothing but probes',
    async (engine) => {
      const fake = new FakePublishing({ engine, builders: { '': builderRow('default', 'docker') } });
      const settings = { EXTRA_DOCKER_TAGS: 'v1' };
      const planned = await fake.publish(settings, ['--dry-run', '--pull']);
      expect(planned.status).toBe(0);
      expect(fake.changes()).toEqual([]);
      expect(fake.checkout.builds()).toEqual([]);
      expect(readdirSync(fake.temporary)).toEqual([]);
      expect((await fake.publish(settings, ['--pull'])).status).toBe(0);
      const commands = planned.stdout.split('\n').filter((line) => /^(docker|podman) /.test(line));
      const known = (line: string) =>
        shape(line)
          .replaceAll("'", '')
          .replaceAll(/<[^>]*>/g, 'DIGEST');
      expect(commands.map(known)).toEqual(fake.changes().map(known));
      expect(planned.stdout).toMatch(/@?<digest of gateway/);
      expect(planned.stdout).toContain('cargo zigbuild --release --target x86_64-unknown-linux-gnu.2.28');
    },
  );

  test.each(ENGINES)('%s: one platform', async (engine) => {
    const fake = new FakePublishing({ engine });
    const result = await fake.publish({ DOCKER_PLATFORMS: 'linux/arm64' });
    expect(result.stderr).not.toContain('error');
    expect(rowsOf(result.stdout)['ghcr.io/org/gateway:dev']?.slice(1)).toEqual(['linux/arm64']);
    expect(fake.checkout.builds().every((line) => !line.includes('x86_64'))).toBe(true);
  });

  test('options are passed on to both builds', async () => {
    const fake = new FakePublishing();
    await fake.publish({}, ['--cache-from', 'type=gha', '--build-arg', 'A=b c']);
    const builds = fake.checkout.tools.calls().filter(({ args }) => args[1] === 'build');
    expect(builds).toHaveLength(2);
    for (const { args } of builds) expect(args.join('|')).toContain('|--cache-from|type=gha|--build-arg|A=b c|');
  });

  test('a container that builds keeps its cache in a directory of each image; in CI it does not', async () => {
    const fake = new FakePublishing({ builders: { '': builderRow('box', 'docker-container') } });
    await fake.publish();
    const cache = join(fake.checkout.root, '.cache/buildkit/images/gateway');
    expect(fake.changes()[0]).toContain(
      `--cache-from type=local,src=${cache} --cache-to type=local,dest=${cache},mode=max`,
    );
    await fake.publish({ CI: '1' });
    expect(fake.changes().at(-1)).not.toContain('--cache');
  });

  test('SOURCE_DATE_EPOCH is the time that images bear', async () => {
    const docker = new FakePublishing();
    await docker.publish({ SOURCE_DATE_EPOCH: '1700000000' });
    expect(docker.changes()[0]).toContain('--build-arg SOURCE_DATE_EPOCH=1700000000');
    const podman = new FakePublishing({ engine: 'podman' });
    await podman.publish({ SOURCE_DATE_EPOCH: '1700000000' });
    expect(podman.changes()[0]).toContain('--timestamp 1700000000');
    // Newer podman reads the variable, too, and does not want the time twice.
    expect(
      podman.checkout.tools.calls().find(({ args }) => args[0] === 'build')?.env.SOURCE_DATE_EPOCH,
    ).toBeUndefined();
  });
});

describe('what it says', () => {
  test.each(ENGINES)('%s: each reference with its digest and platforms, and the same again', async (engine) => {
    const fake = new FakePublishing({ engine });
    const first = await fake.publish({ EXTRA_DOCKER_TAGS: 'v1', TAG_LATEST: 'true' });
    const rows = rowsOf(first.stdout);
    const tags = fake.tags();
    expect(Object.keys(rows).sort()).toEqual(Object.keys(tags).sort());
    const digests = ['dev', 'v1', 'latest'].map((tag) => rows[`ghcr.io/org/gateway:${tag}`]?.[0]);
    expect(new Set(digests).size).toBe(1);
    expect(rows['ghcr.io/org/gateway:v1']?.[1]).toBe('linux/amd64,linux/arm64');

    const second = await fake.publish({ EXTRA_DOCKER_TAGS: 'v1', TAG_LATEST: 'true' });
    expect(second.status).toBe(0);
    expect(second.stdout).toBe(first.stdout);
    expect(fake.tags()).toEqual(tags);
  });

  test.each(ENGINES)('%s: only the component that changed moves', async (engine) => {
    const fake = new FakePublishing({ engine });
    await fake.publish();
    const before = fake.tags();
    fake.checkout.setCargo({ before: '[[ $binary == *gateway ]] || FAKE_APPS=$FAKE_APPS-new' });
    const apps = `${fake.checkout.apps}-new`;
    mkdirSync(apps);
    for (const [cpu, machine] of [
      ['x86_64', 62],
      ['aarch64', 183],
    ] as const) {
      writeFileSync(join(apps, cpu), buildElf({ machine, payload: 5000 }).bytes, { mode: 0o755 });
    }
    const result = await fake.publish();
    expect(result.stderr).not.toContain('error');
    expect(fake.tags()['ghcr.io/org/gateway:dev']).toBe(before['ghcr.io/org/gateway:dev']);
    expect(fake.tags()['ghcr.io/org/supervisor:dev']).not.toBe(before['ghcr.io/org/supervisor:dev']);
  });
});

describe('where builders come from', () => {
  const created = (fake: FakePublishing) => fake.changes().filter((line) => line.startsWith('docker buildx create'));
  const DOCKER = builderRow('default', 'docker');

  test.each<[string, Record<string, string>, Record<string, string>, string, string[]]>([
    ['the current one', { '': builderRow('far', 'kubernetes') }, {}, 'far (chosen with docker buildx use)', []],
    [
      'multiarch, where the current one cannot publish',
      { '': DOCKER, multiarch: builderRow('multiarch', 'docker-container') },
      {},
      'multiarch (the current builder default has the driver docker, which cannot publish)',
      [],
    ],
    [
      'multiarch, created',
      { '': DOCKER },
      {},
      'multiarch, which is created first (the current builder default has the driver docker',
      ['docker buildx create --name multiarch --driver docker-container --bootstrap'],
    ],
    [
      'the named one',
      { '': DOCKER, mine: builderRow('mine', 'remote') },
      { DOCKER_BUILDER: 'mine' },
      'mine (DOCKER_BUILDER)',
      [],
    ],
    [
      'the named one, created',
      { '': DOCKER },
      { DOCKER_BUILDER: 'mine' },
      'mine, which is created first (DOCKER_BUILDER)',
      ['docker buildx create --name mine --driver docker-container --bootstrap'],
    ],
  ])('%s', async (_, builders, extra, note, creations) => {
    const fake = new FakePublishing({ builders });
    const result = await fake.publish(extra);
    expect(result.stderr).toContain(`[builder] ${note}`);
    expect(result.status).toBe(0);
    expect(created(fake)).toEqual(creations);
    const name = note.split(/[ ,]/)[0];
    for (const line of fake.changes().slice(creations.length)) expect(line).toContain(` --builder ${name} `);
  });

  test('one that is created and does not start is an error before the compile', async () => {
    const fake = new FakePublishing({ builders: { '': DOCKER } });
    const result = await fake.publish({ FAKE_ON: 'buildx create', FAKE_DO: 'echo no such host >&2; exit 3' });
    expect(result.status).toBe(3);
    expect(result.stderr).toMatch(/^no such host$[\s\S]*^error: docker buildx create .*--bootstrap failed with/m);
    expect(fake.checkout.builds()).toEqual([]);
  });

  test('--builder names one, too', async () => {
    const fake = new FakePublishing({ builders: { mine: builderRow('mine', 'remote') } });
    const result = await fake.publish({}, ['--builder', 'mine', '--provenance', 'false']);
    expect(result.status).toBe(0);
    for (const line of fake.changes()) expect(line.match(/--builder \S+/g)).toEqual(['--builder mine']);
  });

  test.each([
    [
      'its driver cannot publish',
      DOCKER,
      /the builder 'mine' \(DOCKER_BUILDER\) has the driver docker, which cannot publish/,
    ],
    [
      'a node of it does not work',
      `${builderRow('mine', 'remote')}; echo 'Error:  connection refused'`,
      /the builder 'mine' \(DOCKER_BUILDER\) does not work: connection refused/,
    ],
    ['it does not respond', 'echo "ERROR: no permission" >&2; exit 1', /does not work: ERROR: no permission/],
  ])('a named one where %s is an error before the compile', async (_, mine, message) => {
    const fake = new FakePublishing({ builders: { mine } });
    const result = await fake.publish({ DOCKER_BUILDER: 'mine' });
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(message);
    expect([...fake.changes(), ...fake.checkout.builds()]).toEqual([]);
  });
});

describe('before a compile', () => {
  const started = (fake: FakePublishing) => [...fake.changes(), ...fake.checkout.builds()];

  test.each<[Record<string, string>, RegExp]>([
    [{ DOCKER_REGISTRY: '' }, /DOCKER_REGISTRY is not set; set it to the registry and path to publish to/],
    [{ DOCKER_REGISTRY: ' ' }, /DOCKER_REGISTRY is ' '; allowed is HOST/],
    [{ DOCKER_REGISTRY: 'https://ghcr.io/org' }, /without a scheme/],
    [{ DOCKER_REGISTRY: 'ghcr.io/Org' }, /in lower case/],
    [{ DOCKER_REGISTRY: 'ghcr.io/org/' }, /DOCKER_REGISTRY is 'ghcr.io\/org\/'/],
    [{ IMAGE_TAG: ':' }, /IMAGE_TAG is ':'/],
    [{ IMAGE_TAG: ' ' }, /IMAGE_TAG is ' '/],
    [{ IMAGE_TAG: 'Cargo*' }, /IMAGE_TAG is 'Cargo\*'/],
    [{ IMAGE_TAG: 'x'.repeat(129) }, /up to 128 letters/],
    [{ EXTRA_DOCKER_TAGS: 'v1,:' }, /EXTRA_DOCKER_TAGS is ':'/],
    [{ DOCKER_PLATFORMS: 'linux/386' }, /DOCKER_PLATFORMS is 'linux\/386'/],
    [{ DOCKER_PLATFORMS: ',' }, /an entry is empty/],
    [{ DOCKER_PLATFORMS: '  ' }, /an entry is empty/],
    [{ DOCKER_PLATFORMS: 'Linux/AMD64' }, /is not supported/],
    [{ TAG_LATEST: 'maybe' }, /TAG_LATEST is 'maybe'/],
    [{ DOCKER_BUILDER: 'a b' }, /DOCKER_BUILDER is 'a b'/],
    [{ SOURCE_DATE_EPOCH: '-1' }, /SOURCE_DATE_EPOCH is '-1'; allowed is a whole number/],
    [{ CONTAINER_ENGINE: 'nerdctl' }, /CONTAINER_ENGINE is 'nerdctl'/],
    [{ SUPERVISOR_LIBC: 'uclibc' }, /SUPERVISOR_LIBC is 'uclibc'/],
  ])('%j is one line and status 2', async (extra, message) => {
    const fake = new FakePublishing();
    const result = await fake.publish(extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(fake.checkout.tools.lines()).toEqual([]);
  });

  test.each([
    ['--push'],
    ['--load'],
    ['-o', 'x'],
    ['--output=type=oci'],
    ['-t', 'x/y:z'],
    ['-tx/y:z'],
    ['--tag=x/y:z'],
    ['--platform=linux/386'],
    ['--manifest', 'm'],
    ['-f', 'Dockerfile'],
    ['--metadata-file=x'],
    ['--iidfile', 'x'],
  ])('the option %s, which would change what is published, is refused', async (...args) => {
    const fake = new FakePublishing();
    const result = await fake.publish({}, args);
    expect(result.status).toBe(2);
    expect(result.stderr).toContain('cannot be passed on');
    expect(fake.checkout.tools.lines()).toEqual([]);
  });

  test.each([
    ['docker', 'imagetools inspect', 'ERROR: failed to do request: dial tcp 1.2.3.4:443: connection refused'],
    ['docker', 'imagetools inspect', 'ERROR: unexpected status from HEAD request: 401 Unauthorized'],
    ['docker', 'imagetools inspect', 'ERROR: pull access denied, repository does not exist: no basic auth credentials'],
    ['podman', 'search --list-tags', 'reading manifest dev: unauthorized: authentication required'],
  ] as const)('%s: a registry that cannot be read stops it: %s, %s', async (engine, FAKE_ON, reason) => {
    const fake = new FakePublishing({ engine });
    const result = await fake.publish({ FAKE_ON, FAKE_DO: `echo '${reason}' >&2; exit 1` });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(`cannot be read: ${reason}; check DOCKER_REGISTRY, the network and the login`);
    expect(started(fake)).toEqual([]);
  });

  test('a registry that denies what does not exist yet does not stop it', async () => {
    const fake = new FakePublishing();
    const FAKE_DO = `[[ -f $(place "$last") ]] || { echo 'ERROR: insufficient_scope: authorization failed' >&2; exit 1; }`;
    const result = await fake.publish({ FAKE_ON: 'imagetools inspect', FAKE_DO });
    expect(result.status).toBe(0);
  });

  test('an engine that does not respond is reported with its own reason', async () => {
    const fake = new FakePublishing();
    const result = await fake.publish({
      FAKE_ON: 'docker info',
      FAKE_DO: 'echo "permission denied on the socket" >&2; exit 1',
    });
    expect(result.status).toBe(2);
    expect(result.stderr).toContain('permission denied on the socket');
    expect(started(fake)).toEqual([]);
  });

  test('AQ-3: in CI nothing is compiled: staged binaries have to exist, and are verified', async () => {
    const fake = new FakePublishing();
    const missing = await fake.publish({ CI: 'true' });
    expect(missing.status).toBe(2);
    expect(missing.stderr).toContain('nothing is staged here (CI or PREBUILT_AUTO_STAGE=0); run tasks/stage.ts first');
    expect(started(fake)).toEqual([]);
    await fake.checkout.stage(['all'], { DOCKER_PLATFORM: 'linux/amd64,linux/arm64' });
    const count = fake.checkout.builds().length;
    expect((await fake.publish({ CI: 'true' })).status).toBe(0);
    expect((await fake.publish({ PREBUILT_AUTO_STAGE: 'off' })).status).toBe(0);
    expect(fake.checkout.builds()).toHaveLength(count);
    const gateway = fake.checkout.staged('arm64', 'openshell-gateway');
    chmodSync(gateway, 0o644);
    const unstartable = await fake.publish({ CI: 'true' });
    expect(unstartable.status).toBe(2);
    expect(unstartable.stderr).toContain(`run: chmod 755 ${gateway}`);
    chmodSync(gateway, 0o755);
    const arm = fake.checkout.staged('arm64', 'openshell-sandbox');
    mkdirSync(dirname(arm), { recursive: true });
    writeFileSync(arm, buildElf({ machine: 62 }).bytes);
    const foreign = await fake.publish({ CI: 'true' });
    expect(foreign.status).not.toBe(0);
    expect(foreign.stderr).toMatch(/error: .*openshell-sandbox.*x86-64/);
  });
});
