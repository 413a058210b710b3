// SPDX-License-Identifier: Apache-2.0

/** The record of each driver. */

import { join } from 'node:path';
import { miseSettings } from '../../cargo/find-toolchain.ts';
import { type Environment, readVariable } from '../../cli/env.ts';
import { installSupervisor } from '../../dev-build/execute.ts';
import { SOCKET_VARIABLE } from '../../engine/podman.ts';
import type { LaunchEngine } from '../../engine/types.ts';
import { oneLine, shown, usageError } from '../../errors.ts';
import { files } from '../../fs/writable-places.ts';
import { COMPONENTS } from '../../product.ts';
import { type DriverRecord, type DriverTable, PODMAN_PULL_POLICIES, PULL_POLICIES, readPullPolicy } from '../config.ts';
import { driverEngine, imageOf, imageStep, inspectImage, prepareSupervisor } from '../supervisor.ts';
import { VM } from './vm.ts';

const IMAGE_VARIABLE = 'OPENSHELL_SUPERVISOR_IMAGE';

/** Written through even where they are empty: a mistake must stop the gateway, and not bypass the proxy. */
const PROXY_TEXTS = ['https_proxy', 'no_proxy', 'proxy_auth_file'];
/** Only `true` and `false` become booleans; the gateway refuses any other text. */
const PROXY_SWITCHES = ['proxy_auth_allow_insecure', 'proxy_connect_by_hostname'];

/** The supervisor is mounted into the containers from the state directory. */
const DOCKER: DriverRecord = {
  name: 'docker',
  title: 'Docker',
  port: 18_080,
  // Beside an installed gateway it is for trying things out; the user says when it is the one to use.
  isActivated: false,
  binaries: [COMPONENTS.supervisor],
  async prepare(ctx, config, tools) {
    const { env, problems } = ctx;
    const own = problems.values({
      policy: () => readPullPolicy(env, PULL_POLICIES),
      // Sandboxes of one daemon are told apart by it.
      namespace: () => readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? config.name,
    });
    const supervisor = await prepareSupervisor(ctx, config, 'docker', tools);
    if (supervisor === undefined) return undefined;
    const { arch, engine } = supervisor;
    // Running sandboxes hold the file that was here before: it is replaced, never written into.
    const path = join(config.stateDirectory, 'supervisor', arch, COMPONENTS.supervisor.binary);
    return {
      before: supervisor.steps,
      wishes: { supervisor: supervisor.build },
      after: [
        {
          name: 'supervisor',
          title: `supervisor for linux/${arch}`,
          lines: [`# writes ${path}`],
          writes: files(path),
          run: (build) => installSupervisor(supervisor.built(build), path),
        },
      ],
      table: () => ({
        socket_path: engine.socket,
        default_image: config.sandboxImage,
        image_pull_policy: own.policy,
        sandbox_namespace: own.namespace,
        grpc_endpoint: config.grpcEndpoint ?? `http://host.openshell.internal:${config.port}`,
        supervisor_bin: path,
      }),
      banner: [
        ['engine', `${engine.program} on ${engine.socket}`],
        ['namespace', own.namespace],
        ['supervisor', supervisor.description],
      ],
    };
  },
};

/** The supervisor is an image that the containers mount. */
const PODMAN: DriverRecord = {
  name: 'podman',
  title: 'Podman',
  port: 18_080,
  isActivated: true,
  binaries: [COMPONENTS.supervisor],
  ignored: ['OPENSHELL_SANDBOX_NAMESPACE'],
  // The VM that podman needs on macOS forwards IPv6 loopback, and the CLI reaches it as localhost.
  bind: (platform) => (platform === 'darwin' ? { address: '::1', host: 'localhost' } : undefined),
  async prepare(ctx, config, tools) {
    const { env, problems } = ctx;
    const own = problems.values({ policy: () => readPullPolicy(env, PODMAN_PULL_POLICIES) });
    const proxy = proxyKeys(env);
    const use = (engine: LaunchEngine, image: string, origin: string) => ({
      defaultImage: config.sandboxImage,
      // For the gateway it would win over its configuration, and even where it is empty.
      gatewayEnv: { [SOCKET_VARIABLE]: undefined },
      table: () => ({
        socket_path: engine.socket,
        supervisor_image: image,
        image_pull_policy: own.policy,
        grpc_endpoint: config.grpcEndpoint,
        ...proxy,
      }),
      banner: [
        ['engine', `${engine.program} on ${engine.socket}`],
        ['supervisor', `${image}${origin}`],
      ] as const,
    });
    const given = readVariable(env, IMAGE_VARIABLE);
    if (given !== undefined) {
      const engine = await driverEngine(ctx, 'podman');
      const result = engine.unknown === undefined ? await inspectImage(ctx, engine, given) : undefined;
      if (result?.ok === false) {
        const wrong = `${shown(given)}, which podman does not have (${oneLine(result.reason)})`;
        throw usageError(
          `${IMAGE_VARIABLE} is ${wrong}; pull or build it, or unset ${IMAGE_VARIABLE} to have it built`,
        );
      }
      return use(engine, given, ` (${IMAGE_VARIABLE})`);
    }
    const supervisor = await prepareSupervisor(ctx, config, 'podman', tools);
    if (supervisor === undefined) return undefined;
    return {
      ...use(supervisor.engine, imageOf(config), `, ${supervisor.description}`),
      before: supervisor.steps,
      wishes: { supervisor: supervisor.build },
      after: [imageStep(ctx, config, supervisor)],
    };
  },
};

/** The proxy keys of the variables that are set, set but empty included. */
export function proxyKeys(env: Environment): DriverTable {
  const textIn = (key: string) => env[`OPENSHELL_SANDBOX_${key.toUpperCase()}`];
  const switchOf = (text: string | undefined) => (text === 'true' || text === 'false' ? text === 'true' : text);
  return Object.fromEntries([
    ...PROXY_TEXTS.map((key) => [key, textIn(key)]),
    ...PROXY_SWITCHES.map((key) => [key, switchOf(textIn(key))]),
  ]);
}

/** The gateway runs on this machine, and its sandboxes in a cluster. */
const KUBERNETES: DriverRecord = {
  name: 'kubernetes',
  title: 'Kubernetes',
  port: 8080,
  isActivated: true,
  binaries: [],
  async prepare(ctx, config, tools) {
    const { env, problems, root } = ctx;
    // It does not follow the gateway's name: it has to exist in the cluster.
    const namespace = readVariable(env, 'OPENSHELL_SANDBOX_NAMESPACE') ?? 'kubernetes-dev';
    const own = problems.values({ policy: () => readPullPolicy(env, PULL_POLICIES) });
    await tools;
    const gatewayEnv = await miseSettings(ctx, root, ['KUBECONFIG']);
    const ofMise = Object.values(gatewayEnv).map((path) => ['kubeconfig', `${path} (mise)`] as const);
    return {
      defaultImage: config.sandboxImage,
      table: () => ({ namespace, image_pull_policy: own.policy, grpc_endpoint: config.grpcEndpoint }),
      banner: [['namespace', namespace], ...ofMise],
      gatewayEnv,
    };
  },
};

export const DRIVERS = { docker: DOCKER, podman: PODMAN, vm: VM, kubernetes: KUBERNETES } as const;
