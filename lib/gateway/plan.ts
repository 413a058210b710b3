// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch: its steps in their order, the same for every driver (what the driver puts first, the build,
 * credentials, what the driver does with the build, the configuration), and the gateway's own command.
 */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import type { Environment } from '../cli/env.ts';
import type { DevBuild } from '../dev-build/execute.ts';
import { devBuildLines, executeDevBuild } from '../dev-build/execute.ts';
import type { DevBuildPlan } from '../dev-build/plan.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { makePrivateDirectory, ownersOf } from '../fs/private-directory.ts';
import { files, type Place } from '../fs/writable-places.ts';
import { type Command, cmd } from '../process/command.ts';
import type { Config, LaunchContext } from './config.ts';
import type { BuiltStep, DriverRecord, Preparation, Step } from './drivers/types.ts';
import { gatewayToml, sqliteUrl } from './gateway-toml.ts';
import { activePath, metadataPath } from './registration.ts';

export interface LaunchPlan {
  readonly record: DriverRecord;
  readonly config: Config;
  readonly preparation: Preparation;
  readonly build: DevBuildPlan;
  readonly toolchain: Toolchain;
}

/** The steps of a launch; those after the build take it. */
export interface LaunchSteps {
  readonly before: readonly Step[];
  readonly build: Step<[], DevBuild>;
  readonly after: readonly BuiltStep[];
}

export function databasePath({ stateDirectory }: Config): string {
  return join(stateDirectory, 'gateway.db');
}

/** The endings of the database and of what SQLite keeps beside it (https://sqlite.org/tempfiles.html). */
const DATABASE_ENDINGS = ['', '-journal', '-shm', '-wal'];

/**
 * Variables that flags or the configuration decide. A gateway parses them even where they lose, and ends at a value
 * that it does not like.
 */
const DECIDED = [
  'OPENSHELL_BIND_ADDRESS',
  'OPENSHELL_SERVER_PORT',
  'OPENSHELL_LOG_LEVEL',
  'OPENSHELL_DRIVERS',
  'OPENSHELL_DB_URL',
  'OPENSHELL_GATEWAY_CONFIG',
  'OPENSHELL_COMPUTE_DRIVER_SOCKET',
  'OPENSHELL_DISABLE_TLS',
  'OPENSHELL_ENABLE_MTLS_AUTH',
  'OPENSHELL_TLS_CERT',
  'OPENSHELL_TLS_KEY',
  'OPENSHELL_TLS_CLIENT_CA',
] as const;

/** The steps in their order. */
export function launchSteps(ctx: LaunchContext, plan: LaunchPlan): LaunchSteps {
  const { build, preparation } = plan;
  return {
    before: preparation.before ?? [],
    build: {
      name: 'build',
      title: build.config.supervisor === undefined ? 'gateway' : 'gateway and supervisor',
      lines: devBuildLines(ctx.runner, build),
      writes: files(...build.scripts.map(({ path }) => path)),
      run: () => executeDevBuild(ctx, build),
    },
    after: [credentialsStep(ctx, plan), ...(preparation.after ?? []), configStep(plan)],
  };
}

/**
 * What every launch writes into its state directory, besides its steps. The gateway follows links, under sudo as root, so
 * no file of the database may be one.
 */
export function statePlaces(config: Config): Place[] {
  const { stateDirectory: path, stateSource } = config;
  return [
    { kind: 'directory', path, remedy: `set ${stateSource} to another directory` },
    ...DATABASE_ENDINGS.map((ending) => ({ kind: 'opened', path: `${databasePath(config)}${ending}` }) as const),
  ];
}

/** What it writes into the registry of the CLI. */
export function registryPlaces({ configHome, isActivated, name }: Config): Place[] {
  const remedy = 'set XDG_CONFIG_HOME to another directory';
  const paths = [metadataPath(configHome, name), ...(isActivated ? [activePath(configHome)] : [])];
  return paths.map((path) => ({ kind: 'file', path, remedy }));
}

/** `generate-certs` keeps what is complete, and creates what is missing. */
function credentialsStep({ env, invoker, runner }: LaunchContext, { config, preparation }: LaunchPlan): BuiltStep {
  const names = ['127.0.0.1', 'localhost', 'host.openshell.internal'].flatMap((name) => ['--server-san', name]);
  const options = {
    // Whose that is decides whether it runs as the user.
    cwd: config.stateDirectory,
    env: {
      ...gatewayEnvironment(env, preparation),
      // It also writes client certificates for an installed gateway into the CLI's directory, which are not ours.
      XDG_CONFIG_HOME: join(config.stateDirectory, 'certgen-config'),
    },
  };
  const generate = (gateway: string, asInvoker = false) =>
    cmd({ ...options, asInvoker })`${gateway} generate-certs --output-dir ${tlsDirectory(config)} ${names}`;
  return {
    name: 'credentials',
    title: 'credentials',
    lines: [runner.describe(generate('<openshell-gateway>'))],
    writes: [{ kind: 'directory', path: tlsDirectory(config) }],
    // Under sudo the directory is the user's, or root's alone.
    run: ({ gateway }) => {
      // During the build somebody else could have put a link in its place.
      makePrivateDirectory(config.stateSource, config.stateDirectory, ownersOf(invoker?.uid));
      return runner.read(generate(gateway, lstatSync(config.stateDirectory).uid === invoker?.uid));
    },
  };
}

function configStep({ config, preparation, record }: LaunchPlan): BuiltStep {
  const path = configPath(config);
  return {
    name: 'config',
    title: 'configuration',
    lines: [`# writes ${path} (0600)`],
    writes: files(path),
    run: async (build) => {
      const { defaultImage, table } = preparation;
      const own = { driver: record.name, driverTable: table(build), defaultImage };
      writeWhole(path, gatewayToml({ name: config.name, tlsDirectory: tlsDirectory(config), ...own }), 0o600);
    },
  };
}

/** The gateway's own command. */
export function gatewayCommand(ctx: LaunchContext, plan: LaunchPlan, binary: string): Command {
  const { config, preparation, record } = plan;
  const listen = ['--bind-address', config.bindAddress, '--port', config.port];
  const rest = ['--log-level', config.logLevel, '--drivers', record.name, '--disable-tls'];
  const database = ['--db-url', sqliteUrl(databasePath(config))];
  const options = { cwd: ctx.startDirectory, env: gatewayEnvironment(ctx.env, preparation) };
  return cmd(options)`${binary} --config ${configPath(config)} ${listen} ${rest} ${database}`;
}

/** The changes to the environment of everything that runs the gateway's binary. */
function gatewayEnvironment(env: Environment, { gatewayEnv }: Preparation): Environment {
  // Set but empty, it would be a relative path to the gateway.
  const removed = [...DECIDED, ...(env.XDG_CONFIG_HOME === '' ? ['XDG_CONFIG_HOME'] : [])];
  const wanted = { ...Object.fromEntries(removed.map((name) => [name, undefined])), ...gatewayEnv };
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => env[name] !== value));
}

function configPath(config: Config): string {
  return join(config.stateDirectory, 'gateway.toml');
}

function tlsDirectory(config: Config): string {
  return join(config.stateDirectory, 'tls');
}
