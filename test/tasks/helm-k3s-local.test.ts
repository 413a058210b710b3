// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ClusterFakes, FakeCluster, IMAGE, kubeconfigText } from '../support/fake-cluster.ts';
import { addEngine, PODMAN_INFO } from '../support/fake-engine.ts';
import { listen } from '../support/listener.ts';
import { requireTools } from '../support/real-tools.ts';
import { whenSaid } from '../support/run-task.ts';

const tools = requireTools('kubectl');
const NAME = 'openshell-dev-some-branch';
const CONTEXT = `k3d-${NAME}`;
const NOTHING = { HELM_K3S_PRELOAD_SANDBOX_IMAGE: '' };

const newCluster = (fakes: ClusterFakes = {}) => new FakeCluster(tools.path('kubectl'), fakes);

/** What kubectl makes of kubeconfigs, by the rule that bash's script meant to use. */
function viewOf(...files: readonly string[]): unknown {
  const env = { ...process.env, KUBECONFIG: files.join(':') };
  return JSON.parse(
    execFileSync(tools.path('kubectl'), ['config', 'view', '--flatten', '-o', 'json'], { env, encoding: 'utf8' }),
  );
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

/** Nothing of a run is left but the kubeconfig. */
function expectClean(cluster: FakeCluster): void {
  expect(readdirSync(cluster.temporary)).toEqual([]);
  expect(readdirSync(dirname(cluster.kubeconfig)).filter((name) => /kubeconfig./.test(name))).toEqual([]);
}

describe('create', tools.options, () => {
  test('from nothing: every command in its order, and how the cluster is reached', async () => {
    const cluster = newCluster();
    const result = await cluster.run(['create']);
    expect(result, result.stderr).toMatchObject({
      status: 0,
      stdout: `Active context: ${CONTEXT}\nKubeconfig: ${cluster.kubeconfig}\nEnvoy Gateway LoadBalancer (port 80): http://127.0.0.1:${cluster.port}\n`,
    });
    const archive = expect.stringMatching(
      new RegExp(`^docker image save -o ${cluster.temporary}/openshell-k3s-\\w+/image.tar ${IMAGE}$`),
    );
    const kubectl = `kubectl --kubeconfig=${cluster.kubeconfig} --context=${CONTEXT}`;
    expect(cluster.changes()).toEqual([
      `k3d cluster create ${NAME} --wait --kubeconfig-update-default=false --kubeconfig-switch-context=false --port ${cluster.port}:80@loadbalancer --k3s-arg --disable=traefik@server:0`,
      `k3d kubeconfig get ${NAME}`,
      `${kubectl} apply -f https://github.com/kubernetes-sigs/agent-sandbox/releases/download/v0.5.0/manifest.yaml`,
      `${kubectl} wait --for=condition=Established --timeout=120s crd/sandboxes.agents.x-k8s.io`,
      `${kubectl} -n agent-sandbox-system rollout status deployment/agent-sandbox-controller --timeout=300s`,
      archive,
      expect.stringMatching(new RegExp(`^k3d image import \\S+/image.tar --cluster ${NAME}$`)),
    ]);
    expect(viewOf(cluster.kubeconfig)).toMatchObject({ 'current-context': CONTEXT });
    expect(modeOf(cluster.kubeconfig)).toBe(0o600);
    expectClean(cluster);
  });

  test('K8S-1, C30: the new kubeconfig wins, other contexts stay, and the mode narrows: as kubectl merges them', async () => {
    const cluster = newCluster();
    const old = `${kubeconfigText(NAME, 'https://old:1', 'other')}- {}`.replace('- {}', '');
    const other = old
      .replace(
        'users:',
        '- name: other\n  cluster: {server: "https://other", certificate-authority-data: YQ==}\nusers:',
      )
      .replace('contexts:', '- name: someone\n  user: {token: t}\ncontexts:')
      .replace('current-context', '- name: other\n  context: {cluster: other, user: someone}\ncurrent-context');
    writeFileSync(cluster.kubeconfig, other);
    chmodSync(cluster.kubeconfig, 0o644);
    const [before, added] = ['before', 'added'].map((name) => join(cluster.tools.directory, name)) as [string, string];
    writeFileSync(before, other);
    writeFileSync(added, kubeconfigText(NAME, 'https://127.0.0.1:1'));
    const result = await cluster.run(['create'], NOTHING);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(viewOf(cluster.kubeconfig)).toEqual(viewOf(added, before));
    expect(cluster.text()).toContain('https://127.0.0.1:1');
    expect(cluster.text()).toContain('https://other');
    expect(cluster.text()).not.toContain('https://old');
    expect(modeOf(cluster.kubeconfig)).toBe(0o600);
    expectClean(cluster);
  });

  test('K8S-1: files that other entries name stay relative, and need not exist', async () => {
    const cluster = newCluster();
    const file = kubeconfigText('other', 'https://other').replace(
      '}\nusers',
      ', certificate-authority: gone/ca.crt}\nusers',
    );
    writeFileSync(cluster.kubeconfig, file);
    expect(await cluster.run(['create'], NOTHING)).toMatchObject({ status: 0 });
    expect(cluster.text()).toMatch(/^ +certificate-authority: gone\/ca\.crt$/m);
  });

  test('K8S-2: a link in its place is refused before there is a cluster, and so is a file that is no kubeconfig', async () => {
    const cluster = newCluster();
    symlinkSync(join(cluster.root, 'nowhere'), cluster.kubeconfig);
    const linked = await cluster.run(['create'], NOTHING);
    expect(linked.status).toBe(2);
    expect(linked.stderr).toMatch(
      /^error: \S+\/kubeconfig cannot be written: it is a link or not a regular file; remove it, or set HELM_K3S_KUBECONFIG/m,
    );
    const named = join(cluster.root, 'named');
    writeFileSync(named, 'a: [b');
    const broken = await cluster.run(['create'], { ...NOTHING, HELM_K3S_KUBECONFIG: 'named' });
    expect(broken.status).toBe(2);
    expect(broken.stderr).toMatch(
      /^error: '\S+\/named' is not a kubeconfig: .*; repair it, or set HELM_K3S_KUBECONFIG/m,
    );
    expect(cluster.changes()).toEqual([]);
    expect(readFileSync(named, 'utf8')).toBe('a: [b');
  });

  test('C30: what k3d or kubectl fails at leaves no copy of the credentials, and the file as it was', async () => {
    const cluster = newCluster({ k3d: [{ args: ['kubeconfig', 'get'], script: 'echo no >&2; exit 3' }] });
    writeFileSync(cluster.kubeconfig, kubeconfigText('other', 'https://other'));
    const before = cluster.text();
    expect(await cluster.run(['create'], NOTHING)).toMatchObject({ status: 3, stdout: '' });
    cluster.setFakes({ kubectl: [{ args: ['config', 'view'], script: failLater() }] });
    const late = await cluster.run(['create'], NOTHING);
    expect(late.status, late.stderr).toBe(4);
    expect(cluster.text()).toBe(before);
    expectClean(cluster);
  });

  test('K8S-5: all that is missing is said at once, before there is a cluster', async () => {
    const cluster = newCluster();
    const env = {
      HELM_K3S_CLUSTER_NAME: 'UP',
      HELM_K3S_LB_HOST_PORT: '0',
      AGENT_SANDBOX_VERSION: '../x',
      HELM_K3S_PRELOAD_SANDBOX_IMAGE: 'A b',
      PATH: join(cluster.tools.directory, 'home'),
    };
    const result = await cluster.run(['create'], env);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    const lines = result.stderr.match(/^error: .*$/gm) ?? [];
    for (const what of [
      'k3d is not on PATH',
      'kubectl is not on PATH',
      'docker does not respond (k3d needs it): docker is not on PATH',
      'HELM_K3S_CLUSTER_NAME',
      'HELM_K3S_LB_HOST_PORT',
      'AGENT_SANDBOX_VERSION',
      'HELM_K3S_PRELOAD_SANDBOX_IMAGE',
    ])
      expect(
        lines.filter((line) => line.startsWith(`error: ${what}`)),
        what,
      ).toHaveLength(1);
    expect(cluster.tools.lines()).toEqual([]);
  });

  test('K8S-9: a docker that does not respond, or is podman, is quoted, and k3d is not asked', async () => {
    const cluster = newCluster();
    addEngine(cluster.tools, 'docker', { info: undefined, refusal: 'Cannot connect to it' });
    const result = await cluster.run(['create']);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(
      /^error: docker does not respond \(k3d needs it\): docker info: Cannot connect to it; start Docker \(.*\), or use kind/m,
    );
    addEngine(cluster.tools, 'docker', { info: PODMAN_INFO });
    const podman = await cluster.run(['create']);
    expect(podman.status).toBe(2);
    expect(podman.stderr).toContain('docker is really podman');
    expect(cluster.tools.lines().filter((line) => line.startsWith('k3d'))).toEqual([]);
  });

  test('K8S-9: a port that is in use, and a KUBECONFIG of several files', async () => {
    const cluster = newCluster();
    const port = await listen('127.0.0.1');
    const taken = await cluster.run(['create'], { HELM_K3S_LB_HOST_PORT: String(port) });
    expect(taken.status).toBe(2);
    expect(taken.stderr).toMatch(
      new RegExp(`^error: port ${port} is in use by another program; stop it, or set HELM_K3S_LB_HOST_PORT$`, 'm'),
    );
    const several = await cluster.run(['create'], { ...NOTHING, KUBECONFIG: 'a:b' });
    expect(several, several.stderr).toMatchObject({ status: 0 });
    expect(several.stdout).toContain(`Kubeconfig: ${cluster.kubeconfig}\n`);
    const one = await cluster.run(['create'], { ...NOTHING, KUBECONFIG: ':new/place:' });
    expect(one.stdout).toContain(`Kubeconfig: ${cluster.root}/new/place\n`);
    const colon = await cluster.run(['create'], { ...NOTHING, HELM_K3S_KUBECONFIG: 'a:b' });
    expect(colon.stderr).toMatch(/^error: kubectl takes '\S+\/a:b' for several files; set HELM_K3S_KUBECONFIG/m);
  });

  test('K8S-6: a cluster that is stopped is started, and its own port is said', async () => {
    const cluster = newCluster();
    cluster.addCluster(NAME, { isRunning: false, port: 9999 });
    const result = await cluster.run(['create'], { ...NOTHING, GITHUB_USERNAME: 'u', GITHUB_PAT: 'secret' });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(cluster.changes().slice(0, 2)).toEqual([`k3d cluster start ${NAME}`, `k3d kubeconfig get ${NAME}`]);
    expect(result.stdout).toContain('http://127.0.0.1:9999\n');
    expect(result.stderr).toContain('its port and its credentials stay as they are');
    const again = newCluster();
    again.addCluster(NAME);
    expect(await again.run(['create'], NOTHING)).toMatchObject({ status: 0 });
    expect(again.changes()[0]).toBe(`k3d kubeconfig get ${NAME}`);
  });

  test('K8S-7: it waits until the resource is established, and says why it is not', async () => {
    const cluster = newCluster();
    const lead = [`--kubeconfig=${cluster.kubeconfig}`, `--context=${CONTEXT}`];
    cluster.setFakes({ kubectl: [{ args: [...lead, 'wait'], script: 'echo timed out waiting >&2; exit 1' }] });
    const unknown = await cluster.run(['create'], NOTHING);
    expect(unknown).toMatchObject({ status: 1, stdout: '' });
    expect(unknown.stderr).toMatch(/^error: kubectl .* wait .* failed with status 1/m);
    cluster.setFakes({ kubectl: [{ args: [...lead, '-n'], script: 'echo timed out >&2; exit 1' }] });
    const result = await cluster.run(['create'], NOTHING);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: kubectl .* rollout status .* failed with status 1/m);
  });

  test('K8S-8: credentials are a 0600 file of JSON at creation, whatever is in them, and no program has the token', async () => {
    const cluster = newCluster();
    const copy = join(cluster.tools.directory, 'copy');
    const script = `while [[ $1 != --registry-config ]]; do shift; done; /bin/cp -p "$2" ${copy}`;
    cluster.setFakes({ k3d: [{ args: ['cluster', 'create'], script }] });
    const password = `a: b # "c"\n'`;
    const result = await cluster.run(['create'], { ...NOTHING, GITHUB_USERNAME: 'me', GITHUB_PAT: password });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(JSON.parse(readFileSync(copy, 'utf8'))).toEqual({
      configs: { 'ghcr.io': { auth: { username: 'me', password } } },
    });
    expect(modeOf(copy)).toBe(0o600);
    expect(
      cluster.tools
        .calls()
        .filter(({ args }) => args[0] !== 'info')
        .flatMap(({ args, env }) =>
          [...args, ...Object.keys(env)].filter((one) => one === 'GITHUB_PAT' || one.includes('# "c"')),
        ),
    ).toEqual([]);
    expect(result.stderr).not.toContain('# "c"');
    expectClean(cluster);
  });

  test('K8S-3: a name of the wrong kind is refused with one that fits', async () => {
    const cluster = new FakeCluster(tools.path('kubectl'), {}, 'feature/a-branch-with-a-name-that-is-too-long');
    const result = await cluster.run(['create']);
    expect(result.stderr).toMatch(
      /^error: the name of the cluster .* of 51 characters; .*HELM_K3S_CLUSTER_NAME=openshell-dev-a-branch-with-a-na$/m,
    );
  });

  test.each([
    ['', 'openshell-dev-0a1b2c3'],
    ['a/_b', 'openshell-dev-b'],
  ])('K8S-4: with the branch %j the cluster is %s', async (branch, name) => {
    const cluster = new FakeCluster(tools.path('kubectl'), {}, branch);
    expect((await cluster.run(['create', '--dry-run'])).stdout).toContain(`k3d cluster create ${name} --wait`);
    cluster.tools.add('git', [{ args: [], script: 'echo not a repository >&2; exit 128' }]);
    expect((await cluster.run(['create', '--dry-run'])).stdout).toContain('k3d cluster create openshell-dev --wait');
  });
});

/** kubectl fails when it is to merge. */
function failLater(): string {
  return `[[ $KUBECONFIG == *:* ]] && { echo no >&2; exit 4; }; exec ${tools.ok ? tools.path('kubectl') : ''} "$@"`;
}

describe('the sandbox image', tools.options, () => {
  test('an image that the cluster has is not imported', async () => {
    const cluster = newCluster({
      docker: [
        {
          args: ['exec', `${CONTEXT}-server-0`, 'ctr', '-n', 'k8s.io', 'images', 'list', '-q'],
          script: `printf 'a:1\\n${IMAGE}\\n'`,
        },
      ],
    });
    cluster.addCluster(NAME);
    const result = await cluster.run(['create']);
    expect(result.stderr).toContain(`already present in cluster: ${IMAGE}`);
    expect(cluster.changes().filter((line) => /save|import/.test(line))).toEqual([]);
  });

  test('K8S-9: one of another architecture is not imported: the right one is pulled, or it is a warning', async () => {
    const inspect = { args: ['image', 'inspect'], script: 'echo linux/arm64' };
    const cluster = newCluster({ docker: [inspect] });
    expect(await cluster.run(['create', '--require-preload'])).toMatchObject({ status: 0 });
    const pull = `docker pull --platform linux/amd64 ${IMAGE}`;
    expect(cluster.changes().slice(-3, -2)).toEqual([pull]);
    const other = newCluster({ docker: [inspect, { args: ['pull'], script: 'echo none >&2; exit 1' }] });
    const result = await other.run(['create']);
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: expect.stringContaining('Active context') });
    expect(result.stderr).toMatch(/^warning: the sandbox image is not in the cluster, .* docker pull .* status 1/m);
    expect(other.changes().at(-1)).toBe(pull);
  });

  test('one that is absent is pulled for the platform of the cluster', async () => {
    const cluster = newCluster();
    const flag = join(cluster.tools.directory, 'pulled');
    cluster.setFakes({
      docker: [
        { args: ['image', 'inspect'], script: `[[ -e ${flag} ]] && echo linux/amd64` },
        { args: ['pull'], script: `: > ${flag}` },
      ],
    });
    expect(await cluster.run(['create', '--require-preload'])).toMatchObject({ status: 0 });
    expect(cluster.changes().slice(-3, -2)).toEqual([`docker pull --platform linux/amd64 ${IMAGE}`]);
  });

  test('L17, K8S-5: a save that fails leaves no file and is a warning; --require-preload makes it an error', async () => {
    const cluster = newCluster({ docker: [{ args: ['image', 'save'], script: `printf half > "$4"; exit 5` }] });
    const result = await cluster.run(['create']);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stdout).toContain('Active context');
    expect(result.stderr).toMatch(
      /^warning: the sandbox image is not in the cluster, which works without it: docker image save .*status 5/m,
    );
    expect(
      cluster
        .changes()
        .filter((line) => /docker/.test(line))
        .map((line) => line.split(' ')[1]),
    ).toEqual(['image']);
    expectClean(cluster);
    expect(await cluster.run(['create', '--require-preload'])).toMatchObject({ status: 5, stdout: '' });
    expectClean(cluster);
  });

  test('K8S-19: the image may be one with a digest', async () => {
    const cluster = newCluster();
    const image = `ghcr.io/org/base@sha256:${'0a'.repeat(32)}`;
    const result = await cluster.run(['create', '--dry-run'], { HELM_K3S_PRELOAD_SANDBOX_IMAGE: image });
    expect(result.stdout).toContain(`docker pull --platform linux/amd64 ${image}\n`);
  });

  test('an empty variable means none', async () => {
    const cluster = newCluster();
    const result = await cluster.run(['create'], NOTHING);
    expect(result.stderr).toContain('Skipping sandbox image preload.');
    expect(cluster.tools.lines().filter((line) => /^docker (?!info)/.test(line))).toEqual([]);
  });
});

describe('Ctrl-C', tools.options, () => {
  const forever = `echo waiting >&2; trap 'exit 130' INT; while :; do /bin/sleep 0.1; done`;
  const stop = { onStart: whenSaid('waiting', (child) => child.kill('SIGINT')) };
  test.each([
    ['the cluster is created', { k3d: [{ args: ['cluster', 'create'], script: forever }] }, true],
    [
      'the manifest is applied',
      {
        kubectl: [
          {
            args: [],
            script: `[[ "$*" != *apply* ]] && exec ${tools.ok ? tools.path('kubectl') : ''} "$@"; ${forever}`,
          },
        ],
      },
      false,
    ],
    [
      'the resource is waited for',
      {
        kubectl: [
          {
            args: [],
            script: `case " $* " in *" apply "*) exit 0 ;; *" wait "*) ${forever} ;; esac; exec ${tools.ok ? tools.path('kubectl') : ''} "$@"`,
          },
        ],
      },
      false,
    ],
    [
      'the controller is waited for',
      {
        kubectl: [
          {
            args: [],
            script: `case " $* " in *" apply "*) exit 0 ;; *" wait "*) exit 0 ;; *" rollout "*) ${forever} ;; esac; exec ${tools.ok ? tools.path('kubectl') : ''} "$@"`,
          },
        ],
      },
      false,
    ],
    [
      'the image is pulled',
      {
        docker: [
          { args: ['image', 'inspect'], script: 'exit 1' },
          { args: ['pull'], script: forever },
        ],
      },
      false,
    ],
    ['the image is saved', { docker: [{ args: ['image', 'save'], script: `printf half > "$4"; ${forever}` }] }, false],
    ['the image is imported', { k3d: [{ args: ['image', 'import'], script: forever }] }, false],
  ] as const)('while %s: 130, and nothing is left but a whole cluster', async (_, fakes, isHalf) => {
    const cluster = newCluster(fakes);
    const result = await cluster.run(['create'], {}, stop);
    expect(result, result.stderr).toMatchObject({ status: 130, stdout: '' });
    expect(cluster.tools.lines().includes(`k3d cluster delete ${NAME}`)).toBe(isHalf);
    expect(existsSync(cluster.kubeconfig)).toBe(!isHalf);
    expectClean(cluster);
  });
});

describe('Ctrl-C in the other commands', tools.options, () => {
  const forever = `echo waiting >&2; trap 'exit 130' INT; while :; do /bin/sleep 0.1; done`;
  const stop = { onStart: whenSaid('waiting', (child) => child.kill('SIGINT')) };

  test.each(['start', 'stop', 'delete'])('%s: 130, and the kubeconfig stays as it is', async (command) => {
    const cluster = newCluster({ k3d: [{ args: ['cluster', command], script: forever }] });
    cluster.addCluster(NAME);
    writeFileSync(cluster.kubeconfig, kubeconfigText(NAME, 'https://x'));
    const result = await cluster.run([command], {}, stop);
    expect(result, result.stderr).toMatchObject({ status: 130, stdout: '' });
    expect(cluster.text()).toBe(kubeconfigText(NAME, 'https://x'));
  });

  test('a half cluster that cannot be removed is said', async () => {
    const cluster = newCluster({
      k3d: [
        { args: ['cluster', 'create'], script: forever },
        { args: ['cluster', 'delete'], script: 'echo busy >&2; exit 1' },
      ],
    });
    const result = await cluster.run(['create'], {}, stop);
    expect(result.status).toBe(130);
    expect(result.stderr).toMatch(/^warning: it cannot be removed: busy; run mise run helm:k3s:delete$/m);
  });
});

describe('the other commands', tools.options, () => {
  test('K8S-1: delete takes its own entries out of the kubeconfig, and only those', async () => {
    const cluster = newCluster();
    writeFileSync(cluster.kubeconfig, kubeconfigText('other', 'https://other'));
    const before = viewOf(cluster.kubeconfig);
    await cluster.run(['create'], NOTHING);
    expect(viewOf(cluster.kubeconfig)).not.toEqual(before);
    const result = await cluster.run(['delete']);
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `Deleted k3d cluster '${NAME}'.\n` });
    expect(cluster.hasCluster(NAME)).toBe(false);
    expect(viewOf(cluster.kubeconfig)).toEqual({ ...(before as object), 'current-context': '' });
    expect(modeOf(cluster.kubeconfig)).toBe(0o600);
    expect(await cluster.run(['delete'])).toMatchObject({ status: 0, stdout: `No k3d cluster named '${NAME}'.\n` });
    expectClean(cluster);
  });

  test('K8S-16: delete needs k3d alone: without kubectl, or with a broken kubeconfig, its entries stay, and that is said', async () => {
    const cluster = newCluster();
    const mine = kubeconfigText(NAME, 'https://mine');
    for (const [text, extra, said] of [
      ['garbage: [', {}, "'\\S+/kubeconfig' is not a kubeconfig: .*"],
      [mine, { PATH: cluster.withoutKubectl() }, 'kubectl is not on PATH; run mise install, or install it'],
    ] as const) {
      cluster.addCluster(NAME);
      writeFileSync(cluster.kubeconfig, text);
      const result = await cluster.run(['delete'], extra);
      expect(result, result.stderr).toMatchObject({ status: 0, stdout: `Deleted k3d cluster '${NAME}'.\n` });
      expect(result.stderr).toMatch(
        new RegExp(`^warning: what \\S+ has of the cluster '${NAME}' stays in it: ${said}$`, 'm'),
      );
      expect(cluster.hasCluster(NAME)).toBe(false);
      expect(cluster.text()).toBe(text);
    }
  });

  test('K8S-2, K8S-17: delete leaves a link alone, and creates no directory', async () => {
    const cluster = newCluster();
    const target = join(cluster.tools.directory, 'dotfiles');
    writeFileSync(target, kubeconfigText(NAME, 'https://mine'));
    symlinkSync(target, cluster.kubeconfig);
    const result = await cluster.run(['delete']);
    expect(result).toMatchObject({ status: 0 });
    expect(result.stderr).toMatch(/^warning: what \S+ has of the cluster '\S+' stays in it: .* it is a link/m);
    expect(readlinkSync(cluster.kubeconfig)).toBe(target);
    expect(readFileSync(target, 'utf8')).toContain(CONTEXT);
    expect(await cluster.run(['delete'], { HELM_K3S_KUBECONFIG: 'no/such/file' })).toMatchObject({ status: 0 });
    expect(existsSync(join(cluster.root, 'no'))).toBe(false);
  });

  test('start, stop, status', async () => {
    const cluster = newCluster();
    const absent = await cluster.run(['start']);
    expect(absent.status).toBe(2);
    expect(absent.stderr).toMatch(new RegExp(`^error: there is no k3d cluster '${NAME}'; create it first`, 'm'));
    cluster.addCluster(NAME);
    expect(await cluster.run(['stop'])).toMatchObject({ status: 0 });
    expect(await cluster.run(['start'])).toMatchObject({ status: 0 });
    expect(cluster.changes()).toEqual([`k3d cluster stop ${NAME}`, `k3d cluster start ${NAME}`]);
    expect(await cluster.run(['status'])).toMatchObject({ status: 0, stdout: 'NAME   SERVERS\nx      1/1\n' });
    cluster.setFakes({ k3d: [{ args: ['cluster', 'stop'], script: 'exit 7' }] });
    expect(await cluster.run(['stop'])).toMatchObject({ status: 7 });
    cluster.setFakes({ k3d: [{ args: ['cluster', 'list'], script: 'echo not json' }] });
    expect((await cluster.run(['stop'])).stderr).toMatch(
      /^error: k3d cluster list printed 'not json', which is not a list/m,
    );
  });

  test('a dry run prints the plan of each and changes nothing', async () => {
    const cluster = newCluster();
    const dry = async (command: string) =>
      (await cluster.run([command, '--dry-run'], { GITHUB_USERNAME: 'u', GITHUB_PAT: 'secret' })).stdout;
    const text = await dry('create');
    expect(text).toMatch(/^k3d cluster create .* --registry-config \S+\/openshell-k3s-XXXXXX\/registries\.json$/m);
    expect(text).toMatch(/^# writes \S+\/kubeconfig: what it has, and that before it$/m);
    expect(text).not.toContain('secret');
    expect(await dry('delete')).toBe(`# writes ${cluster.kubeconfig}: without the entries of the cluster '${NAME}'\n`);
    cluster.addCluster(NAME, { isRunning: false });
    expect(await dry('create')).toMatch(/^# creates .*\nk3d cluster start /);
    expect(await dry('stop')).toBe(`k3d cluster stop ${NAME}\n`);
    expect(await dry('status')).toBe('k3d cluster list\n');
    expect(cluster.changes()).toEqual([]);
    expect(existsSync(cluster.kubeconfig)).toBe(false);
  });

  test.each([
    [[], '<command> is missing'],
    [['up'], "command is 'up'; allowed are create, delete, start, stop, status"],
    [['create', 'x'], "unexpected argument 'x'"],
  ])('%j is wrong usage', async (args, said) => {
    const cluster = newCluster();
    const result = await cluster.run(args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(said);
    expect(cluster.tools.lines()).toEqual([]);
  });
});
