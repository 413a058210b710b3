// SPDX-License-Identifier: Apache-2.0

/** What a launch was asked for, whichever driver, as one flat value; and the shape of a driver's record. */

import { isIP } from 'node:net';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { type Environment, firstOf, notAllowed, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/problems.ts';
import type { VariableName } from '../cli/variables.ts';
import type { DevBuild } from '../dev-build/execute.ts';
import type { DevBuildWishes } from '../dev-build/plan.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { ownersOf, type Place, verifyPrivateDirectory } from '../fs/writable-places.ts';
import type { Host } from '../host.ts';
import type { Binary } from '../product.ts';
import { resolveBuildOptions } from '../stage/config.ts';
import type { KnownTools } from '../stage/execute.ts';
import type { DriverName, LaunchFlags } from './declarations.ts';
import { httpEndpoint, parsePort, reachableAddress } from './port.ts';
import { configHome } from './registration.ts';

const LOOPBACK = { address: '127.0.0.1', host: '127.0.0.1' };

/** The task's context, and what else a launch is resolved from. */
export interface LaunchContext extends RunnerContext {
  readonly root: string;
  readonly host: Host;
  readonly flags: LaunchFlags;
  readonly problems: Problems;
  /** The engine that the driver was selected by, where it was. */
  readonly engine: LaunchEngine | undefined;
}

/** A step of a launch: a dry run prints its lines, a run executes it. */
export interface Step<Args extends readonly unknown[] = [], Result = unknown> {
  /** One word, for headings, times and dry runs. */
  readonly name: string;
  /** The heading, where that is not the name. */
  readonly title?: string;
  readonly lines: readonly string[];
  /** What it writes, which is checked before anything is built. */
  readonly writes?: readonly Place[];
  run(...args: Args): Promise<Result> | Result;
}

export type BuiltStep = Step<[build: DevBuild]>;

/** A driver's own table, in the driver's keys; `undefined` leaves a key out. */
export type DriverTable = Readonly<Record<string, string | boolean | undefined>>;

/** What a driver adds to a launch, decided: nothing but probes has been started. */
export interface Preparation {
  readonly before?: readonly Step[];
  readonly wishes?: Partial<DevBuildWishes>;
  /** After the build, before the configuration is written. */
  readonly after?: readonly BuiltStep[];
  /** `default_image` of the gateway's table, where the driver does not keep it in its own. */
  readonly defaultImage?: string;
  table(build: DevBuild): DriverTable;
  readonly gatewayEnv?: Environment;
  readonly metadata?: { readonly vm_driver_state_dir: string };
  /** Lines of the banner: a term and its meaning. */
  readonly banner: readonly (readonly [term: string, meaning: string])[];
}

/** What the four launchers have in common, and where they differ. */
export interface DriverRecord {
  readonly name: DriverName;
  readonly title: string;
  readonly port: number;
  /** Whether its gateway becomes the CLI's active one. */
  readonly isActivated: boolean;
  /** The binaries of its launches besides the gateway, in whichever cargo run they are built. */
  readonly binaries: readonly Binary[];
  /** Variables that its gateway does not read, which is said. */
  readonly ignored?: readonly VariableName[];
  /** Where it listens, and the host that the CLI is given; 127.0.0.1 by default. */
  bind?(platform: NodeJS.Platform): typeof LOOPBACK | undefined;
  /**
   * Probes what the launch depends on, and decides; `undefined` where something is wrong.
   * @param tools `undefined` without a tool chain: then it only reports what else is wrong
   */
  prepare(ctx: LaunchContext, config: Config, tools: Promise<KnownTools | undefined>): Promise<Preparation | undefined>;
}

/** A value that is wrong throws its error where it is used. */
export type Config = ReturnType<typeof resolveConfig>;

/** Resolves what all drivers have in common; whatever is wrong becomes one of the problems. */
export function resolveConfig(record: DriverRecord, ctx: LaunchContext) {
  const { env, startDirectory, root, host, flags, problems } = ctx;
  const { invoker } = ctx.runner;
  const bind = record.bind?.(host.platform) ?? LOOPBACK;
  const address = readVariable(env, 'OPENSHELL_BIND_ADDRESS');
  const state = firstOf(env, variablesOf(record.name, 'STATE_DIR'));
  const name = firstOf(env, variablesOf(record.name, 'NAME'));
  const grpcEndpoint = readVariable(env, 'OPENSHELL_GRPC_ENDPOINT');
  const port = () =>
    parsePort('OPENSHELL_SERVER_PORT', readVariable(env, 'OPENSHELL_SERVER_PORT') ?? String(record.port));
  const bindAddress = () =>
    address === undefined ? bind.address : verifyBindAddress('OPENSHELL_BIND_ADDRESS', address);
  problems.attempt(() => {
    if (readVariable(env, 'OPENSHELL_DISABLE_TLS')) return;
    throw usageError(
      `OPENSHELL_DISABLE_TLS is '${env.OPENSHELL_DISABLE_TLS}', but local gateways serve plaintext on loopback and are ` +
        'registered so; unset it, or start openshell-gateway yourself with --tls-cert and --tls-key',
    );
  });
  return problems.values({
    name: () => (name.text === undefined ? `${record.name}-dev` : verifyGatewayName(name.source, name.text)),
    nameSource: () => (name.text === undefined ? 'OPENSHELL_GATEWAY_NAME' : name.source),
    port,
    bindAddress,
    endpoint: () => httpEndpoint(address === undefined ? bind.host : reachableAddress(bindAddress()), port()),
    stateDirectory: () => {
      const directory = absolutePath(startDirectory, state.text ?? join(root, '.cache', `gateway-${record.name}`));
      verifyPrivateDirectory(state.source, directory, ownersOf(invoker?.uid));
      return directory;
    },
    stateSource: () => state.source,
    sandboxImage: () => readVariable(env, 'OPENSHELL_SANDBOX_IMAGE'),
    /** The endpoint that the user gave for sandboxes; `undefined` for the driver's own. */
    grpcEndpoint: () => grpcEndpoint && verifyEndpoint('OPENSHELL_GRPC_ENDPOINT', grpcEndpoint),
    logLevel: () => readVariable(env, 'OPENSHELL_LOG_LEVEL'),
    isActivated: () => {
      const isKept = flags['no-activate'];
      if (!isKept || !flags.activate) return flags.activate || (record.isActivated && !isKept);
      throw usageError('--activate and --no-activate contradict each other; give one of them');
    },
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

/** It is a directory below the CLI's registry, so `.` and `..` are not allowed. */
export function verifyGatewayName(source: string, name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  throw notAllowed(source, name, "are up to 128 letters, digits, '.', '_' and '-', beginning with a letter or digit");
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
