// SPDX-License-Identifier: Apache-2.0

/**
 * The entry in the CLI's registry of gateways (`<config home>/openshell/gateways/<name>/metadata.json`), and which of
 * them is active. Files 0600 in directories 0700, as the CLI writes them.
 */

import { dirname, join } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { type Change, keepWithMode, writeWhole } from '../fs/atomic-write.ts';
import { homeOf, makeDirectory } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';

/** What is registered of a local gateway. */
export interface GatewayMetadata {
  readonly name: string;
  readonly gateway_endpoint: string;
  readonly gateway_port: number;
  readonly vm_driver_state_dir?: string;
}

/**
 * The config home that the user's CLI uses.
 * @param invokerHome under sudo, the home of the user who called it
 * @throws usageError without a home
 */
export function configHome(env: Environment, startDirectory: string, invokerHome: string | undefined): string {
  if (invokerHome !== undefined) return join(invokerHome, '.config');
  const named = textOf(env, 'XDG_CONFIG_HOME');
  if (named !== undefined) return absolutePath(startDirectory, named);
  const home = homeOf(env);
  if (home !== undefined) return join(absolutePath(startDirectory, home), '.config');
  throw usageError('neither HOME nor XDG_CONFIG_HOME is set, and the CLI keeps its gateways there; set HOME');
}

/** Where a gateway's entry is. */
export function metadataPath(home: string, name: string): string {
  return join(home, 'openshell/gateways', name, 'metadata.json');
}

/** Writes the entry of a local gateway; the CLI ignores fields that it does not know. */
export function register(home: string, metadata: GatewayMetadata): Change {
  const path = metadataPath(home, metadata.name);
  makeDirectory(dirname(path), 0o700);
  keepWithMode(dirname(path), 0o700);
  const entry = { ...metadata, is_remote: false, auth_mode: 'plaintext' };
  return writeWhole(path, `${JSON.stringify(entry, null, 2)}\n`, 0o600);
}

/** Makes a gateway the one that the CLI talks to where none is named. */
export function activate(home: string, name: string): Change {
  const path = join(home, 'openshell/active_gateway');
  makeDirectory(dirname(path), 0o700);
  return writeWhole(path, name, 0o600);
}
