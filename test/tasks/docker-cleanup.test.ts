// SPDX-License-Identifier: Apache-2.0

/** The clean-up over fake engines: what is asked, what is refused, and what comes of failures. */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addEngine, EMPTY_STORE } from '../support/fake-engine.ts';
import { bashQuote, type FakeCase, type FakeTools } from '../support/fake-tools.ts';
import { fakeTools } from '../support/in-process.ts';
import { requireTools } from '../support/real-tools.ts';
import { inTerminal, runInTerminal } from '../support/run-in-terminal.ts';
import { miseEnvironment, runMise } from '../support/run-mise.ts';
import { runTaskFile, SUITE_ROOT, whenSaid } from '../support/run-task.ts';

const OLD = { Id: 'a1', Names: ['localhost/openshell/gateway:old'], Size: 2_000_000 };
const ALSO = { Id: 'a2', Names: ['localhost/openshell/supervisor:old'], Size: 500_000 };
const OTHER = { Id: 'a3', Names: ['example.com/app:1'], Size: 1 };

const prints = (value: unknown) => `echo ${bashQuote(JSON.stringify(value))}`;

/** A podman with these images; its removals succeed where nothing else is said. */
function podmanWith(images: readonly object[], cases: readonly FakeCase[] = []): FakeTools {
  const tools = fakeTools();
  const own = [...cases, { args: ['image', 'rm'], script: ':' }, { args: ['image', 'ls'], script: prints(images) }];
  addEngine(tools, 'podman', { cases: [...own, ...(EMPTY_STORE.podman.cases ?? [])] });
  return tools;
}

function cleanUp(tools: FakeTools, args: readonly string[], options: { env?: Record<string, string> } = {}) {
  return runTaskFile('docker-cleanup', args, { cwd: tools.directory, env: tools.env(options.env) });
}

const removals = (tools: FakeTools) => tools.lines().filter((line) => / (rm|prune)\b/.test(line));

test('CLN-3: without a terminal and without --yes it is refused, and no engine is even looked for', async () => {
  const tools = podmanWith([OLD]);
  const result = await cleanUp(tools, []);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: there is no terminal to ask at [^\n]*--dry-run, then give --yes\n$/);
  expect(tools.lines()).toEqual([]);
});

test.each(['--yes', '--force'])('with %s it does not ask', async (flag) => {
  const tools = podmanWith([OLD, ALSO, OTHER]);
  const result = await cleanUp(tools, [flag]);
  expect(result).toMatchObject({
    status: 0,
    stdout: 'removed 2 images (images of 2.5 MB at most); kept 1; failed 0\n',
  });
  expect(removals(tools)).toEqual([OLD, ALSO].map(({ Names }) => `podman image rm ${Names[0]}`));
});

test('CLN-5: an option that is not known is refused, and the help needs no engine', async () => {
  const tools = fakeTools();
  const wrong = await cleanUp(tools, ['--al']);
  expect(wrong).toMatchObject({ status: 2, stdout: '' });
  expect(wrong.stderr).toMatch(/^error: unknown option '--al'; allowed are --all-projects, [^\n]*\n$/);
  const help = await cleanUp(tools, ['--help']);
  expect(help.status).toBe(0);
  expect(help.stdout).toContain('--all-projects');
});

test('a tag that cannot be one is refused; IMAGE_TAG is current, too', async () => {
  const tools = podmanWith([OLD, ALSO]);
  expect((await cleanUp(tools, ['--dry-run'], { env: { IMAGE_TAG: 'a b' } })).stderr).toMatch(/error: IMAGE_TAG is/);
  const kept = await cleanUp(tools, ['--dry-run'], { env: { IMAGE_TAG: 'old' } });
  expect(kept.stdout).toMatch(/^# keeps 2 images\b/);
});

test('CLN-9: of OpenShell only the images that builds replace are stale; others are named in files, under any tag', async () => {
  const names = ['openshell/gpu-workload-smoke-pass:0a1b', 'openshell/sandbox-from:17', 'openshell/x/gateway:old'];
  const kept = { Id: 'b1', Names: names.map((name) => `localhost/${name}`) };
  const stale = ['ghcr.io/nvidia/openshell/ci:old', '127.0.0.1:5000/openshell/supervisor:old'];
  const tools = podmanWith([OLD, kept, { Id: 'b2', Names: stale }]);
  expect(await cleanUp(tools, ['--yes', '--all-projects'])).toMatchObject({ status: 0 });
  expect(removals(tools)).toEqual([...OLD.Names, ...stale].map((name) => `podman image rm ${name}`));
});

test('CLN-6: what cannot be removed is counted, the others are removed all the same, and the status is 1', async () => {
  const failing = { args: ['image', 'rm', OLD.Names[0] as string], script: 'echo it is in use >&2; exit 2' };
  const tools = podmanWith([OLD, ALSO], [failing]);
  const result = await cleanUp(tools, ['--yes']);
  expect(result).toMatchObject({ status: 1, stdout: 'removed 1 image (images of 0.5 MB at most); kept 0; failed 1\n' });
  expect(result.stderr).toContain(`warning: podman image rm ${OLD.Names[0]} failed: it is in use\n`);
  expect(result.stderr).toMatch(/\nerror: 1 of 2 could not be removed; see the warnings\n$/);
});

describe('CLN-8: a query that fails is the end, before anything is removed', () => {
  test.each([
    ['the images', ['image', 'ls'], 'exit 3', /podman image ls failed \(status 3\), so nothing is removed; /],
    ['the containers', ['container', 'ls'], 'echo no >&2; exit 1', /podman container ls failed \(no\), so/],
    ['the volumes', ['volume', 'ls'], 'exit 1', /podman volume ls failed/],
    ['no list', ['container', 'ls'], 'echo "<html>"', /podman container ls gave '<html>', which is not a list/],
    ['nothing at all', ['container', 'ls'], ':', /podman container ls gave '', which is not a list/],
    ['a container without its image', ['container', 'ls'], prints([{ Id: 'c' }]), /does not say which image it uses/],
  ] as const)('%s', async (_, args, script, said) => {
    const tools = podmanWith([OLD], [{ args, script }]);
    const result = await cleanUp(tools, ['--yes', '--volumes', '--all-projects']);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(said);
    expect(removals(tools)).toEqual([]);
  });

  test('of two that fail both are named', async () => {
    const fails = ['image', 'container'].map((kind) => ({ args: [kind, 'ls'], script: 'exit 1' }));
    expect((await cleanUp(podmanWith([], fails), ['--yes'])).stderr.match(/error: podman/g)).toHaveLength(2);
  });
});

test('CLN-7: nothing is coloured without a terminal, and no name is a pattern', async () => {
  const dots = { Id: 'a4', Names: ['localhost/openshellX/gateway:old'] };
  const result = await cleanUp(podmanWith([OLD, dots]), ['--yes']);
  expect(result.stderr + result.stdout).not.toContain('\u001b');
  expect(result.stdout).toMatch(/^removed 1 image .*; kept 1; /);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s during a removal: nothing more is removed', async (signal) => {
  const slow = { args: ['image', 'rm'], script: 'trap "exit 5" INT TERM; /bin/sleep 30 & wait' };
  const tools = podmanWith([OLD, ALSO], [slow]);
  const onStart = whenSaid('$ podman image rm', (child) => setTimeout(() => child.kill(signal), 300));
  const options = { cwd: tools.directory, env: tools.env(), onStart };
  const result = await runTaskFile('docker-cleanup', ['--yes'], options);
  expect(result).toMatchObject({ status: signal === 'SIGINT' ? 130 : 143, stdout: '' });
  expect(removals(tools)).toHaveLength(1);
});

test('SIGINT during a query: status 130, and nothing is removed', async () => {
  const tools = podmanWith([OLD], [{ args: ['container', 'ls'], script: '/bin/sleep 30 & wait' }]);
  const onStart = whenSaid('[container-engine]', (child) => setTimeout(() => child.kill('SIGINT'), 500));
  const options = { cwd: tools.directory, env: tools.env(), onStart };
  expect(await runTaskFile('docker-cleanup', ['--yes'], options)).toMatchObject({ status: 130, stdout: '' });
  expect(removals(tools)).toEqual([]);
});

describe('at a terminal', inTerminal, () => {
  async function typing(text: string | undefined, images: readonly object[] = [OLD]) {
    const tools = podmanWith(images);
    let isTyped = false;
    const result = await runInTerminal([process.execPath, join(SUITE_ROOT, 'tasks/docker-cleanup.ts')], {
      cwd: tools.directory,
      env: tools.env(),
      onScreen: (screen, keys) => {
        if (isTyped || !screen.includes('[y/N]')) return;
        isTyped = true;
        if (text !== undefined) keys.type(text);
      },
    });
    return { ...result, removed: removals(tools), isAsked: isTyped };
  }

  test.each(['y\n', 'Y\n', 'yes\n'])('%j: it goes on, after the plan', async (text) => {
    const { removed, screen, status } = await typing(text);
    expect(screen).toContain('Remove 1 image (images of 2.0 MB at most) from podman? [y/N] ');
    expect(screen.indexOf('podman image rm localhost')).toBeLessThan(screen.indexOf('[y/N]'));
    expect({ status, removed }).toEqual({ status: 0, removed: [`podman image rm ${OLD.Names[0]}`] });
  });

  test.each(['n\n', '\n', 'yep\n', '\u0004'])('%j: nothing is removed, and it says so', async (text) => {
    const { removed, screen, status } = await typing(text);
    expect({ status, removed }).toEqual({ status: 1, removed: [] });
    expect(screen).toContain('not confirmed; nothing was removed');
  });

  test('Ctrl-C at the question: status 130', async () => {
    const { removed, screen, status } = await typing('\u0003');
    expect({ status, removed }).toEqual({ status: 130, removed: [] });
    expect(screen).toContain('stopped by SIGINT');
  });

  test('CLN-3: mise run docker:cleanup asks, too, and passes its arguments on', async () => {
    const tools = podmanWith([OLD]);
    const onScreen = (screen: string, keys: { type(text: string): void }) => {
      if (screen.endsWith('[y/N] ')) keys.type('n\n');
    };
    const mise = [join(SUITE_ROOT, 'node_modules/.bin/mise'), 'run', 'docker:cleanup'];
    const env = miseEnvironment(
      tools.env({ CONTAINER_ENGINE: 'podman', DOCKER_HOST: `unix://${tools.directory}/none` }),
    );
    const asked = await runInTerminal(mise, { cwd: SUITE_ROOT, env, onScreen });
    expect(asked.screen).toContain('Remove 1 image ');
    expect({ status: asked.status, removed: removals(tools) }).toEqual({ status: 1, removed: [] });
    expect((await runInTerminal([...mise, '--', '--yes'], { cwd: SUITE_ROOT, env })).status).toBe(0);
    expect(removals(tools)).toHaveLength(1);
  });

  test('where nothing is stale it does not ask', async () => {
    expect(await typing(undefined, [OTHER])).toMatchObject({ status: 0, removed: [], isAsked: false });
  });
});

const real = requireTools('docker', 'podman');

test("no test can reach this machine's own stores: the task is not even started", real.options, async () => {
  const { PATH = '' } = real.env;
  const run = (env: Record<string, string>) =>
    runTaskFile('docker-cleanup', ['--dry-run', '--bogus'], { cwd: '/', env: { PATH, ...env } });
  const [docker, podman] = ['unix:///tmp/x/docker.sock', '/tmp/x/storage.conf'];
  await expect(run({ DOCKER_HOST: docker })).rejects.toThrow(/podman would reach this machine's own store/);
  await expect(run({ CONTAINERS_STORAGE_CONF: podman })).rejects.toThrow(/docker would reach/);
  for (const host of ['unix:///var/run/docker.sock', 'ssh://far', '']) {
    await expect(run({ DOCKER_HOST: host, CONTAINERS_STORAGE_CONF: podman })).rejects.toThrow(/docker would reach/);
  }
  expect((await run({ DOCKER_HOST: docker, CONTAINERS_STORAGE_CONF: podman })).status).toBe(2);
  const mise = () => runMise(['run', 'docker:cleanup:dry-run'], SUITE_ROOT, real.env);
  await expect(mise()).rejects.toThrow(/would reach this machine's own store/);
});
