// SPDX-License-Identifier: Apache-2.0

/**
 * The end of a launch: what can be tried is tried, then the gateway is registered, watched, and
 * takes the task's place. A replacement that fails would abort Node, so nothing is left to chance.
 */

import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { takeDirectoryOwner } from '../fs/ownership.ts';
import { type Command, command } from '../process/command.ts';
import { thisProcess } from '../process/identity.ts';
import { LAUNCH_VARIABLES, type Settings } from './config.ts';
import { sqliteUrl } from './config-file.ts';
import type { DriverRecord, OpenedDriver } from './drivers/types.ts';
import { verifyPortFree } from './port.ts';
import { watchCommand } from './readiness.ts';
import { register } from './registration.ts';
import { reachableAddress } from './validate.ts';

/**
 * Variables that flags or the configuration decide. A gateway parses them even where they lose, and
 * ends at a value that it does not like.
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

/** The changes to the environment of everything that runs the gateway's binary. */
export function gatewayEnvironment(env: Environment, driver: OpenedDriver): Environment {
  const decided = Object.fromEntries(
    DECIDED.filter((name) => env[name] !== undefined).map((name) => [name, undefined]),
  );
  // Set but empty, it would be a relative path to the gateway.
  const config = env.XDG_CONFIG_HOME === '' ? { XDG_CONFIG_HOME: undefined } : {};
  return { ...decided, ...config, ...driver.gatewayEnv };
}

/** Where the gateway keeps its configuration. */
export function configPath(settings: Settings): string {
  return join(settings.stateDirectory, 'gateway.toml');
}

/** The gateway's own command. */
export function gatewayCommand(
  binary: string,
  record: DriverRecord,
  settings: Settings,
  env: Environment,
  cwd: string,
): Command {
  const words = [
    binary,
    '--config',
    configPath(settings),
    '--bind-address',
    settings.bindAddress,
    '--port',
    settings.port,
    '--log-level',
    settings.logLevel,
    '--drivers',
    record.name,
    '--disable-tls',
    '--db-url',
    sqliteUrl(databasePath(settings)),
  ];
  return command(words, { cwd, env });
}

function databasePath(settings: Settings): string {
  return join(settings.stateDirectory, 'gateway.db');
}

/**
 * Registers the gateway, starts the watcher, and becomes the gateway.
 *
 * @returns the gateway's exit status, where the process could not be replaced
 * @throws usageError where the port has been taken meanwhile, or the binary cannot run
 */
export async function execGateway(
  ctx: TaskContext,
  settings: Settings,
  driver: OpenedDriver,
  gateway: Command,
): Promise<number> {
  const { runner, startDirectory } = ctx;
  accessSync(gateway.argv[0], constants.X_OK);
  keepDatabaseOwner(databasePath(settings));
  await verifyPortFree(LAUNCH_VARIABLES.port, settings.bindAddress, settings.port);
  ctx.signals.throwIfReceived();
  const watched = {
    process: thisProcess(),
    isReplaced: runner.canReplace,
    address: reachableAddress(settings.bindAddress),
    port: settings.port,
    name: settings.name,
    endpoint: settings.endpoint,
    activateIn: settings.isActivated ? settings.configHome : undefined,
    startedAt: Math.round(performance.timeOrigin),
  };
  const metadata = {
    name: settings.name,
    gateway_endpoint: settings.endpoint,
    is_remote: false,
    gateway_port: settings.port,
    auth_mode: 'plaintext',
    ...driver.metadata,
  } as const;
  // The watcher does nothing before the port answers, and takes its time to start.
  await Promise.all([
    runner.start(watchCommand(watched, startDirectory)),
    Promise.resolve().then(() => register(settings.configHome, metadata)),
  ]);
  return runner.exec(gateway);
}

/**
 * Under sudo the gateway runs as root. SQLite gives its side files the owner of the database
 * (https://sqlite.org/src/file/src/os_unix.c, findCreateFileMode), so the database is there before.
 */
function keepDatabaseOwner(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  takeDirectoryOwner(path);
}
