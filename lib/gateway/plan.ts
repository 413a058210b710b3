// SPDX-License-Identifier: Apache-2.0

/** The plan of a launch: its steps, the same for every driver, the gateway's configuration, and its own command. */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import type { Environment } from '../cli/env.ts';
import { devBuildLines, executeDevBuild } from '../dev-build/execute.ts';
import type { DevBuildPlan } from '../dev-build/plan.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { files, type Place } from '../fs/writable-places.ts';
import { type Command, cmd } from '../process/command.ts';
import type { BuiltStep, Config, DriverRecord, DriverTable, LaunchContext, Preparation } from './config.ts';
import type { DriverName } from './declarations.ts';
import { activePath, metadataPath } from './registration.ts';

export interface LaunchPlan {
  readonly record: DriverRecord;
  readonly config: Config;
  readonly preparation: Preparation;
  readonly build: DevBuildPlan;
  readonly toolchain: Toolchain;
  readonly steps: ReturnType<typeof launchSteps>;
}

export function databasePath({ stateDirectory }: Config): string {
  return join(stateDirectory, 'gateway.db');
}

/** What flags or the configuration decide: a gateway parses it even where it loses, and ends at a value it dislikes. */
const DECIDED = [
  ...['OPENSHELL_BIND_ADDRESS', 'OPENSHELL_SERVER_PORT', 'OPENSHELL_LOG_LEVEL', 'OPENSHELL_DRIVERS'],
  ...['OPENSHELL_DB_URL', 'OPENSHELL_GATEWAY_CONFIG', 'OPENSHELL_COMPUTE_DRIVER_SOCKET', 'OPENSHELL_DISABLE_TLS'],
  ...['OPENSHELL_ENABLE_MTLS_AUTH', 'OPENSHELL_TLS_CERT', 'OPENSHELL_TLS_KEY', 'OPENSHELL_TLS_CLIENT_CA'],
];

/** The steps in their order; those after the build take it. */
export function launchSteps(
  ctx: LaunchContext,
  record: DriverRecord,
  config: Config,
  { build, preparation }: Pick<LaunchPlan, 'build' | 'preparation'>,
) {
  return {
    before: preparation.before ?? [],
    build: {
      name: 'build',
      title: build.config.supervisor === undefined ? 'gateway' : 'gateway and supervisor',
      lines: devBuildLines(ctx.runner, build),
      writes: files(...build.scripts.map(({ path }) => path)),
      run: () => executeDevBuild(ctx, build),
    },
    after: [
      credentialsStep(ctx, config, preparation),
      ...(preparation.after ?? []),
      configStep(record, config, preparation),
    ],
  };
}

/** What every launch writes into its state directory. The gateway follows links, as root too, so none may be one. */
export function statePlaces(config: Config): Place[] {
  const { stateDirectory: path, stateSource } = config;
  return [
    { kind: 'directory', path, remedy: `set ${stateSource} to another directory` },
    // And what SQLite keeps beside it (https://sqlite.org/tempfiles.html).
    ...['', '-journal', '-shm', '-wal'].map((end) => ({ kind: 'opened', path: databasePath(config) + end }) as const),
  ];
}

/** What it writes into the registry of the CLI. */
export function registryPlaces({ configHome, isActivated, name }: Config): Place[] {
  const remedy = 'set XDG_CONFIG_HOME to another directory';
  const paths = [metadataPath(configHome, name), ...(isActivated ? [activePath(configHome)] : [])];
  return paths.map((path) => ({ kind: 'file', path, remedy }));
}

/** `generate-certs` keeps what is complete, and creates what is missing. */
function credentialsStep({ env, runner }: LaunchContext, config: Config, preparation: Preparation): BuiltStep {
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
    lines: [runner.describe(generate('<openshell-gateway>'))],
    writes: [{ kind: 'directory', path: tlsDirectory(config) }],
    // Under sudo the directory is the user's, or root's alone.
    run: ({ gateway }) => runner.read(generate(gateway, lstatSync(config.stateDirectory).uid === runner.invoker?.uid)),
  };
}

function configStep(record: DriverRecord, config: Config, { defaultImage, table }: Preparation): BuiltStep {
  const path = join(config.stateDirectory, 'gateway.toml');
  return {
    name: 'config',
    lines: [`# writes ${path} (0600)`],
    writes: files(path),
    run: (build) => writeWhole(path, gatewayToml(config, record.name, table(build), defaultImage), 0o600),
  };
}

/** The text of `gateway.toml`, in the schema of OpenShell's gateway (version 1). */
export function gatewayToml(
  config: Pick<Config, 'name' | 'stateDirectory'>,
  driver: DriverName,
  driverTable: DriverTable,
  defaultImage: string | undefined,
): string {
  const jwt = join(tlsDirectory(config), 'jwt');
  return stringify({
    openshell: {
      version: 1,
      gateway: {
        compute_drivers: [driver],
        default_image: defaultImage,
        disable_tls: true,
        auth: { allow_unauthenticated_users: true },
        gateway_jwt: {
          signing_key_path: join(jwt, 'signing.pem'),
          public_key_path: join(jwt, 'public.pem'),
          kid_path: join(jwt, 'kid'),
          gateway_id: config.name,
          ttl_secs: 3600,
        },
      },
      drivers: { [driver]: driverTable },
    },
  });
}

/** A URL of a SQLite database; the path is percent-decoded by its reader (sqlx), and ends at a `?`. */
export function sqliteUrl(path: string): string {
  return `sqlite:${path.replaceAll(/[%?#]/g, encodeURIComponent)}?mode=rwc`;
}

/** The gateway's own command. */
export function gatewayCommand(ctx: LaunchContext, plan: LaunchPlan, binary: string): Command {
  const { config, preparation, record } = plan;
  const listen = ['--bind-address', config.bindAddress, '--port', config.port];
  const rest = ['--log-level', config.logLevel, '--drivers', record.name, '--disable-tls'];
  const path = join(config.stateDirectory, 'gateway.toml');
  const database = ['--db-url', sqliteUrl(databasePath(config))];
  const options = { cwd: ctx.startDirectory, env: gatewayEnvironment(ctx.env, preparation) };
  return cmd(options)`${binary} --config ${path} ${listen} ${rest} ${database}`;
}

/** The changes to the environment of everything that runs the gateway's binary. */
function gatewayEnvironment(env: Environment, { gatewayEnv }: Preparation): Environment {
  // Set but empty, it would be a relative path to the gateway.
  const removed = [...DECIDED, ...(env.XDG_CONFIG_HOME === '' ? ['XDG_CONFIG_HOME'] : [])];
  const wanted = { ...Object.fromEntries(removed.map((name) => [name, undefined])), ...gatewayEnv };
  return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => env[name] !== value));
}

function tlsDirectory({ stateDirectory }: Pick<Config, 'stateDirectory'>): string {
  return join(stateDirectory, 'tls');
}
