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

/** Checks the ports that the gateway listens on besides its own, where they are set and not 0. @throws usageError */
export async function verifyOwnPorts({ bindAddress, port }: Config, env: Environment): Promise<void> {
  const taken = new Map([[port, 'OPENSHELL_SERVER_PORT']]);
  for (const name of ['OPENSHELL_HEALTH_PORT', 'OPENSHELL_METRICS_PORT']) {
    const text = env[name] ?? '0';
    if (/^0+$/.test(text)) continue;
    const own = parsePort(name, text);
    const other = taken.get(own);
    if (other !== undefined) throw usageError(`${name} and ${other} are both ${own}; set one of them to another port`);
    await verifyPortFree(bindAddress, own, name);
    taken.set(own, name);
  }
}

/** Checks that the gateway finds a kubeconfig, unless it runs in a cluster. @throws usageError naming the file */
export function verifyKubeconfig(env: Environment, startDirectory: string): void {
  if (textOf(env, 'KUBERNETES_SERVICE_HOST') !== undefined) return;
  const named = (env.KUBECONFIG ?? '').split(':').filter((path) => path !== '');
  for (const path of named.length > 0 ? named : [join(textOf(env, 'HOME') ?? '/', '.kube/config')]) {
    const reason = whyUnusable(absolutePath(startDirectory, path), constants.R_OK);
    if (reason !== undefined) throw usageError(`the kubeconfig ${reason}; set KUBECONFIG to that of a cluster`);
  }
}

/** @throws usageError for a proxy, or a switch of one, that the podman driver does not take */
export function verifyProxy(env: Environment): void {
  const proxy = env.OPENSHELL_SANDBOX_HTTPS_PROXY;
  if (proxy !== undefined && !/^\s*http:\/\/[^\s/@]+\/?\s*$/.test(proxy)) {
    // It may hold a password.
    throw usageError('OPENSHELL_SANDBOX_HTTPS_PROXY is not http://HOST:PORT without user and password; change it');
  }
  for (const end of ['AUTH_ALLOW_INSECURE', 'CONNECT_BY_HOSTNAME']) {
    const [name, text] = [`OPENSHELL_SANDBOX_PROXY_${end}`, env[`OPENSHELL_SANDBOX_PROXY_${end}`] ?? 'false'];
    if (text !== 'true' && text !== 'false') throw notAllowed(name, text, 'are true and false');
  }
}

/** Why no VM can be started here; `undefined` where one can, and where the system has no such device. */
export function whyNoVm(platform: NodeJS.Platform, device = '/dev/kvm'): string | undefined {
  const reason = platform === 'linux' ? whyUnusable(device, constants.R_OK | constants.W_OK) : undefined;
  return reason && `no sandbox will start: ${reason}; load the module kvm, or join the group of ${device}`;
}

function whyUnusable(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode);
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}
