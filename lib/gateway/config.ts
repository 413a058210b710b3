// SPDX-License-Identifier: Apache-2.0

/** What a launch was asked for, whichever driver: flags and environment, checked, as one flat value. */

import { isIP } from 'node:net';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { type Environment, firstOf, notAllowed, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/problems.ts';
import type { VariableName } from '../cli/variables.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import type { Lock } from '../fs/lock.ts';
import type { Invoker } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import { ownersOf, verifyPrivateDirectory } from '../fs/writable-places.ts';
import type { Host } from '../host.ts';
import type { Binary } from '../product.ts';
import { type BuildOptions, resolveBuildOptions } from '../stage/config.ts';
import { httpEndpoint, parsePort, reachableAddress } from './port.ts';
import { configHome } from './registration.ts';

export type DriverName = 'docker' | 'podman' | 'vm' | 'kubernetes';

/** What holds for a driver when nothing is set. */
export interface DriverDefaults {
  readonly name: DriverName;
  readonly port: number;
  /** Whether its gateway becomes the CLI's active one. */
  readonly isActivated: boolean;
  /** The binaries of its launches besides the gateway, in whichever cargo run they are built. */
  readonly binaries: readonly Binary[];
  /** Where it listens, and the host that the CLI is given; 127.0.0.1 by default. */
  bind?(platform: NodeJS.Platform): typeof LOOPBACK | undefined;
}

const LOOPBACK = { address: '127.0.0.1', host: '127.0.0.1' };

export interface LaunchFlags {
  readonly 'dry-run': boolean;
  readonly activate: boolean;
  readonly 'no-activate': boolean;
  readonly gpu?: boolean;
  readonly 'gpu-mem-mib'?: string | undefined;
  readonly 'gpu-vcpus'?: string | undefined;
}

/** The task's context, and what else a launch is resolved from. */
export interface LaunchContext extends RunnerContext {
  readonly root: string;
  readonly host: Host;
  readonly invoker: Invoker | undefined;
  readonly flags: LaunchFlags;
  readonly problems: Problems;
  /** The engine that the driver was selected by, where it was. */
  readonly engine: LaunchEngine | undefined;
  /** What the launch has locked, and its gateway keeps for as long as it runs. */
  readonly locks: Lock[];
}

/** A value that is wrong throws its error where it is used. */
export interface Config {
  readonly name: string;
  readonly nameSource: VariableName;
  readonly port: number;
  readonly bindAddress: string;
  readonly endpoint: string;
  readonly stateDirectory: string;
  readonly stateSource: VariableName;
  readonly sandboxImage: string;
  /** The endpoint that the user gave for sandboxes; `undefined` for the driver's own. */
  readonly grpcEndpoint: string | undefined;
  readonly logLevel: string;
  readonly isActivated: boolean;
  readonly configHome: string;
  readonly build: BuildOptions;
}

/** Resolves what all drivers have in common; whatever is wrong becomes one of the problems. */
export function resolveConfig(record: DriverDefaults, ctx: LaunchContext): Config {
  const { env, startDirectory, root, host, invoker, flags, problems } = ctx;
  const bind = record.bind?.(host.platform) ?? LOOPBACK;
  const address = readVariable(env, 'OPENSHELL_BIND_ADDRESS');
  const state = firstOf(env, variablesOf(record.name, 'STATE_DIR'));
  const name = firstOf(env, variablesOf(record.name, 'NAME'));
  const grpcEndpoint = readVariable(env, 'OPENSHELL_GRPC_ENDPOINT');
  problems.attempt(() => refuseTls(ctx));
  return problems.values<Config>({
    name: () => (name.text === undefined ? `${record.name}-dev` : verifyGatewayName(name.source, name.text)),
    nameSource: () => (name.text === undefined ? 'OPENSHELL_GATEWAY_NAME' : name.source),
    port: () => parsePort('OPENSHELL_SERVER_PORT', readVariable(env, 'OPENSHELL_SERVER_PORT') ?? String(record.port)),
    bindAddress: () => (address === undefined ? bind.address : verifyBindAddress('OPENSHELL_BIND_ADDRESS', address)),
    endpoint: ({ bindAddress, port }) =>
      httpEndpoint(address === undefined ? bind.host : reachableAddress(bindAddress), port),
    stateDirectory: () => {
      const directory = absolutePath(startDirectory, state.text ?? join(root, '.cache', `gateway-${record.name}`));
      verifyPrivateDirectory(state.source, directory, ownersOf(invoker?.uid));
      return directory;
    },
    stateSource: () => state.source,
    sandboxImage: () => readVariable(env, 'OPENSHELL_SANDBOX_IMAGE'),
    grpcEndpoint: () => grpcEndpoint && verifyEndpoint('OPENSHELL_GRPC_ENDPOINT', grpcEndpoint),
    logLevel: () => readVariable(env, 'OPENSHELL_LOG_LEVEL'),
    isActivated: () => resolveActivation(record, flags),
    configHome: () => configHome(env, startDirectory, invoker),
    build: () => {
      const ofSupervisor = record.binaries.length > 0 ? [] : (['SUPERVISOR_LIBC'] as const);
      return resolveBuildOptions(env, startDirectory, ['OPENSHELL_CARGO_VERSION', ...ofSupervisor]);
    },
  });
}

/** A driver's own variable wins over the common one; kubernetes has only that. */
function variablesOf<W extends 'NAME' | 'STATE_DIR'>(driver: DriverName, what: W) {
  const common = `OPENSHELL_GATEWAY_${what}` as const;
  if (driver === 'kubernetes') return [common] as const;
  return [`OPENSHELL_${driver.toUpperCase() as Uppercase<typeof driver>}_GATEWAY_${what}`, common] as const;
}

/** What the launchers register is a plaintext endpoint on loopback, so TLS cannot be on. */
function refuseTls({ env }: LaunchContext): void {
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

/** It is a directory below the CLI's registry, so `.` and `..` are not allowed. */
export function verifyGatewayName(source: string, name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  const allowed = "are up to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit";
  throw notAllowed(source, name, allowed);
}

/** The gateway takes no host names and no zones. */
export function verifyBindAddress(source: string, address: string): string {
  if (isIP(address) !== 0 && !address.includes('%')) return address;
  throw notAllowed(source, address, 'is an IP address such as 127.0.0.1, 0.0.0.0 or ::1');
}

/** A URL that sandboxes reach the gateway under. */
export function verifyEndpoint(source: string, text: string): string {
  if (URL.canParse(text) && /^https?:\/\/[^\s/]+/.test(text) && !/\s/.test(text)) return text;
  throw notAllowed(source, text, 'is a URL such as http://host.openshell.internal:18080');
}

/** Pull policies in lower case, and as Kubernetes and docker call them. */
export const PULL_POLICIES = { always: 'Always', ifnotpresent: 'IfNotPresent', never: 'Never' } as const;

/** What podman calls them; it has one more, and takes its own names, too. */
export const PODMAN_PULL_POLICIES = {
  ...{ always: 'always', ifnotpresent: 'missing', missing: 'missing' },
  ...{ never: 'never', newer: 'newer' },
} as const;

/** Reads the pull policy, in any case. @throws usageError for one that the driver does not have */
export function readPullPolicy(env: Environment, names: Readonly<Record<string, string>>): string {
  const source = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';
  const text = readVariable(env, source);
  const policy = new Map(Object.entries(names)).get(text.toLowerCase());
  if (policy !== undefined) return policy;
  throw notAllowed(source, text, `are Always, IfNotPresent, Never${'newer' in names ? ', Newer' : ''}, in any case`);
}
