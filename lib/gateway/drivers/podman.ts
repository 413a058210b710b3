// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are Podman containers; the supervisor is an image that they mount. */

import { type Environment, readVariable } from '../../cli/env.ts';
import { SOCKET_VARIABLE } from '../../engine/podman.ts';
import type { LaunchEngine } from '../../engine/types.ts';
import { COMPONENTS } from '../../product.ts';
import { type DriverRecord, type DriverTable, PODMAN_PULL_POLICIES, readPullPolicy } from '../config.ts';
import { driverEngine, imageOf, imageStep, prepareSupervisor, verifyImageExists } from '../supervisor.ts';

const IMAGE_VARIABLE = 'OPENSHELL_SUPERVISOR_IMAGE';

/** Written through even where they are empty: a mistake must stop the gateway, and not bypass the proxy. */
const PROXY_TEXTS = ['https_proxy', 'no_proxy', 'proxy_auth_file'];
/** Only `true` and `false` become booleans; the gateway refuses any other text. */
const PROXY_SWITCHES = ['proxy_auth_allow_insecure', 'proxy_connect_by_hostname'];

export const PODMAN_DRIVER: DriverRecord = {
  name: 'podman',
  title: 'Podman',
  port: 18_080,
  isActivated: true,
  binaries: [COMPONENTS.supervisor],
  ignored: ['OPENSHELL_SANDBOX_NAMESPACE'],
  // The VM that podman needs on macOS forwards IPv6 loopback, and the CLI reaches it as localhost.
  bind: (platform) => (platform === 'darwin' ? { address: '::1', host: 'localhost' } : undefined),
  open(ctx, config) {
    const { env, problems } = ctx;
    const probed = driverEngine(ctx, 'podman');
    const own = problems.values({
      profile: () => readVariable(env, 'OPENSHELL_SUPERVISOR_PROFILE'),
      policy: () => readPullPolicy(env, PODMAN_PULL_POLICIES),
    });
    const given = readVariable(env, IMAGE_VARIABLE);
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
    return async (tools) => {
      if (given !== undefined) {
        const engine = await probed;
        await verifyImageExists(ctx, engine, IMAGE_VARIABLE, given);
        return use(engine, given, ` (${IMAGE_VARIABLE})`);
      }
      const supervisor = await prepareSupervisor(ctx, config, probed, own, tools);
      if (supervisor === undefined) return undefined;
      return {
        ...use(supervisor.engine, imageOf(config), `, ${supervisor.description}`),
        before: supervisor.steps,
        wishes: { supervisor: supervisor.build },
        after: [imageStep(ctx, config, supervisor)],
      };
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
