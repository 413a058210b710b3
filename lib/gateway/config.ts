// SPDX-License-Identifier: Apache-2.0

/** What a launch was asked for, whichever driver: flags and environment, checked, as one flat value. */

import { isIP } from 'node:net';
import { join } from 'node:path';
import { booleanOf, type Environment, textOf } from '../cli/env.ts';
import type { Problems } from '../cli/validation.ts';
import { usageError } from '../errors.ts';
import type { Invoker } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Owners, ownersOf, verifyPrivateDirectory } from '../fs/private-directory.ts';
import type { DriverName } from './drivers/types.ts';
import { configHome } from './registration.ts';
import {
  httpEndpoint,
  parsePort,
  reachableAddress,
  verifyBindAddress,
  verifyEndpoint,
  verifyGatewayName,
} from './validate.ts';

/** Environment variables of every launcher; the names are the interface of users. */
export const LAUNCH_VARIABLES = {
  port: 'OPENSHELL_SERVER_PORT',
  bindAddress: 'OPENSHELL_BIND_ADDRESS',
  name: 'OPENSHELL_GATEWAY_NAME',
  stateDirectory: 'OPENSHELL_GATEWAY_STATE_DIR',
  sandboxImage: 'OPENSHELL_SANDBOX_IMAGE',
  pullPolicy: 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY',
  namespace: 'OPENSHELL_SANDBOX_NAMESPACE',
  grpcEndpoint: 'OPENSHELL_GRPC_ENDPOINT',
  logLevel: 'OPENSHELL_LOG_LEVEL',
  disableTls: 'OPENSHELL_DISABLE_TLS',
} as const;

export const SANDBOX_IMAGE_DEFAULT = 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest';

/** What holds for a driver when nothing is said. */
export interface DriverDefaults {
  readonly name: DriverName;
  readonly port: number;
  /** Whether its gateway becomes the CLI's active one. */
  readonly isActivated: boolean;
  /** Its own variables, which win over those of all launchers. */
  readonly variables: { readonly name: readonly string[]; readonly stateDirectory: readonly string[] };
  /** Where it listens, and the host that the CLI is given. */
  bind(platform: NodeJS.Platform): { readonly address: string; readonly host: string };
}

/** The flags of a launcher, as parsed; a launcher without a flag leaves it out. */
export interface LaunchFlags {
  readonly 'dry-run': boolean;
  readonly activate: boolean;
  readonly 'no-activate': boolean;
  readonly gpu?: boolean;
  readonly 'gpu-mem-mib'?: string | undefined;
  readonly 'gpu-vcpus'?: string | undefined;
}

/** What settings are resolved from. */
export interface SettingsSource {
  readonly env: Environment;
  readonly startDirectory: string;
  readonly root: string;
  readonly platform: NodeJS.Platform;
  readonly invoker: Invoker | undefined;
  readonly flags: LaunchFlags;
  readonly problems: Problems;
}

export interface Settings {
  /** The checkout, absolute. */
  readonly root: string;
  readonly name: string;
  readonly port: number;
  readonly bindAddress: string;
  /** What the CLI connects to. */
  readonly endpoint: string;
  /** Absolute. */
  readonly stateDirectory: string;
  readonly owners: Owners;
  readonly sandboxImage: string;
  /** The endpoint that the user gave for sandboxes; `undefined` for the driver's own. */
  readonly grpcEndpoint: string | undefined;
  readonly logLevel: string;
  /** Whether the gateway becomes the CLI's active one once it answers. */
  readonly isActivated: boolean;
  /** The directory of the CLI's registry, absolute. */
  readonly configHome: string;
  /** What named the state directory, for errors. */
  readonly stateSource: string;
}

/** Resolves what all drivers have in common; whatever is wrong becomes one of the problems. */
export function resolveSettings(record: DriverDefaults, source: SettingsSource): Settings {
  const { env, startDirectory, root, platform, invoker, flags, problems } = source;
  const owners = ownersOf(invoker?.uid);
  const port = problems.attempt(
    () => parsePort(LAUNCH_VARIABLES.port, textOf(env, LAUNCH_VARIABLES.port) ?? String(record.port)),
    record.port,
  );
  const bind = resolveBind(record, source);
  const [stateSource, state] = firstOf(env, [...record.variables.stateDirectory, LAUNCH_VARIABLES.stateDirectory]);
  const stateDirectory =
    state === undefined ? join(root, '.cache', `gateway-${record.name}`) : absolutePath(startDirectory, state);
  problems.attempt(() => verifyPrivateDirectory(stateSource, stateDirectory, owners), undefined);
  problems.attempt(() => refuseTls(env), undefined);
  return {
    root,
    name: resolveName(record, source),
    port,
    bindAddress: bind.address,
    endpoint: httpEndpoint(bind.host, port),
    stateDirectory,
    stateSource,
    owners,
    sandboxImage: textOf(env, LAUNCH_VARIABLES.sandboxImage) ?? SANDBOX_IMAGE_DEFAULT,
    grpcEndpoint: problems.attempt(() => givenEndpoint(env), undefined),
    logLevel: textOf(env, LAUNCH_VARIABLES.logLevel) ?? 'info',
    isActivated: problems.attempt(() => resolveActivation(record, flags), false),
    configHome: problems.attempt(() => configHome(env, startDirectory, invoker?.home), platform),
  };
}

/** The first of the variables that is set, with its value; the first name where none is. */
export function firstOf(env: Environment, names: readonly string[]): [name: string, value: string | undefined] {
  const name = names.find((candidate) => textOf(env, candidate) !== undefined);
  return [name ?? names[0] ?? '', name === undefined ? undefined : textOf(env, name)];
}

function resolveName(record: DriverDefaults, { env, problems }: SettingsSource): string {
  const fallback = `${record.name}-dev`;
  const [source, name] = firstOf(env, [...record.variables.name, LAUNCH_VARIABLES.name]);
  return problems.attempt(() => verifyGatewayName(source, name ?? fallback), fallback);
}

function resolveBind(record: DriverDefaults, { env, platform, problems }: SettingsSource) {
  const fallback = record.bind(platform);
  const named = textOf(env, LAUNCH_VARIABLES.bindAddress);
  if (named === undefined) return fallback;
  const address = problems.attempt(
    () => verifyBindAddress(LAUNCH_VARIABLES.bindAddress, named),
    isIP(named) === 0 ? fallback.address : named,
  );
  return { address, host: reachableAddress(address) };
}

function givenEndpoint(env: Environment): string | undefined {
  const text = textOf(env, LAUNCH_VARIABLES.grpcEndpoint);
  return text === undefined ? undefined : verifyEndpoint(LAUNCH_VARIABLES.grpcEndpoint, text);
}

/** What the launchers register is a plaintext endpoint on loopback, so TLS cannot be on. */
function refuseTls(env: Environment): void {
  if (booleanOf(env, LAUNCH_VARIABLES.disableTls, true)) return;
  throw usageError(
    `${LAUNCH_VARIABLES.disableTls} is '${env[LAUNCH_VARIABLES.disableTls]}', but local gateways serve plaintext on ` +
      'loopback and are registered so; unset it, or start openshell-gateway yourself with --tls-cert and --tls-key',
  );
}

function resolveActivation(record: DriverDefaults, flags: LaunchFlags): boolean {
  if (flags.activate && flags['no-activate']) {
    throw usageError('--activate and --no-activate contradict each other; give one of them');
  }
  return flags.activate || (record.isActivated && !flags['no-activate']);
}
