// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Podman containers; the supervisor is an image that they mount. */

import type { RunnerContext } from '../../build-env.ts';
import { type Environment, readVariable, textOf } from '../../cli/env.ts';
import { COMPONENTS } from '../../product.ts';
import { loopback } from '../config.ts';
import type { DriverTable } from '../config-file.ts';
import { imageStep, SUPERVISOR_IMAGE, verifyImageExists } from '../supervisor/image.ts';
import { type Profile, resolveProfile } from '../supervisor/source.ts';
import { PODMAN_PULL_POLICIES, parsePullPolicy } from '../validate.ts';
import { driverEngine, prepareSupervisor } from './engine.ts';
import type { DriverRecord, Preparation, PrepareFacts } from './types.ts';

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

interface PodmanConfig {
  readonly image: string | undefined;
  readonly profile: Profile | undefined;
  readonly table: DriverTable;
  readonly hasNamespace: boolean;
}

export const PODMAN_DRIVER: DriverRecord = {
  name: 'podman',
  title: 'Podman',
  port: 18_080,
  isActivated: true,
  variables: {
    name: ['OPENSHELL_PODMAN_GATEWAY_NAME', 'OPENSHELL_GATEWAY_NAME'],
    stateDirectory: ['OPENSHELL_PODMAN_GATEWAY_STATE_DIR', 'OPENSHELL_GATEWAY_STATE_DIR'],
  },
  // The VM that podman needs on macOS forwards IPv6 loopback, and the CLI reaches it as localhost.
  bind: (platform) => (platform === 'darwin' ? { address: '::1', host: 'localhost' } : loopback()),
  open({ env, problems }, config) {
    const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
    const profile = problems.attempt(() => resolveProfile(env), undefined);
    const policy = problems.attempt(() => parsePullPolicy(source, readVariable(env, source), PODMAN_PULL_POLICIES), '');
    const own: PodmanConfig = {
      image: readVariable(env, IMAGE_VARIABLE),
      profile,
      table: { image_pull_policy: policy, grpc_endpoint: config.grpcEndpoint, ...proxyKeys(env) },
      hasNamespace: textOf(env, 'OPENSHELL_SANDBOX_NAMESPACE') !== undefined,
    };
    return {
      defaultImage: config.sandboxImage,
      binaries: [COMPONENTS.supervisor],
      gatewayEnv: {},
      metadata: {},
      prepare: (ctx, facts) => prepare(ctx, facts, own),
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

async function prepare(ctx: RunnerContext, facts: PrepareFacts, own: PodmanConfig): Promise<Preparation | undefined> {
  if (own.hasNamespace) {
    ctx.terminal.warn('OPENSHELL_SANDBOX_NAMESPACE has no effect: the podman driver has no namespaces');
  }
  if (own.image !== undefined) return withImage(ctx, facts, own, own.image);
  const supervisor = await prepareSupervisor(ctx, 'podman', facts, own.profile);
  if (supervisor === undefined) return undefined;
  const { engine, source } = supervisor;
  const { profile, reason } = source.choice;
  return {
    before: source.steps,
    wishes: { withSupervisor: profile === 'dev', others: [], env: {} },
    after: [imageStep(ctx, engine, facts.config.root, source)],
    table: () => ({ supervisor_image: SUPERVISOR_IMAGE, ...own.table }),
    banner: [['supervisor', `${SUPERVISOR_IMAGE}, ${profile} profile, static (${reason})`]],
  };
}

/** A launch with an image that exists: no supervisor is built. */
async function withImage(
  ctx: RunnerContext,
  facts: PrepareFacts,
  own: PodmanConfig,
  image: string,
): Promise<Preparation> {
  const engine = await driverEngine(ctx, 'podman', facts);
  await verifyImageExists(ctx, engine, facts.config.root, IMAGE_VARIABLE, image);
  return {
    before: [],
    wishes: { withSupervisor: false, others: [], env: {} },
    after: [],
    table: () => ({ supervisor_image: image, ...own.table }),
    banner: [['supervisor', `${image} (${IMAGE_VARIABLE})`]],
  };
}
