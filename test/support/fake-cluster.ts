// SPDX-License-Identifier: Apache-2.0

/** A checkout with a fake k3d and a fake docker, whose clusters are files, and with kubectl: the real one, or a fake. */

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addEngine } from './fake-engine.ts';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote, type FakeCase } from './fake-tools.ts';
import { freePort } from './free-port.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';

export const IMAGE = 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest';

/** More calls that the fakes expect, looked at first. */
export interface ClusterFakes {
  readonly k3d?: readonly FakeCase[];
  readonly docker?: readonly FakeCase[];
  readonly kubectl?: readonly FakeCase[];
}

export class FakeCluster extends FakeCheckout {
  /** Of the checkout. */
  readonly kubeconfig: string;
  readonly temporary: string;
  readonly #state: string;
  readonly #real: string | undefined;
  port = 0;

  /**
   * @param real the path of kubectl for what it does without a cluster; without it a fake merges nothing
   * @param branch what git says
   */
  constructor(real?: string, fakes: ClusterFakes = {}, branch = 'feat/Some_Branch') {
    super();
    this.kubeconfig = join(this.root, 'kubeconfig');
    this.temporary = join(this.tools.directory, 'tmp');
    this.#state = join(this.tools.directory, 'clusters');
    this.#real = real;
    mkdirSync(this.temporary);
    mkdirSync(this.#state);
    this.tools.add('git', [
      { args: ['symbolic-ref', '--quiet', '--short', 'HEAD'], script: branch === '' ? 'exit 1' : `echo ${branch}` },
      { args: ['rev-parse', '--short', 'HEAD'], script: 'echo 0a1b2c3' },
    ]);
    this.setFakes(fakes);
    addKeycloakFiles(this.root);
  }

  /** Replaces the fakes. */
  setFakes({ docker = [], k3d = [], kubectl = [] }: ClusterFakes): void {
    const state = bashQuote(this.#state);
    this.tools.add('k3d', [
      ...k3d,
      {
        args: ['cluster', 'list', '--output', 'json'],
        script: `shopt -s nullglob; sep=; printf '['; for f in ${state}/*; do printf '%s' "$sep"; printf '%s' "$(<"$f")"; sep=,; done; printf ']\\n'`,
      },
      { args: ['cluster', 'list'], script: "printf 'NAME   SERVERS\\nx      1/1\\n'" },
      {
        args: ['cluster', 'create'],
        script: `eval "\${FAKE_REFUSAL:-}"; printf '%s' "$(NEW_NAME=$3; ${this.#entry()})" > ${state}/$3`,
      },
      { args: ['cluster', 'start'], script: `f=$(<${state}/$3); printf '%s' "\${f//false/true}" > ${state}/$3` },
      { args: ['cluster', 'stop'], script: `f=$(<${state}/$3); printf '%s' "\${f//true/false}" > ${state}/$3` },
      { args: ['cluster', 'delete'], script: `/bin/rm -f ${state}/$3` },
      {
        args: ['kubeconfig', 'get'],
        script: `printf '%s\\n' "\${FAKE_KUBECONFIG:-$(NAME=$3; ${kubeconfigScript()})}"`,
      },
      { args: ['image', 'import'], script: ':' },
    ]);
    addEngine(this.tools, 'docker', {
      cases: [
        ...docker,
        { args: ['image', 'inspect'], script: 'echo linux/amd64' },
        { args: ['pull'], script: ':' },
        { args: ['image', 'save', '-o'], script: `printf image > "$4"` },
        { args: ['exec'], script: 'echo docker.io/library/other:1' },
      ],
    });
    const view = this.#real === undefined ? fakeView() : `exec ${bashQuote(this.#real)} "$@"`;
    this.tools.add('kubectl', [...kubectl, { args: ['config', 'view'], script: view }, { args: [], script: ':' }]);
  }

  /** A cluster as k3d lists it; `true` stands for what runs. */
  #entry(): string {
    const node = (name: string, role: string, more = '') =>
      `{\\"name\\":\\"k3d-$NEW_NAME-${name}\\",\\"role\\":\\"${role}\\"${more},\\"State\\":{\\"Running\\":true}}`;
    const ports = `,\\"portMappings\\":{\\"80/tcp\\":[{\\"HostIp\\":\\"0.0.0.0\\",\\"HostPort\\":\\"\${FAKE_PORT:-8080}\\"}]}`;
    return `printf '%s' "{\\"name\\":\\"$NEW_NAME\\",\\"nodes\\":[${node('server-0', 'server')},${node('serverlb', 'loadbalancer', ports)}]}"`;
  }

  /** Makes a cluster that exists before the task. */
  addCluster(name: string, { isRunning = true, port = 8080 } = {}): void {
    const State = { Running: isRunning };
    const nodes = [
      { name: `k3d-${name}-server-0`, role: 'server', State },
      {
        name: `k3d-${name}-serverlb`,
        role: 'loadbalancer',
        portMappings: { '80/tcp': [{ HostPort: `${port}` }] },
        State,
      },
      { name: 'registry', role: 'registry', State: { Running: false } },
    ];
    writeFileSync(join(this.#state, name), JSON.stringify({ name, nodes }));
  }

  /** A PATH with all but kubectl. */
  withoutKubectl(): string {
    const directory = join(this.tools.directory, 'without');
    mkdirSync(directory);
    for (const name of readdirSync(this.tools.bin))
      if (name !== 'kubectl') symlinkSync(join(this.tools.bin, name), join(directory, name));
    return directory;
  }

  hasCluster(name: string): boolean {
    return existsSync(join(this.#state, name));
  }

  async run(
    args: readonly string[],
    extra: Readonly<Record<string, string>> = {},
    options: Partial<TaskOptions> = {},
    task = 'helm-k3s-local',
  ): Promise<TaskResult> {
    this.port ||= await freePort();
    const own = { HELM_K3S_LB_HOST_PORT: String(this.port), FAKE_PORT: String(this.port), TMPDIR: this.temporary };
    return runTaskFile(task, args, { cwd: this.root, env: this.env({ ...own, ...extra }), ...options });
  }

  /** The calls, without the probes. */
  changes(): string[] {
    return this.tools
      .lines()
      .filter((line) => !/^(git|docker (info|exec|image inspect)|k3d cluster list|kubectl .*config view)/.test(line));
  }

  text(): string {
    return readFileSync(this.kubeconfig, 'utf8');
  }
}

/** The realm in small. */
export const REALM = {
  realm: 'openshell',
  users: ['admin', 'user', 'user-b'].map((name) => ({
    username: `${name}@test`,
    credentials: [{ type: 'password', value: name }],
    realmRoles: ['openshell-user'],
  })),
};

/** What Keycloak needs of a checkout. */
export function addKeycloakFiles(
  root: string,
  realm: object | string = REALM,
  issuer = 'http://keycloak.keycloak.svc.cluster.local/realms/openshell',
): void {
  for (const name of ['scripts', 'deploy/helm/openshell/ci']) mkdirSync(join(root, name), { recursive: true });
  const text = typeof realm === 'string' ? realm : JSON.stringify(realm, undefined, 2);
  writeFileSync(join(root, 'scripts/keycloak-realm.json'), text);
  const values = `server:\n  oidc:\n    # Must match.\n    issuer: "${issuer}"\n    audience: "openshell-cli"\n`;
  writeFileSync(join(root, 'deploy/helm/openshell/ci/values-keycloak.yaml'), values);
}

/** A kubeconfig as k3d gives it. */
export function kubeconfigText(name: string, server: string, current = `k3d-${name}`): string {
  return `apiVersion: v1
kind: Config
clusters:
- name: k3d-${name}
  cluster: {server: "${server}"}
users:
- name: admin@k3d-${name}
  user: {token: token-of-${server}}
contexts:
- name: k3d-${name}
  context: {cluster: k3d-${name}, user: admin@k3d-${name}}
current-context: ${current}
`;
}

function kubeconfigScript(): string {
  return `printf '%s' ${bashQuote(kubeconfigText('NAME', 'https://127.0.0.1:1'))} | while IFS= read -r l; do printf '%s\\n' "\${l//NAME/$NAME}"; done`;
}

/** Gives the first of the files back. */
function fakeView(): string {
  return `if [[ $* == *json* ]]; then echo '{"contexts":[{"name":"k3d-x"}],"current-context":"k3d-x"}'; else printf '%s\\n' "$(<"\${KUBECONFIG%%:*}")"; fi`;
}
