// SPDX-License-Identifier: Apache-2.0

/** The commands for a local cluster, what k3d and kubectl say about one, and the plan of a creation. */

import { join } from 'node:path';
import type { Runner } from '../build-env.ts';
import { shown, usageError } from '../errors.ts';
import { isOfOther } from '../fs/ownership.ts';
import { isTable, parseJson } from '../fs/parse-json.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import { type Command, cmd } from '../process/command.ts';
import type { ClusterConfig } from './config.ts';

const RELEASES = 'https://github.com/kubernetes-sigs/agent-sandbox/releases/download';
/** What the directories of runs for temporary files begin with. */
export const SCRATCH_PREFIX = 'openshell-k3s-';
/** The file of the credentials. */
export const REGISTRIES = 'registries.json';
const CLEARED = { GITHUB_PAT: undefined, LOG_LEVEL: undefined };

export interface PreparedCluster {
  readonly config: ClusterConfig;
  readonly cluster: ReturnType<typeof clusterIn>;
  /** In a dry run where k3d does not tell whether there is one: a line that says what the plan is for. */
  readonly notes: readonly string[];
  /** Of a cluster that is to be created or completed: `linux/amd64`. */
  readonly platform: string;
}

/** The context, and the cluster in a kubeconfig, by the rule of k3d. */
export function contextOf(name: string): string {
  return `k3d-${name}`;
}

/** No program needs the token, and k3d would mix what it logs at other levels with its output. */
export function start(root: string, more: Partial<Command> = {}) {
  return cmd({ cwd: root, base: CLEARED, ...more });
}

/** The commands for a cluster. @param directory the one of this run for temporary files */
export function clusterCommands(config: ClusterConfig, directory: string) {
  const { credentials, kubeconfig, name, port, root } = config;
  const command = start(root);
  // What k3d writes of its own accord, and under sudo as root.
  const apart = start(root, { base: { ...CLEARED, KUBECONFIG: join(directory, 'default') } });
  // What kubectl caches belongs to who has the kubeconfig.
  const user = start(root, { asInvoker: isOfOther(kubeconfig) });
  const kubectl = ['kubectl', `--kubeconfig=${kubeconfig}`, `--context=${contextOf(name)}`];
  const registries = credentials === undefined ? [] : ['--registry-config', join(directory, REGISTRIES)];
  return {
    create: command`k3d cluster create ${name} --wait --kubeconfig-update-default=false
      --kubeconfig-switch-context=false --port ${port}:80@loadbalancer
      --k3s-arg --disable=traefik@server:0 ${registries}`,
    start: command`k3d cluster start ${name}`,
    delete: apart`k3d cluster delete ${name}`,
    kubeconfig: command`k3d kubeconfig get ${name}`,
    /** Merges kubeconfigs: of two entries with one name the first counts, and relative paths stay as they are. */
    view: (...files: readonly string[]) =>
      start(root, { env: { KUBECONFIG: files.join(':') } })`kubectl config view --raw`,
    /** Install agent-sandbox, and wait for it. */
    sandbox: [
      user`${kubectl} apply -f ${RELEASES}/${config.release}/manifest.yaml`,
      user`${kubectl} wait --for=condition=Established --timeout=120s crd/sandboxes.agents.x-k8s.io`,
      user`${kubectl} -n agent-sandbox-system rollout status deployment/agent-sandbox-controller --timeout=300s`,
    ],
  };
}

/** The commands that bring an image into the cluster, through a file in the directory. */
export function imageCommands({ name, root }: ClusterConfig, image: string, platform: string, directory: string) {
  const archive = join(directory, 'image.tar');
  return {
    imagesOf: (node: string) => start(root)`docker exec ${node} ctr -n k8s.io images list -q`,
    inspect: start(root)`docker image inspect --format {{.Os}}/{{.Architecture}} ${image}`,
    pull: start(root)`docker pull --platform ${platform} ${image}`,
    load: [
      start(root)`docker image save -o ${archive} ${image}`,
      start(root)`k3d image import ${archive} --cluster ${name}`,
    ],
  };
}

/** Finds a cluster in what k3d lists as JSON. @throws usageError for text that is not such a list */
export function clusterIn(output: string, name: string) {
  const list = parseJson(output);
  if (!Array.isArray(list) || !list.every(isTable)) {
    throw usageError(`k3d cluster list printed ${shown(output)}, which is not a list of clusters; update k3d`);
  }
  const found = list.find((cluster) => cluster.name === name);
  if (found === undefined) return undefined;
  const nodes = [found.nodes ?? []]
    .flat()
    .filter(isTable)
    .filter((node) => node.role !== 'registry');
  const mappings = nodes.find(({ role }) => role === 'loadbalancer')?.portMappings;
  const [mapped] = isTable(mappings) ? [mappings['80/tcp']].flat().filter(isTable) : [];
  return {
    isRunning: nodes.length > 0 && nodes.every(({ State }) => isTable(State) && State.Running === true),
    /** The containers of its servers. */
    servers: nodes.filter(({ role }) => role === 'server').map((node) => String(node.name)),
    /** Of this machine, for port 80 of its load balancer. */
    port: Number(mapped?.HostPort) || undefined,
  };
}

/** A kubeconfig without the entries that k3d makes for a cluster. */
export function withoutCluster(kubeconfig: Readonly<Record<string, unknown>>, context: string) {
  const isOther = (entry: unknown) => !isTable(entry) || ![context, `admin@${context}`].includes(String(entry.name));
  const kept = Object.entries(kubeconfig).map(([key, value]) => {
    if (key === 'current-context' && value === context) return [key, ''];
    return [key, Array.isArray(value) ? value.filter(isOther) : value];
  });
  return Object.fromEntries(kept);
}

/** The plan of a creation, ready to paste. */
export function createLines(runner: Runner, { cluster, config, notes, platform }: PreparedCluster): string[] {
  const { image, kubeconfig } = config;
  const show = (...commands: readonly Command[]) => commands.map((command) => runner.describe(command));
  const directory = join(temporaryRoot(), `${SCRATCH_PREFIX}XXXXXX`);
  const commands = clusterCommands(config, directory);
  const images = image && imageCommands(config, image, platform, directory);
  return [
    ...notes,
    `# creates ${directory}, for this run`,
    ...(cluster === undefined ? show(commands.create) : cluster.isRunning ? [] : show(commands.start)),
    ...show(commands.kubeconfig),
    `# writes ${kubeconfig}: what it has, and that before it`,
    ...show(commands.view(join(directory, 'kubeconfig'), kubeconfig), ...commands.sandbox),
    ...(images ? ['# unless the cluster has it', ...show(images.pull, ...images.load)] : []),
  ];
}
