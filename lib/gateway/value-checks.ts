// SPDX-License-Identifier: Apache-2.0

/** Values of a launch that have a grammar: names, ports, addresses, endpoints, pull policies. Pure. */

import { isIP } from 'node:net';
import { type Environment, notAllowed, readVariable } from '../cli/env.ts';

const PORT_MAX = 65_535;
/** It is a directory's name, and part of the names of files in it. */
const NAME_LENGTH_MAX = 128;

/**
 * A gateway's name. It is a directory below the CLI's registry, so `.` and `..` are not allowed.
 * @throws usageError naming the variable
 */
export function verifyGatewayName(source: string, name: string): string {
  if (name.length <= NAME_LENGTH_MAX && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) return name;
  const allowed = `are up to ${NAME_LENGTH_MAX} letters, digits, '.', '_' and '-', beginning with a letter or digit`;
  throw notAllowed(source, name, allowed);
}

/**
 * A TCP port, in decimal digits.
 * @throws usageError naming the variable
 */
export function parsePort(source: string, text: string): number {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port >= 1 && port <= PORT_MAX) return port;
  throw notAllowed(source, text, `is a whole number from 1 to ${PORT_MAX}`);
}

/**
 * An IP address to listen on. The gateway takes no host names and no zones.
 * @throws usageError naming the variable
 */
export function verifyBindAddress(source: string, address: string): string {
  if (isIP(address) !== 0 && !address.includes('%')) return address;
  throw notAllowed(source, address, 'is an IP address such as 127.0.0.1, 0.0.0.0 or ::1');
}

/** The address under which this machine reaches a listener: a wildcard is reached through loopback. */
export function reachableAddress(bindAddress: string): string {
  if (bindAddress === '0.0.0.0') return '127.0.0.1';
  return isIP(bindAddress) === 6 && /^[0:]+$/.test(bindAddress) ? '::1' : bindAddress;
}

/** `http://host:port`; an IPv6 address in brackets. */
export function httpEndpoint(host: string, port: number): string {
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/**
 * A URL that sandboxes reach the gateway under.
 * @throws usageError naming the variable
 */
export function verifyEndpoint(source: string, text: string): string {
  if (URL.canParse(text) && /^https?:\/\/[^\s/]+/.test(text) && !/\s/.test(text)) return text;
  throw notAllowed(source, text, 'is a URL such as http://host.openshell.internal:18080');
}

/** Pull policies in lower case, and as Kubernetes and docker call them. */
export const PULL_POLICIES = { always: 'Always', ifnotpresent: 'IfNotPresent', never: 'Never' } as const;

/** What podman calls them; it has one more, and takes its own names, too. */
export const PODMAN_PULL_POLICIES = {
  always: 'always',
  ifnotpresent: 'missing',
  missing: 'missing',
  never: 'never',
  newer: 'newer',
} as const;

/**
 * Reads the pull policy, in any case.
 * @throws usageError for one that the driver does not have
 */
export function readPullPolicy(env: Environment, names: Readonly<Record<string, string>>): string {
  const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
  const text = readVariable(env, source);
  const policy = new Map(Object.entries(names)).get(text.toLowerCase());
  if (policy !== undefined) return policy;
  throw notAllowed(source, text, `are Always, IfNotPresent, Never${'newer' in names ? ', Newer' : ''}, in any case`);
}
