// SPDX-License-Identifier: Apache-2.0

/** What a launch was asked for, whichever driver: flags and environment, checked, as one flat value. */

import { isIP } from 'node:net';
import { join } from 'node:path';
import { type Environment, firstOf, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/validation.ts';
import type { VariableName } from '../cli/variables.ts';
import { usageError } from '../errors.ts';
import type { Invoker } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Owners, ownersOf, verifyPrivateDirectory } from '../fs/private-directory.ts';
import type { Host } from '../host.ts';
import { type BuildOptions, resolveBuildOptions } from '../stage/config.ts';
import type { DriverName } from './drivers/names.ts';
import { configHome } from './registration.ts';
import {
  httpEndpoint,
  parsePort,
  reachableAddress,
  verifyBindAddress,
  verifyEndpoint,
  verifyGatewayName,
} from './validate.ts';

type Variables = readonly [VariableName, ...VariableName[]];

/** What holds for a driver when nothing is set. */
export interface DriverDefaults {
  readonly name: DriverName;
  readonly port: number;
  /** Whether its gateway becomes the CLI's active one. */
  readonly isActivated: boolean;
  /** The variables for the gateway's name and its state directory; the first one that is set counts. */
  readonly variables: { readonly name: Variables; readonly stateDirectory: Variables };
  /** Where it listens, and the host that the CLI is given. */
  bind(platform: NodeJS.Platform): Bind;
}

interface Bind {
  readonly address: string;
  readonly host: string;
}

/** Loopback, for all drivers that need nothing else. */
export function loopback(): Bind {
  return { address: '127.0.0.1', host: '127.0.0.1' };
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

/** What a configuration is resolved from. */
export interface ConfigSource {
  readonly env: Environment;
  readonly startDirectory: string;
  readonly root: string;
  readonly host: Host;
  readonly invoker: Invoker | undefined;
  readonly flags: LaunchFlags;
  readonly problems: Problems;
}

export interface Config {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  readonly name: string;
  readonly port: number;
  readonly bindAddress: string;
  /** What the CLI connects to. */
  readonly endpoint: string;
  /** Absolute. */
  readonly stateDirectory: string;
  /** The variable that names the state directory, for errors. */
  readonly stateSource: VariableName;
  readonly owners: Owners;
  readonly sandboxImage: string;
  /** The endpoint that the user gave for sandboxes; `undefined` for the driver's own. */
  readonly grpcEndpoint: string | undefined;
  readonly logLevel: string;
  /** Whether the gateway becomes the CLI's active one once it responds. */
  readonly isActivated: boolean;
  /** The directory of the CLI's registry, absolute. */
  readonly configHome: string;
  /** How binaries are compiled. */
  readonly build: BuildOptions;
}

/** Resolves what all drivers have in common; whatever is wrong becomes one of the problems. */
export function resolveConfig(record: DriverDefaults, source: ConfigSource): Config {
  const { env, startDirectory, root, host, invoker, flags, problems } = source;
  const owners = ownersOf(invoker?.uid);
  const port = problems.attempt(() => resolvePort(record, env), record.port);
  const bind = resolveBind(record, source);
  const state = firstOf(env, record.variables.stateDirectory);
  const stateDirectory =
    state.text === undefined
      ? join(root, '.cache', `gateway-${record.name}`)
      : absolutePath(startDirectory, state.text);
  problems.attempt(() => verifyPrivateDirectory(state.source, stateDirectory, owners), undefined);
  problems.attempt(() => refuseTls(env), undefined);
  return {
    root,
    host,
    name: resolveName(record, source),
    port,
    bindAddress: bind.address,
    endpoint: httpEndpoint(bind.host, port),
    stateDirectory,
    stateSource: state.source,
    owners,
    sandboxImage: readVariable(env, 'OPENSHELL_SANDBOX_IMAGE'),
    grpcEndpoint: problems.attempt(() => grpcEndpoint(env), undefined),
    logLevel: readVariable(env, 'OPENSHELL_LOG_LEVEL'),
    isActivated: problems.attempt(() => resolveActivation(record, flags), false),
    configHome: problems.attempt(() => configHome(env, startDirectory, invoker?.home), root),
    // The version of releases is not looked at.
    build: problems.attempt(
      () => resolveBuildOptions(env, root, startDirectory, false),
      resolveBuildOptions({}, root, root),
    ),
  };
}

function resolvePort(record: DriverDefaults, env: Environment): number {
  return parsePort('OPENSHELL_SERVER_PORT', readVariable(env, 'OPENSHELL_SERVER_PORT') ?? String(record.port));
}

function grpcEndpoint(env: Environment): string | undefined {
  const text = readVariable(env, 'OPENSHELL_GRPC_ENDPOINT');
  return text === undefined ? undefined : verifyEndpoint('OPENSHELL_GRPC_ENDPOINT', text);
}

function resolveName(record: DriverDefaults, { env, problems }: ConfigSource): string {
  const fallback = `${record.name}-dev`;
  const { source, text } = firstOf(env, record.variables.name);
  return problems.attempt(() => verifyGatewayName(source, text ?? fallback), fallback);
}

function resolveBind(record: DriverDefaults, { env, host, problems }: ConfigSource): Bind {
  const fallback = record.bind(host.platform);
  const named = readVariable(env, 'OPENSHELL_BIND_ADDRESS');
  if (named === undefined) return fallback;
  const address = problems.attempt(
    () => verifyBindAddress('OPENSHELL_BIND_ADDRESS', named),
    isIP(named) === 0 ? fallback.address : named,
  );
  return { address, host: reachableAddress(address) };
}

/** What the launchers register is a plaintext endpoint on loopback, so TLS cannot be on. */
function refuseTls(env: Environment): void {
  if (readVariable(env, 'OPENSHELL_DISABLE_TLS')) return;
  throw usageError(
    `OPENSHELL_DISABLE_TLS is '${env.OPENSHELL_DISABLE_TLS}', but local gateways serve plaintext on loopback and are ` +
      'registered so; unset it, or start openshell-gateway yourself with --tls-cert and --tls-key',
  );
}

function resolveActivation(record: DriverDefaults, flags: LaunchFlags): boolean {
  if (flags.activate && flags['no-activate']) {
    throw usageError('--activate and --no-activate contradict each other; give one of them');
  }
  return flags.activate || (record.isActivated && !flags['no-activate']);
}
