// SPDX-License-Identifier: Apache-2.0

/**
 * The entry in the CLI's registry of gateways (`<config home>/openshell/gateways/<name>/metadata.json`), and which of
 * them is active. Files 0600 in directories 0700, as the CLI writes them.
 */

import { lstatSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { type Change, keepWithMode, writeWhole } from '../fs/atomic-write.ts';
import { asOwner, type Invoker, look, makeDirectory } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { absolutePath, namesIn, textIn } from '../fs/paths.ts';
import { COMPONENTS } from '../product.ts';
import { canConnect, portOwner } from './port.ts';

/** What is registered of a local gateway. */
export interface GatewayMetadata {
  readonly name: string;
  readonly gateway_endpoint: string;
  readonly gateway_port: number;
  readonly vm_driver_state_dir?: string;
}

/** The config home that the user's CLI uses; under sudo that of the user who called it. @throws usageError without one */
export function configHome(env: Environment, startDirectory: string, invoker: Invoker | undefined): string {
  const named = textOf(env, 'XDG_CONFIG_HOME');
  if (named !== undefined) return absolutePath(startDirectory, named);
  if (invoker?.home !== undefined) {
    if (look(invoker.home, statSync)?.isDirectory()) return join(invoker.home, '.config');
    throw usageError(
      `the home of ${shown(invoker.user)}, who called sudo, is ${shown(invoker.home)}, which is not a directory that ` +
        'exists, and the CLI keeps its gateways there; create it or set XDG_CONFIG_HOME',
    );
  }
  if (invoker !== undefined) {
    throw usageError(
      `the home of ${shown(invoker.user)}, who called sudo, is not known (${invoker.homeProblem}); ` +
        "set XDG_CONFIG_HOME to that user's configuration directory (sudo XDG_CONFIG_HOME=…/.config …)",
    );
  }
  const home = textOf(env, 'HOME');
  if (home === undefined) {
    throw usageError('neither HOME nor XDG_CONFIG_HOME is set, and the CLI keeps its gateways there; set HOME');
  }
  return join(absolutePath(startDirectory, home), '.config');
}

/** Where a gateway's entry is. */
export function metadataPath(home: string, name: string): string {
  return join(home, 'openshell/gateways', name, 'metadata.json');
}

/** Where the name of the active gateway is. */
export function activePath(home: string): string {
  return join(home, 'openshell/active_gateway');
}

/** What is taken over by registering: a name, with the variable that it comes from, and where its gateway responds. */
type Registration = Readonly<Record<'configHome' | 'name' | 'nameSource' | 'endpoint', string>>;

/**
 * Checks that no other gateway that responds is registered under the name. What is known to be another program, or a
 * gateway of another name, does not count.
 * @throws usageError saying where it responds
 */
export async function verifyNameFree(
  { configHome, name, nameSource, endpoint }: Registration,
  ownerOf = portOwner,
): Promise<void> {
  const path = metadataPath(configHome, name);
  const { kind, url: other } = registered(path);
  if (kind !== undefined) {
    throw usageError(`${name} is registered for ${kind} (${path}); set ${nameSource} to another name`);
  }
  if (other === undefined || other.origin === new URL(endpoint).origin) return;
  const [host, port] = addressOf(other);
  if (!(await canConnect(host, port))) return;
  const isLocal = host === 'localhost' || host === '::1' || host.startsWith('127.');
  const owner = isLocal ? ownerOf(port) : undefined;
  if (owner !== undefined && !owner.startsWith(COMPONENTS.gateway.binary)) return;
  if (isSucceeded(configHome, path, other)) return;
  throw usageError(
    `${name} is registered for ${other.origin}, where ${owner ?? 'a program'} responds; set ${nameSource} to another name, or stop ` +
      `that gateway (its entry is ${path})`,
  );
}

/** Whether another gateway was registered for the endpoint of an entry after it, and so is the one that responds. */
function isSucceeded(home: string, path: string, { origin }: URL): boolean {
  const others = namesIn(dirname(dirname(path))).map((name) => metadataPath(home, name));
  const writtenAt = (entry: string) => statSync(entry, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return others.some((entry) => writtenAt(entry) > writtenAt(path) && registered(entry).url?.origin === origin);
}

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
  // Whatever else is there, a FIFO for example, is not read.
  const text = statSync(path, { throwIfNoEntry: false })?.isFile() === true ? textIn(path) : undefined;
  const { auth_mode: login, gateway_endpoint: endpoint, is_remote: isRemote } = parseTable(text ?? '') ?? {};
  const ofLogin =
    typeof login !== 'string' || login === 'plaintext' ? undefined : `a gateway with the login ${shown(login)}`;
  const url = typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const kind = isRemote === true ? 'a remote gateway' : ofLogin;
  return { kind, url: url !== undefined && url.protocol in DEFAULT_PORTS ? url : undefined };
}

/** Writes the entry of a local gateway; the CLI ignores fields that it does not know. */
export function register(home: string, metadata: GatewayMetadata): Change {
  const path = metadataPath(home, metadata.name);
  makeDirectory(dirname(path), 0o700);
  keepWithMode(dirname(path), 0o700);
  const entry = { ...metadata, is_remote: false, auth_mode: 'plaintext' };
  const change = writeWhole(path, `${JSON.stringify(entry, null, 2)}\n`, 0o600);
  // The latest entry of an endpoint is that of the gateway there, also where its content stays.
  asOwner(path, () => utimesSync(path, new Date(), new Date()));
  return change;
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
