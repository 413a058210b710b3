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

/** The product's directory below the config home. */
const PRODUCT_DIRECTORY = 'openshell';

/** What the CLI reads of a gateway; unknown fields are ignored by it. */
export interface GatewayMetadata {
  readonly name: string;
  readonly gateway_endpoint: string;
  readonly is_remote: false;
  readonly gateway_port: number;
  readonly auth_mode: 'plaintext';
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

/** Where a gateway's entry stands. */
export function metadataPath(home: string, name: string): string {
  return join(home, PRODUCT_DIRECTORY, 'gateways', name, 'metadata.json');
}

/** Where the CLI finds which gateway is active. */
export function activeGatewayPath(home: string): string {
  return join(home, PRODUCT_DIRECTORY, 'active_gateway');
}

/** Writes a gateway's entry. */
export function register(home: string, metadata: GatewayMetadata): Change {
  const path = metadataPath(home, metadata.name);
  makeDirectory(dirname(path), 0o700);
  keepWithMode(dirname(path), 0o700);
  return writeWhole(path, `${JSON.stringify(metadata, null, 2)}\n`, 0o600);
}

/** Makes a gateway the one that the CLI talks to where none is named. */
export function activate(home: string, name: string): Change {
  const path = activeGatewayPath(home);
  makeDirectory(dirname(path), 0o700);
  return writeWhole(path, name, 0o600);
}
