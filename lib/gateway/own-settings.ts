// SPDX-License-Identifier: Apache-2.0

/** Settings that a launch hands through to the gateway, which ends at a wrong one: refused before anything is built. */

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { type Environment, notAllowed, textOf } from '../cli/env.ts';
import { describeError, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Config } from './config.ts';
import { verifyPortFree } from './port.ts';
import { parsePort } from './value-checks.ts';

/** Ports that the gateway listens on besides its own, where they are set and not 0. */
export const OWN_PORTS = ['OPENSHELL_HEALTH_PORT', 'OPENSHELL_METRICS_PORT'] as const;

/** @throws usageError for what is no port, for one that another listener of this gateway has, and for one in use */
export async function verifyOwnPort(config: Config, env: Environment, name: (typeof OWN_PORTS)[number]): Promise<void> {
  const portOf = (variable: (typeof OWN_PORTS)[number]) => {
    const text = textOf(env, variable);
    return text === undefined || /^0+$/.test(text) ? undefined : parsePort(variable, text);
  };
  const port = portOf(name);
  if (port === undefined) return;
  const isShared = name !== OWN_PORTS[0] && portOf(OWN_PORTS[0]) === port;
  const other = port === config.port ? 'OPENSHELL_SERVER_PORT' : isShared ? OWN_PORTS[0] : undefined;
  if (other !== undefined) throw usageError(`${name} and ${other} are both ${port}; set one of them to another port`);
  await verifyPortFree(config.bindAddress, port, name);
}

/**
 * Checks that the gateway finds a kubeconfig, unless it runs in a cluster.
 * @throws usageError naming the file that cannot be read
 */
export function verifyKubeconfig(env: Environment, startDirectory: string): void {
  if (textOf(env, 'KUBERNETES_SERVICE_HOST') !== undefined) return;
  const named = (env.KUBECONFIG ?? '').split(':').filter((path) => path !== '');
  const paths = named.length > 0 ? named : [join(textOf(env, 'HOME') ?? '/', '.kube/config')];
  for (const path of paths.map((one) => absolutePath(startDirectory, one))) {
    try {
      accessSync(path, constants.R_OK);
    } catch (error) {
      throw usageError(`the kubeconfig ${describeError(error)}; set KUBECONFIG to that of a cluster`);
    }
  }
}

const HTTPS_PROXY = 'OPENSHELL_SANDBOX_HTTPS_PROXY';
const PROXY_SWITCHES = ['AUTH_ALLOW_INSECURE', 'CONNECT_BY_HOSTNAME'].map((end) => `OPENSHELL_SANDBOX_PROXY_${end}`);
const PROXY_REST = ['OPENSHELL_SANDBOX_NO_PROXY', 'OPENSHELL_SANDBOX_PROXY_AUTH_FILE', ...PROXY_SWITCHES];

/** @throws usageError for what the podman driver refuses */
export function verifyProxy(env: Environment): void {
  const proxy = env[HTTPS_PROXY];
  const isProxy = proxy === undefined || (/^http:\/\/[^\s/@]+\/?$/.test(proxy.trim()) && URL.canParse(proxy));
  if (!isProxy)
    throw usageError(`${HTTPS_PROXY} is not http://HOST:PORT without user and password; change it or unset it`);
  for (const name of PROXY_REST) {
    const value = env[name];
    if (value === undefined) continue;
    if (proxy === undefined) throw usageError(`${name} is set and ${HTTPS_PROXY} is not; set both or neither`);
    if (value.trim() === '') throw usageError(`${name} is empty, which the gateway refuses; unset it`);
    if (PROXY_SWITCHES.includes(name) && value !== 'true' && value !== 'false') {
      throw notAllowed(name, value, 'are true and false');
    }
  }
}

/** Why no VM can be started here; `undefined` where one can, and where the system has no such device. */
export function whyNoVm(platform: NodeJS.Platform, device = '/dev/kvm'): string | undefined {
  if (platform !== 'linux') return undefined;
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `no sandbox will start: ${describeError(error)}; load the module kvm, or join the group of ${device}`;
  }
}
