// SPDX-License-Identifier: Apache-2.0

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addEngine, DOCKER_INFO, type FakeEngine, imageCheckout } from '../support/fake-engine.ts';
import type { FakeCheckout } from '../support/fake-rust.ts';
import { runMise } from '../support/run-mise.ts';
import { runTaskFile, SUITE_ROOT, type TaskOptions, type TaskResult } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

type Extra = Record<string, string>;

const PUSH = { DOCKER_PUSH: '1', IMAGE_REGISTRY: 'ghcr.io/org' };

const CONTAINER_BUILDER = "printf 'Name:          multi\\nDriver:        docker-container\\nLast Activity: now\\n'";

/** A checkout with one engine on PATH, which is the one that is taken. */
function checkoutWith(name: 'docker' | 'podman', engine: FakeEngine = {}): FakeCheckout {
  const checkout = imageCheckout();
  addEngine(checkout.tools, name, engine);
  onTestFinished(() => checkout.tools.verify());
  return checkout;
}

function build(
  checkout: FakeCheckout,
  args: readonly string[] = ['supervisor'],
  extra: Extra = {},
  options: Partial<TaskOptions> = {},
): Promise<TaskResult> {
  return runTaskFile('docker-build-image', args, { cwd: checkout.root, env: checkout.env(extra), ...options });
}

/** The calls of an engine. */
const callsOf = (checkout: FakeCheckout, name: string) =>
  checkout.tools.lines().filter((line) => line.startsWith(`${name} `));

/** The arguments of the one build. */
function buildArguments(checkout: FakeCheckout): readonly string[] {
  const builds = checkout.tools.calls().filter(({ args }) => args.includes('build') && args.includes('-f'));
  expect(builds).toHaveLength(1);
  return builds[0]?.args ?? [];
}

/** The value of an option among the arguments of the one build. */
function optionOf(checkout: FakeCheckout, option: string): string | undefined {
  const args = buildArguments(checkout);
  return args.includes(option) ? args[args.indexOf(option) + 1] : undefined;
}

describe('what is run', () => {
  test('docker: each probe once, the staging, the build', async () => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout);
    expect(result).toMatchObject({ status: 0, stdout: 'openshell/supervisor:dev\n' });
    expect(callsOf(checkout, 'docker')).toEqual([
      'docker info --format {{json .}}',
      'docker buildx inspect',
      `docker buildx build --platform linux/amd64 -f ${checkout.root}/deploy/docker/Dockerfile.supervisor ` +
        `--target supervisor -t openshell/supervisor:dev --provenance=false --load ${checkout.root}`,
    ]);
    expect(checkout.builds()).toHaveLength(1);
    expect(readFileSync(checkout.staged('amd64', 'openshell-sandbox'))).toEqual(
      readFileSync(join(checkout.apps, 'x86_64')),
    );
    expect(result.stderr).toMatch(/^staged: deploy.*openshell-sandbox/m);
    expect(result.stderr.trim().split('\n').at(-1)).toMatch(
      /^done: openshell\/supervisor:dev for linux\/amd64 loaded into docker; supervisor .*image /,
    );
  });

  test('contexts, hosts and the builder of the environment reach docker as they are', async () => {
    const checkout = checkoutWith('docker');
    const settings = {
      DOCKER_HOST: 'ssh://far',
      DOCKER_CONTEXT: 'c',
      BUILDX_BUILDER: 'b',
      DOCKER_CONFIG: '/my/docker',
    };
    expect((await build(checkout, ['supervisor'], settings)).status).toBe(0);
    const calls = checkout.tools.calls().filter(({ tool }) => tool === 'docker');
    expect(calls).toHaveLength(3);
    for (const { env } of calls) expect(env).toMatchObject(settings);
  });

  test('a signal in the middle of the build: 128+n, and the next build does not wait', async () => {
    const checkout = checkoutWith('docker', { build: 'echo building >&2; /bin/sleep 30' });
    const stopped = await build(
      checkout,
      ['supervisor'],
      {},
      {
        onStart: (child) =>
          child.stderr?.on('data', (text) => /^building$/m.test(String(text)) && child.kill('SIGTERM')),
      },
    );
    expect(stopped).toMatchObject({ status: 143, stdout: '' });
    expect(stopped.stderr).toMatch(/^error: stopped by SIGTERM$/m);
    addEngine(checkout.tools, 'docker');
    const next = await build(checkout);
    expect(next.status).toBe(0);
    expect(next.stderr).not.toContain('waiting');
  });

  test('podman: one probe, no builders, and no option that only docker knows', async () => {
    const checkout = checkoutWith('podman');
    const result = await build(checkout, ['gateway', '--provenance', 'false', '--pull'], { DOCKER_BUILDER: 'b' });
    expect(result).toMatchObject({ status: 0, stdout: 'openshell/gateway:dev\n' });
    expect(callsOf(checkout, 'podman')).toEqual([
      'podman info --format {{json .}}',
      `podman build --platform linux/amd64 -f ${checkout.root}/deploy/docker/Dockerfile.gateway --target gateway ` +
        `-t openshell/gateway:dev --pull ${checkout.root}`,
    ]);
  });

  test.each([
    [['supervisor-output'], 'openshell/supervisor:dev', {}],
    [['gateway'], 'ghcr.io/org/gateway:v1.2', { IMAGE_REGISTRY: 'ghcr.io/org', IMAGE_TAG: 'v1.2' }],
    [['gateway'], '[::1]:5000/gateway:dev', { IMAGE_REGISTRY: '[::1]:5000', IMAGE_NAME: 'ignored' }],
  ])('%j is %s', async (args, reference, extra) => {
    const checkout = checkoutWith('docker');
    expect(await build(checkout, args, extra as Extra)).toMatchObject({ status: 0, stdout: `${reference}\n` });
    expect(optionOf(checkout, '-t')).toBe(reference);
  });

  test('podman pushes with a command of its own, without TLS on loopback alone', async () => {
    const checkout = checkoutWith('podman');
    const settings = { DOCKER_PUSH: 'Yes', IMAGE_REGISTRY: '127.0.0.1:5000' };
    const result = await build(checkout, ['supervisor', '-t', 'ghcr.io/me/x'], settings);
    expect(result).toMatchObject({ status: 0, stdout: '127.0.0.1:5000/supervisor:dev\n' });
    expect(callsOf(checkout, 'podman').slice(2)).toEqual([
      'podman push --tls-verify=false 127.0.0.1:5000/supervisor:dev',
      'podman push ghcr.io/me/x',
    ]);
    expect(result.stderr).toMatch(/^done: .* pushed; /m);
  });

  test("the engine's own status and words, and nothing is claimed", async () => {
    const checkout = checkoutWith('docker', { build: 'echo "ERROR: the daemon went away" >&2; exit 42' });
    const result = await build(checkout);
    expect(result).toMatchObject({ status: 42, stdout: '' });
    expect(result.stderr).toMatch(/^ERROR: the daemon went away$/m);
    expect(result.stderr.trim().split('\n').at(-1)).toMatch(/^error: docker buildx build .* failed with status 42 in /);
    expect(result.stderr).not.toContain('done:');
  });

  test('what a dry run prints is what a run runs', async () => {
    const checkout = checkoutWith('docker', { builder: CONTAINER_BUILDER });
    const extra = { DOCKER_PLATFORM: 'linux/arm64', IMAGE_TAG: 'x', DOCKER_BUILDER: 'multi' };
    const args = ['gateway', '--build-arg', "A=it's $HOME"];
    const away = temporaryDirectory();
    const planned = await build(checkout, [...args, '--dry-run'], extra, { cwd: away });
    expect(planned.status).toBe(0);
    expect(existsSync(join(checkout.root, 'deploy/docker/.build'))).toBe(false);
    expect(existsSync(join(checkout.root, '.cache'))).toBe(false);
    expect(callsOf(checkout, 'docker').some((line) => line.startsWith('docker buildx build'))).toBe(false);
    const echoed = (text: string) =>
      [...text.matchAll(/^\$ (.*)$/gm)].map(([, line]) => line?.replace(/ # and .*/, ''));
    const ran = echoed((await build(checkout, args, extra, { cwd: away })).stderr);
    expect(ran).toHaveLength(2);
    const lines = planned.stdout.trim().split('\n');
    for (const line of ran) expect(lines.some((one) => one.endsWith(line ?? 'nothing'))).toBe(true);
    expect(lines.slice(-3)).toEqual([
      `# creates ${checkout.root}/.cache/buildkit/images/gateway`,
      `cd ${away}`,
      ran[1],
    ]);
  });

  test.each(['docker', 'podman'] as const)(
    'H28: %s builds where the task was started, out of the checkout',
    async (name) => {
      const checkout = checkoutWith(name, { build: `: > "o'ut put/image"` });
      const away = temporaryDirectory();
      mkdirSync(join(away, "o'ut put"));
      const result = await build(
        checkout,
        ['supervisor'],
        { DOCKER_OUTPUT: "type=local,dest=o'ut put" },
        { cwd: away },
      );
      expect(result).toMatchObject({ status: 0, stdout: '' });
      // Relative paths in what the user gives the engine are relative to this directory.
      expect(optionOf(checkout, '--output')).toBe("type=local,dest=o'ut put");
      expect(existsSync(join(away, "o'ut put/image"))).toBe(true);
      expect(buildArguments(checkout).at(-1)).toBe(checkout.root);
      const calls = checkout.tools.calls();
      expect(calls.at(-1)?.cwd).toBe(away);
      for (const call of calls.slice(0, -1)) expect(call.cwd).toBe(checkout.root);
      expect(result.stderr).toMatch(/^done: openshell\/supervisor:dev for linux\/amd64 written \(type=local,/m);
    },
  );
});

describe('platforms', () => {
  test.each([
    ['aarch64', 'arm64'],
    ['x86_64', 'amd64'],
  ])("the engine's own (%s), whatever this machine is", async (reported, arch) => {
    const checkout = checkoutWith('docker', { info: { ...DOCKER_INFO, Architecture: reported } });
    expect((await build(checkout)).status).toBe(0);
    expect(optionOf(checkout, '--platform')).toBe(`linux/${arch}`);
    expect(existsSync(checkout.staged(arch as 'amd64', 'openshell-sandbox'))).toBe(true);
    expect(checkout.builds()[0]).toContain(`--target ${reported}-unknown-linux-musl`);
  });

  test('C7: one probe that fails once stops the task: nothing is compiled, and no old binary gets in', async () => {
    const once = 'if [[ ! -e $PWD/failed ]]; then : > "$PWD/failed"; echo transient >&2; exit 1; fi';
    const checkout = checkoutWith('docker');
    checkout.tools.add('docker', [{ args: ['info'], script: `${once}; echo '{"Architecture":"aarch64"}'` }]);
    const old = checkout.staged('arm64', 'openshell-sandbox');
    mkdirSync(dirname(old), { recursive: true });
    writeFileSync(old, 'old');
    const result = await build(checkout, ['supervisor'], { CONTAINER_ENGINE: 'docker' });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: docker does not respond \(CONTAINER_ENGINE\): docker info: transient; start Docker/,
    );
    expect(checkout.tools.lines()).toEqual(['docker info --format {{json .}}']);
  });

  test.each([
    ['down', { info: undefined, refusal: 'Cannot connect to the daemon' }, /docker info: Cannot connect to the daemon/],
    ['of an architecture that is not supported', { info: { ...DOCKER_INFO, Architecture: 's390x' } }, /'s390x'/],
  ])('C8: an engine that is %s: nothing is compiled', async (_, engine, expected) => {
    const checkout = checkoutWith('docker', engine);
    const result = await build(checkout);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(expected);
    expect(checkout.tools.lines()).toEqual(['docker info --format {{json .}}']);
  });

  test('with DOCKER_PLATFORM set, the architecture of the server does not matter', async () => {
    const checkout = checkoutWith('docker', { info: { ...DOCKER_INFO, Architecture: 's390x' } });
    expect((await build(checkout, ['supervisor'], { DOCKER_PLATFORM: 'linux/arm64' })).status).toBe(0);
    expect(optionOf(checkout, '--platform')).toBe('linux/arm64');
  });

  test('H7, DBI-2, DBI-3: blanks and duplicates are dropped, and the list is one argument', async () => {
    const checkout = checkoutWith('docker', { builder: CONTAINER_BUILDER });
    const settings = { DOCKER_PLATFORM: ' linux/arm64 ,linux/amd64, linux/arm64', ...PUSH };
    expect((await build(checkout, ['supervisor'], settings)).status).toBe(0);
    expect(optionOf(checkout, '--platform')).toBe('linux/arm64,linux/amd64');
    expect(checkout.builds()).toHaveLength(1);
    expect(checkout.builds()[0]).toContain('--target aarch64-unknown-linux-musl --target x86_64-unknown-linux-musl');
    for (const arch of ['amd64', 'arm64'] as const) {
      expect(existsSync(checkout.staged(arch, 'openshell-sandbox'))).toBe(true);
    }
  });

  test('PREBUILT_ARCH is of staging alone: what is staged is what is built', async () => {
    const checkout = checkoutWith('docker');
    expect((await build(checkout, ['supervisor'], { PREBUILT_ARCH: 'arm64' })).status).toBe(0);
    expect(existsSync(checkout.staged('amd64', 'openshell-sandbox'))).toBe(true);
    expect(existsSync(checkout.staged('arm64', 'openshell-sandbox'))).toBe(false);
  });

  test.each([
    [
      'docker',
      /the builder is docker's own, which builds one platform at a time, not linux\/amd64,linux\/arm64; set DOCKER_BUILDER/,
    ],
    ['podman', /podman builds one platform at a time, not linux\/amd64,linux\/arm64; name one in DOCKER_PLATFORM/],
  ] as const)('CE-6: several platforms that %s cannot build at once: nothing is compiled', async (engine, expected) => {
    const checkout = checkoutWith(engine);
    const settings = { DOCKER_PLATFORM: 'linux/amd64,linux/arm64', ...PUSH };
    const result = await build(checkout, ['supervisor'], settings);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(expected);
    expect(checkout.builds()).toEqual([]);
  });
});

describe('where the image goes', () => {
  test('L3: a comma does not mean push, and both variables that would say so are named', async () => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, ['supervisor'], { DOCKER_PLATFORM: 'linux/amd64,linux/arm64' });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toBe(
      'error: DOCKER_PLATFORM names 2 platforms, which cannot be loaded as one image; set DOCKER_PUSH=1 to push them, ' +
        'or DOCKER_OUTPUT to write them somewhere, or name one platform\n',
    );
    expect(checkout.tools.lines()).toEqual([]);
  });

  test.each([
    ['true', '--push'],
    ['ON', '--push'],
    ['1', '--push'],
    ['no', '--load'],
    ['0', '--load'],
    ['', '--load'],
  ])('L1: DOCKER_PUSH=%s is %s', async (value, option) => {
    const checkout = checkoutWith('docker');
    expect((await build(checkout, ['supervisor'], { ...PUSH, DOCKER_PUSH: value })).status).toBe(0);
    expect(buildArguments(checkout).at(-2)).toBe(option);
  });

  test('AQ-5: a push to no registry, which would be one to docker.io, is refused before anything is started', async () => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, ['supervisor'], { DOCKER_PUSH: '1' });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toBe(
      'error: DOCKER_PUSH would push openshell/supervisor to docker.io; ' +
        'set IMAGE_REGISTRY to the registry and path to push to, such as ghcr.io/org\n',
    );
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('C4: push and output at once contradict each other', async () => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, ['supervisor'], { DOCKER_PUSH: '1', DOCKER_OUTPUT: 'type=local,dest=o' });
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^error: DOCKER_PUSH and DOCKER_OUTPUT are both set, and only one can decide/);
  });
});

describe('builder and cache', () => {
  test('H1, DBI-4, DBI-5: a builder of the driver docker-container has a local cache for each image', async () => {
    const checkout = checkoutWith('docker', { builder: `${CONTAINER_BUILDER}; /bin/sleep 0.05; echo Nodes:` });
    const settings = { DOCKER_BUILDER: 'multi', DOCKER_BUILD_CACHE_DIR: 'ca, che' };
    const away = temporaryDirectory();
    expect((await build(checkout, ['supervisor'], settings, { cwd: away })).status).toBe(0);
    expect(callsOf(checkout, 'docker')[1]).toBe('docker buildx inspect multi');
    expect(optionOf(checkout, '--builder')).toBe('multi');
    const cache = join(away, 'ca, che/images/supervisor');
    expect(optionOf(checkout, '--cache-from')).toBe(`type=local,"src=${cache}"`);
    expect(optionOf(checkout, '--cache-to')).toBe(`type=local,"dest=${cache}",mode=max`);
    expect(existsSync(cache)).toBe(true);
  });

  test("DBI-4: docker's own builder has none, nor has one in CI", async () => {
    const own = checkoutWith('docker');
    await build(own);
    expect(buildArguments(own).join(' ')).not.toContain('cache');
    expect(existsSync(join(own.root, '.cache'))).toBe(false);
    const ci = checkoutWith('docker', { builder: CONTAINER_BUILDER });
    await own.stage(['supervisor'], { DOCKER_PLATFORM: 'linux/amd64' });
    mkdirSync(dirname(ci.staged('amd64', 'x')), { recursive: true });
    writeFileSync(ci.staged('amd64', 'openshell-sandbox'), readFileSync(own.staged('amd64', 'openshell-sandbox')));
    expect((await build(ci, ['supervisor'], { CI: 'true' })).status).toBe(0);
    expect(buildArguments(ci).join(' ')).not.toContain('cache');
  });

  test('L9: without DOCKER_BUILDER none is named, so the one chosen with `buildx use` builds', async () => {
    const checkout = checkoutWith('docker');
    await build(checkout);
    expect(buildArguments(checkout)).not.toContain('--builder');
    expect(checkout.tools.lines().join('\n')).not.toContain('context');
  });

  test.each([
    [
      { DOCKER_BUILDER: 'gone' },
      [],
      "error: builder 'gone' (DOCKER_BUILDER) does not exist; name another one in DOCKER_BUILDER, or leave that out",
    ],
    [{ DOCKER_BUILDER: 'other' }, ['--builder', 'gone'], "error: builder 'gone' (--builder) does not exist"],
    [{}, [], 'error: the builder chosen with docker buildx use does not exist; choose another one'],
  ])('a builder that does not exist (%j %j) is an error before anything is compiled', async (extra, args, expected) => {
    const checkout = checkoutWith('docker', { builder: 'echo "no builder \\"gone\\" found" >&2; exit 1' });
    const result = await build(checkout, ['supervisor', ...args], extra as Extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr.trim().split('\n').at(-1)).toContain(expected);
    expect(checkout.builds()).toEqual([]);
  });
});

describe('a builder that is named, and a server that is another one', () => {
  const builder = "printf 'Name: far\\nDriver: remote\\n\\nNodes:\\nName: far0\\nStatus: running\\n'";
  const far = { DOCKER_BUILDER: 'far', DOCKER_OUTPUT: 'type=local,dest=o', DOCKER_PLATFORM: 'linux/amd64' };

  test('AM-8: a builder elsewhere needs no daemon here, unless the image is loaded into it', async () => {
    const checkout = checkoutWith('docker', { info: undefined, builder });
    const loaded = await build(checkout, ['supervisor'], { ...far, DOCKER_OUTPUT: '' });
    expect(loaded).toMatchObject({ status: 2, stdout: '' });
    expect(loaded.stderr).toContain('docker info: Cannot connect');
    expect((await build(checkout, ['supervisor'], far)).status).toBe(0);
    expect(optionOf(checkout, '--builder')).toBe('far');
    const unnamed = await build(checkout, ['supervisor'], { ...far, DOCKER_PLATFORM: '' });
    expect(unnamed.stderr).toMatch(
      /^error: the server of docker does not say its architecture; .*; set DOCKER_PLATFORM/m,
    );
  });
});

describe("the user's options", () => {
  test.each([
    [['--builder', 'b', '--pull'], ['--pull']],
    [['--builder=b'], []],
    [
      ['--provenance', 'false'],
      ['--provenance', 'false'],
    ],
    [
      ['--cache-from', 'type=gha', '--cache-to=type=gha,mode=max'],
      ['--cache-from', 'type=gha', '--cache-to=type=gha,mode=max'],
    ],
    [['--', '--dry-run=x'], ['--dry-run=x']],
  ])('L8: of %j docker gets %j after all others', async (extra, kept) => {
    const checkout = checkoutWith('docker');
    expect((await build(checkout, ['supervisor', ...extra])).status).toBe(0);
    const args = buildArguments(checkout);
    expect(args.slice(args.indexOf('--provenance=false') + 1)).toEqual([...kept, '--load', checkout.root]);
    expect(optionOf(checkout, '--builder')).toBe(extra.join(' ').includes('builder') ? 'b' : undefined);
  });

  test('a Dockerfile of their own, its stage, and further tags, as each engine takes them', async () => {
    for (const engine of ['docker', 'podman'] as const) {
      const checkout = checkoutWith(engine);
      const away = temporaryDirectory();
      writeFileSync(join(away, 'Mine'), 'FROM scratch\n');
      const args = ['supervisor', '-fMine', '--target=other', '-t', 'x/y:1', '--tag', 'z'];
      expect(await build(checkout, args, {}, { cwd: away })).toMatchObject({ status: 0 });
      const built = buildArguments(checkout).join(' ');
      expect(built).toContain(`-f ${away}/Mine --target other -t openshell/supervisor:dev -t x/y:1 -t z`);
      expect(built.match(/--target|-f /g)).toHaveLength(2);
    }
  });
});

describe('L7: bad input is one line and status 2, before anything is started', () => {
  const long = 'a'.repeat(129);

  test.each<[readonly string[], Extra, RegExp]>([
    [['bogus'], {}, /target is 'bogus'; allowed are gateway, supervisor, supervisor-output/],
    [[], {}, /<target> is missing/],
    [['supervisor', 'gateway'], {}, /'gateway' is neither an option of the build command nor the value of one/],
    [['supervisor', '--push'], {}, /'--push' cannot be passed on; where the image goes is said by DOCKER_PUSH or/],
    [['supervisor', '-otype=local'], {}, /'-otype=local' cannot be passed on/],
    [['supervisor', '--platform', 'linux/arm64'], {}, /'--platform' cannot be passed on; .* DOCKER_PLATFORM/],
    [['supervisor', '--builder'], {}, /--builder needs a value/],
    [['supervisor', '--builder', '../x'], {}, /--builder is '\.\.\/x'; allowed is the name of a builder/],
    [['supervisor', '-t', 'x/Case'], {}, /--tag is 'x\/Case'; allowed is \[HOST\[:PORT\]\/\]NAME/],
    [
      ['supervisor', '-f', 'nothing'],
      {},
      /\/nothing does not exist; check OPENSHELL_ROOT, or name a Dockerfile with --file/,
    ],
    [['supervisor'], { DOCKER_PLATFORM: 'linux/386' }, /DOCKER_PLATFORM is 'linux\/386': .* allowed is a comma list/],
    [['supervisor'], { DOCKER_PLATFORM: 'linux/amd64,linux/386' }, /'linux\/386' is not supported/],
    [['supervisor'], { DOCKER_PLATFORM: 'linux/amd64 Cargo.*' }, /'linux\/amd64 Cargo\.\*' is not supported/],
    [['supervisor'], { DOCKER_PLATFORM: ',' }, /DOCKER_PLATFORM is ',': an entry is empty/],
    [['supervisor'], { DOCKER_PLATFORM: '  ' }, /DOCKER_PLATFORM is ' {2}': an entry is empty/],
    [['supervisor'], { DOCKER_PLATFORM: 'Linux/AMD64' }, /'Linux\/AMD64' is not supported/],
    [['supervisor'], { IMAGE_TAG: ':' }, /IMAGE_TAG is ':'; allowed are up to 128 letters/],
    [['supervisor'], { IMAGE_TAG: 'v*' }, /IMAGE_TAG is 'v\*'/],
    [['supervisor'], { IMAGE_TAG: ' ' }, /IMAGE_TAG is ' '/],
    [['supervisor'], { IMAGE_TAG: long }, /IMAGE_TAG is 'a{117}\.\.\.'/],
    [['supervisor'], { IMAGE_REGISTRY: 'https://ghcr.io' }, /IMAGE_REGISTRY is 'https:\/\/ghcr\.io'; allowed is HOST/],
    [['supervisor'], { IMAGE_REGISTRY: 'ghcr.io/Org' }, /IMAGE_REGISTRY is 'ghcr\.io\/Org'/],
    [['supervisor'], { DOCKER_OUTPUT: 'out' }, /DOCKER_OUTPUT is 'out'; allowed are key=value pairs with a type/],
    [['supervisor'], { DOCKER_BUILDER: '--x' }, /DOCKER_BUILDER is '--x'/],
    [['supervisor'], { DOCKER_PUSH: 'perhaps' }, /DOCKER_PUSH is 'perhaps'; allowed are 1\/true\/yes\/on/],
    [['supervisor'], { PREBUILT_AUTO_STAGE: 'never' }, /PREBUILT_AUTO_STAGE is 'never'/],
    [['supervisor'], { SUPERVISOR_LIBC: 'uclibc' }, /SUPERVISOR_LIBC is 'uclibc'; allowed are musl, glibc-static/],
    [['supervisor'], { OPENSHELL_CARGO_VERSION: '1' }, /OPENSHELL_CARGO_VERSION is '1'/],
  ])('%j %j', async (args, extra, expected) => {
    const checkout = checkoutWith('docker');
    const result = await build(checkout, args, extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]*\n$/);
    expect(result.stderr).toMatch(expected);
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('without any engine, what is wrong with the arguments is said first', async () => {
    const checkout = imageCheckout();
    expect((await build(checkout, ['bogus'])).stderr).toContain("target is 'bogus'");
    expect((await build(checkout)).stderr).toBe(
      'error: podman or docker does not respond: podman is not on PATH; docker is not on PATH; install it, ' +
        'or set CONTAINER_ENGINE to one that runs\n',
    );
  });

  test('a checkout without the Dockerfile', async () => {
    const checkout = checkoutWith('docker');
    rmSync(join(checkout.root, 'deploy/docker/Dockerfile.gateway'));
    expect((await build(checkout, ['gateway'])).stderr).toMatch(
      /^error: .*\/checkout\/deploy\/docker\/Dockerfile\.gateway does not exist; check OPENSHELL_ROOT/,
    );
    expect(checkout.tools.lines()).toEqual([]);
  });
});

describe('what others have staged', () => {
  const unstaged = { PREBUILT_AUTO_STAGE: 'false' };

  test.each([{ CI: '1' }, unstaged])(
    'is missing (%j): one line that names it, before anything is built',
    async (extra) => {
      const checkout = checkoutWith('docker');
      const result = await build(checkout, ['supervisor'], extra as Extra);
      expect(result).toMatchObject({ status: 2, stdout: '' });
      const path = checkout.staged('amd64', 'openshell-sandbox');
      expect(result.stderr.trim().split('\n').at(-1)).toBe(
        `error: ${path} is not there, and nothing is staged here (CI or PREBUILT_AUTO_STAGE=0); ` +
          'run tasks/stage.ts first, or unset them',
      );
      expect(callsOf(checkout, 'docker')).toHaveLength(2);
    },
  );

  test.each([
    ['for another machine', 'aarch64', /aarch64/],
    ['cut short', undefined, /openshell-sandbox/],
  ])('is %s: no image is built from it', async (_, cpu, expected) => {
    const checkout = checkoutWith('docker');
    const path = checkout.staged('amd64', 'openshell-sandbox');
    mkdirSync(dirname(path), { recursive: true });
    const bytes = readFileSync(join(checkout.apps, cpu ?? 'x86_64'));
    writeFileSync(path, cpu === undefined ? bytes.subarray(0, 200) : bytes);
    const result = await build(checkout, ['supervisor'], unstaged);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: .*openshell-sandbox: /m);
    expect(result.stderr).toMatch(expected);
    expect(callsOf(checkout, 'docker')).toHaveLength(2);
  });

  test('AQ-3: cannot be executed by all users, which its image would keep: one line with the remedy', async () => {
    const checkout = checkoutWith('docker');
    await checkout.stage(['all'], { DOCKER_PLATFORM: 'linux/amd64' });
    const path = checkout.staged('amd64', 'openshell-gateway');
    for (const mode of [0o644, 0o754]) {
      chmodSync(path, mode);
      const result = await build(checkout, ['gateway'], { CI: '1' });
      expect(result).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr).toMatch(
        new RegExp(`^error: ${path} cannot be executed by all users.* run: chmod 755 ${path}$`, 'm'),
      );
    }
    expect(callsOf(checkout, 'docker')).toHaveLength(4);
    chmodSync(path, 0o755);
    chmodSync(checkout.staged('amd64', 'openshell-sandbox'), 0o644);
    expect((await build(checkout, ['gateway'], { CI: '1' })).status).toBe(0);
    expect((await build(checkout, ['supervisor'], { CI: '1' })).status).toBe(0);
  });

  test('is right: it is used, and nothing is compiled', async () => {
    const checkout = checkoutWith('docker');
    await checkout.stage(['supervisor'], { DOCKER_PLATFORM: 'linux/amd64' });
    expect((await build(checkout, ['supervisor'], { CI: 'yes' })).status).toBe(0);
    expect(checkout.builds()).toHaveLength(1);
  });

  test.each(['.:BIN', ':BIN', 'BIN:', '~:BIN', './:../checkout:BIN'])(
    'F21: what was found on the PATH %s is what is started, not what the checkout has',
    async (path) => {
      const checkout = checkoutWith('docker');
      for (const name of ['docker', 'cargo', 'cargo-zigbuild', 'rustup', 'zig']) {
        writeFileSync(join(checkout.root, name), `#!/bin/sh\necho ${name} >> ${checkout.root}/planted\n`, {
          mode: 0o755,
        });
      }
      const env = { PATH: path.replace('BIN', checkout.tools.bin), HOME: checkout.root };
      expect((await build(checkout, ['supervisor'], env)).status).toBe(0);
      expect(existsSync(join(checkout.root, 'planted'))).toBe(false);
      expect(callsOf(checkout, 'docker')).toHaveLength(3);
    },
  );

  test.each(['false', 'Off', '0', ''])('L1: CI=%s is not CI', async (CI) => {
    const checkout = checkoutWith('docker');
    expect((await build(checkout, ['supervisor'], { CI })).status).toBe(0);
    expect(checkout.builds()).toHaveLength(1);
  });

  test.each(['woodpecker', 'github actions', '2'])('R5: CI=%s is CI', async (CI) => {
    const result = await build(checkoutWith('docker'), ['supervisor'], { CI });
    expect(result.status).toBe(2);
    expect(result.stderr).toContain('nothing is staged here (CI or PREBUILT_AUTO_STAGE=0)');
  });
});

describe('side by side', () => {
  /** A builder that leaves a mark when it is inspected, and cargo's wait for the marks of two tasks. */
  const MARKING = `: > "$PWD/seen-$$"; printf 'Name: default\\nDriver: docker\\n'`;
  const FOR_BOTH = `until seen=("$PWD"/seen-*); ((\${#seen[@]} > 1)); do /bin/sleep 0.02; done; /bin/sleep 0.5`;

  test('mise run build:docker builds both, and stages one after the other', async () => {
    const checkout = checkoutWith('docker', { builder: MARKING });
    // A staging that began while another one compiles would find this directory.
    checkout.setCargo({ before: `/bin/mkdir "$PWD/compiling" || exit 9; ${FOR_BOTH}; /bin/rmdir "$PWD/compiling"` });
    const result = await runMise(['run', 'build:docker'], SUITE_ROOT, checkout.env({ CONTAINER_ENGINE: 'docker' }));
    expect(result.status).toBe(0);
    expect(result.stdout).toContain('openshell/gateway:dev');
    expect(result.stdout).toContain('openshell/supervisor:dev');
    expect(callsOf(checkout, 'docker').filter((line) => line.includes(' info '))).toHaveLength(2);
    expect(result.stderr).toMatch(/waiting for another staging in this checkout: pid \d+ \(stage (gateway|supervisor)/);
  });

  test.each(['docker:build:gateway', 'docker:build:supervisor'])('mise run %s is another name', async (task) => {
    const checkout = checkoutWith('docker');
    const result = await runMise(['run', task], SUITE_ROOT, checkout.env({ CONTAINER_ENGINE: 'docker' }));
    expect(result).toMatchObject({ status: 0 });
    expect(result.stdout).toContain(`openshell/${task.split(':').at(-1)}:dev`);
  });

  test('two builds of one image: each copies its own binary', async () => {
    const copy = '/bin/cp deploy/docker/.build/prebuilt-binaries/amd64/openshell-sandbox "$PWD/image-$IMAGE_TAG"';
    const checkout = checkoutWith('docker', { builder: MARKING, build: `/bin/sleep 0.5; ${copy}` });
    // Each run "compiles" a binary that only it has.
    const apps = '/bin/mkdir "$PWD/apps-$IMAGE_TAG"; /bin/cp "$FAKE_APPS"/* "$PWD/apps-$IMAGE_TAG"';
    const own = 'FAKE_APPS=$PWD/apps-$IMAGE_TAG; echo "$IMAGE_TAG" >> "$FAKE_APPS/x86_64"';
    checkout.setCargo({ before: `${FOR_BOTH}; ${apps}; ${own}` });
    const results = await Promise.all(['one', 'two'].map((tag) => build(checkout, ['supervisor'], { IMAGE_TAG: tag })));
    expect(results.map(({ status }) => status)).toEqual([0, 0]);
    for (const tag of ['one', 'two']) {
      expect(readFileSync(join(checkout.root, `image-${tag}`), 'latin1').endsWith(`${tag}\n`)).toBe(true);
    }
    expect(results.map(({ stderr }) => stderr).join('')).toMatch(
      /waiting for another build of the image supervisor: pid \d+/,
    );
  });
});
