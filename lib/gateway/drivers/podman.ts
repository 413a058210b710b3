// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Podman containers; the supervisor is an image that they mount. */

import type { LaunchFeatures } from '../../cargo/features.ts';
import { type Environment, textOf } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import type { Engine } from '../../engine/types.ts';
import { thisHost } from '../../host.ts';
import { meanwhile } from '../../meanwhile.ts';
import { COMPONENTS } from '../../product.ts';
import { LAUNCH_VARIABLES, type Settings } from '../config.ts';
import type { DriverTable } from '../config-file.ts';
import { planSupervisor, probeStaticLibc, profileOf } from '../supervisor/source.ts';
import { PODMAN_PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { driverEngine } from './engine.ts';
import { type DriverRecord, loopback } from './types.ts';

/** Names an image to use instead of building one. */
const IMAGE_VARIABLE = 'OPENSHELL_SUPERVISOR_IMAGE';

/** Written through even where they are empty: a mistake must stop the gateway, and not bypass the proxy. */
const PROXY_TEXTS = {
  https_proxy: 'OPENSHELL_SANDBOX_HTTPS_PROXY',
  no_proxy: 'OPENSHELL_SANDBOX_NO_PROXY',
  proxy_auth_file: 'OPENSHELL_SANDBOX_PROXY_AUTH_FILE',
} as const;

/** Only `true` and `false` become booleans; the gateway refuses any other text. */
const PROXY_SWITCHES = {
  proxy_auth_allow_insecure: 'OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE',
  proxy_connect_by_hostname: 'OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME',
} as const;

export const PODMAN_DRIVER: DriverRecord = {
  name: 'podman',
  title: 'Podman',
  port: 18_080,
  isActivated: true,
  variables: { name: ['OPENSHELL_PODMAN_GATEWAY_NAME'], stateDirectory: ['OPENSHELL_PODMAN_GATEWAY_STATE_DIR'] },
  // The VM that podman needs on macOS forwards IPv6 loopback, and the CLI reaches it as localhost.
  bind: (platform) => (platform === 'darwin' ? { address: '::1', host: 'localhost' } : loopback()),
  open({ env, problems }, settings, engine) {
    const policyText = textOf(env, LAUNCH_VARIABLES.pullPolicy) ?? 'IfNotPresent';
    problems.attempt(() => profileOf(env), undefined);
    const policy = problems.attempt(
      () => parsePullPolicy(LAUNCH_VARIABLES.pullPolicy, policyText, PODMAN_PULL_POLICIES),
      '',
    );
    const own = { image_pull_policy: policy, grpc_endpoint: settings.grpcEndpoint, ...proxyKeys(env) };
    return {
      defaultImage: settings.sandboxImage,
      binaries: [COMPONENTS.supervisor],
      gatewayEnv: {},
      metadata: {},
      prepare: (ctx, features) => prepare(ctx, features, settings, own, engine),
    };
  },
};

/** The proxy keys of the variables that are set, set but empty included. */
export function proxyKeys(env: Environment): DriverTable {
  const switchOf = (text: string | undefined) => (text === 'true' || text === 'false' ? text === 'true' : text);
  return Object.fromEntries([
    ...Object.entries(PROXY_TEXTS).map(([key, variable]) => [key, env[variable]]),
    ...Object.entries(PROXY_SWITCHES).map(([key, variable]) => [key, switchOf(env[variable])]),
  ]);
}

async function prepare(
  ctx: TaskContext,
  features: LaunchFeatures,
  settings: Settings,
  own: DriverTable,
  known: Engine | undefined,
) {
  const { env, terminal } = ctx;
  if (textOf(env, LAUNCH_VARIABLES.namespace) !== undefined) {
    terminal.warn(`${LAUNCH_VARIABLES.namespace} has no effect: the podman driver has no namespaces`);
  }
  const given = textOf(env, IMAGE_VARIABLE);
  const host = thisHost();
  const [engine, lack, { imageStep, SUPERVISOR_IMAGE, verifyImageExists }] = await Promise.all([
    known ?? driverEngine(ctx, 'podman', settings.root),
    given === undefined ? probeStaticLibc(ctx, settings.root, host) : undefined,
    meanwhile(() => import('../supervisor/image.ts')),
  ]);
  const image = given ?? SUPERVISOR_IMAGE;
  const table = () => ({ supervisor_image: image, ...own });
  if (given !== undefined) {
    await verifyImageExists(ctx, engine, settings.root, IMAGE_VARIABLE, given);
    return {
      before: [],
      build: { withSupervisor: false, others: [], env: {} },
      after: [],
      table,
      banner: [['supervisor', `${image} (${IMAGE_VARIABLE})`]] as const,
    };
  }
  const supervisor = await planSupervisor(ctx, features, settings.root, host, engine.arch, lack);
  return {
    before: supervisor.steps,
    build: { withSupervisor: supervisor.choice.profile === 'dev', others: [], env: {} },
    after: [imageStep(ctx, engine, settings.root, supervisor)],
    table,
    banner: [
      ['supervisor', `${image}, ${supervisor.choice.profile} profile, static (${supervisor.choice.reason})`],
    ] as const,
  };
}
