// SPDX-License-Identifier: Apache-2.0

/** What a Keycloak for tests was asked for: the environment, checked. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { parsePort } from '../gateway/port.ts';
import { PRODUCT } from '../product.ts';

export const ACTIONS = ['start', 'stop', 'status'] as const;
const DEFAULT_PORT = 8180;
/** Where GitHub's runner has a job's checkout: in its container, and on the host, where the engine looks for it. */
const JOB_WORK = '/__w/';
const HOST_WORK = '/home/runner/_work/';

/** @throws usageError for what is not a port */
export function resolvePort(env: Environment): { readonly port: number; readonly isNamed: boolean } {
  const text = readVariable(env, 'KEYCLOAK_PORT');
  return { port: text === undefined ? DEFAULT_PORT : parsePort('KEYCLOAK_PORT', text), isNamed: text !== undefined };
}

/** @throws usageError without a checkout that has the realm, and for a path that the engine would divide */
export function resolveRealm(env: Environment, startDirectory: string): string {
  const realm = verifyFile(join(findCheckout(env, startDirectory), PRODUCT.keycloakRealm));
  if (!realm.includes(':')) return realm;
  throw usageError(`${shown(realm)} cannot be mounted, because of its colon; use a checkout without one in its path`);
}

/**
 * The realm's path on the host of a job's container.
 * @throws usageError where that is not known, or has no such file
 */
export function hostRealm(realm: string, hostWork = HOST_WORK): string {
  if (realm.startsWith(JOB_WORK)) return verifyFile(join(hostWork, realm.slice(JOB_WORK.length)));
  throw usageError(`${shown(realm)} is not below ${JOB_WORK}, so its path on the host is unknown; check it out there`);
}

function verifyFile(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
  throw usageError(`${shown(path)} does not exist; get it back from the repository, or check OPENSHELL_ROOT`);
}
