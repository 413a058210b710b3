// SPDX-License-Identifier: Apache-2.0

/** The CLI's registry of gateways, and which of them is active. Files 0600 in directories 0700, as the CLI writes them. */

import { lstatSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { type Change, keepWithMode, writeWhole } from '../fs/atomic-write.ts';
import { type Invoker, makeDirectory } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { absolutePath, namesIn, textIn } from '../fs/paths.ts';
import { COMPONENTS } from '../product.ts';
import { canConnect, portOwner } from './port.ts';

/** The config home that the user's CLI uses; under sudo that of the user who called it. @throws usageError without one */
export function configHome(env: Environment, startDirectory: string, invoker: Invoker | undefined): string {
  const named = textOf(env, 'XDG_CONFIG_HOME');
  if (named !== undefined) return absolutePath(startDirectory, named);
  const home = invoker === undefined ? textOf(env, 'HOME') : invoker.home;
  if (home !== undefined) return join(absolutePath(startDirectory, home), '.config');
  const problem =
    invoker === undefined
      ? 'neither HOME nor XDG_CONFIG_HOME is set; set HOME'
      : `the home of ${shown(invoker.user)}, who called sudo, is not known (${invoker.homeProblem}); ` +
        'start it with sudo XDG_CONFIG_HOME=…';
  throw usageError(`${problem}, where the CLI keeps its gateways`);
}

/** Where a gateway's entry is. */
export function metadataPath(home: string, name: string): string {
  return join(home, 'openshell/gateways', name, 'metadata.json');
}

/** Where the name of the active gateway is. */
export function activePath(home: string): string {
  return join(home, 'openshell/active_gateway');
}

/** @throws usageError where another gateway that responds is registered under the name; other programs do not count */
export async function verifyNameFree(
  taken: Readonly<Record<'configHome' | 'name' | 'nameSource' | 'endpoint', string>>,
  ownerOf = portOwner,
): Promise<void> {
  const { name } = taken;
  const path = metadataPath(taken.configHome, name);
  const { kind, url } = registered(path);
  if (kind !== undefined) {
    throw usageError(`${name} is registered for ${kind} (${path}); set ${taken.nameSource} to another name`);
  }
  if (url === undefined || url.origin === new URL(taken.endpoint).origin) return;
  const [host, port] = addressOf(url);
  if (!(await canConnect(host, port))) return;
  const owner = ownerOf(port);
  if (owner !== undefined && !owner.startsWith(COMPONENTS.gateway.binary)) return;
  throw usageError(
    `${name} is registered for ${url.origin}, where ${owner ?? 'a program'} responds; set ${taken.nameSource} to ` +
      `another name, or stop that gateway (its entry is ${path})`,
  );
}

const LOCAL = { is_remote: false, auth_mode: 'plaintext' };
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

function addressOf(url: URL): [host: string, port: number] {
  return [url.hostname.replace(/^\[(.*)\]$/, '$1'), Number(url.port || DEFAULT_PORTS[url.protocol])];
}

/** Each registered gateway, and whether it responds, which is not tried of one that no launch has written. */
export function registeredGateways(home: string) {
  const names = namesIn(dirname(dirname(metadataPath(home, '-')))).sort();
  const active = textIn(activePath(home))?.trim();
  return Promise.all(
    names.map(async (name) => {
      const { kind, url } = registered(metadataPath(home, name));
      const responds = url !== undefined && kind === undefined && (await canConnect(...addressOf(url)));
      return { name, url, kind, isActive: name === active, responds };
    }),
  );
}

/** What an entry says that can be read: its endpoint, and what makes it one that no launch has written. */
function registered(path: string): { readonly kind: string | undefined; readonly url: URL | undefined } {
  const entry = parseTable(textIn(path) ?? '') ?? {};
  const hasLogin = (entry.auth_mode ?? LOCAL.auth_mode) !== LOCAL.auth_mode;
  const kind = entry.is_remote === true ? 'a remote gateway' : hasLogin ? 'a gateway with a login' : undefined;
  const url = URL.parse(String(entry.gateway_endpoint));
  return { kind, url: url !== null && url.protocol in DEFAULT_PORTS ? url : undefined };
}

/** Writes the entry of a local gateway; the CLI ignores fields that it does not know. */
export function register(
  home: string,
  { name, endpoint, port }: { readonly name: string; readonly endpoint: string; readonly port: number },
  more: Readonly<Record<string, string>> = {},
): Change {
  const path = metadataPath(home, name);
  makeDirectory(dirname(path), 0o700);
  keepWithMode(dirname(path), 0o700);
  const entry = { name, gateway_endpoint: endpoint, gateway_port: port, ...LOCAL, ...more };
  return writeWhole(path, `${JSON.stringify(entry, null, 2)}\n`, 0o600);
}

/** Makes a gateway the one that the CLI talks to where none is named. */
export function activate(home: string, name: string): Change {
  const path = activePath(home);
  makeDirectory(dirname(path), 0o700);
  return writeWhole(path, name, 0o600);
}

/** What is beside an entry for its gateway alone; certificates may be for the next one, too. */
const TOKENS = ['edge_token', 'cf_token', 'oidc_token.json'];

/** The files of an entry, its tokens, and the mark that it is the active one; none where there is no entry. */
export function filesOfEntry(home: string, name: string): string[] {
  const entry = metadataPath(home, name);
  if (statSync(entry, { throwIfNoEntry: false })?.isFile() !== true) return [];
  const isActive = textIn(activePath(home))?.replace(/\n+$/, '') === name;
  const tokens = TOKENS.map((token) => join(dirname(entry), token));
  const files = [entry, ...tokens, ...(isActive ? [activePath(home)] : [])];
  return files.filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}
