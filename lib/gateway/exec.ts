// SPDX-License-Identifier: Apache-2.0

/**
 * The end of a launch: what can be tried is tried, then the gateway is registered, watched, and takes the task's place.
 * A replacement that fails would abort Node, so nothing is left to chance.
 */

import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import type { Environment } from '../cli/env.ts';
import { takeDirectoryOwner } from '../fs/ownership.ts';
import { type Command, cmd } from '../process/command.ts';
import { thisProcess } from '../process/identity.ts';
import type { Config } from './config.ts';
import { sqliteUrl } from './config-file.ts';
import type { OpenedDriver } from './drivers/types.ts';
import { verifyPortFree } from './port.ts';
import { watchCommand } from './readiness.ts';
import { register } from './registration.ts';
import { reachableAddress } from './validate.ts';

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
export function configPath(config: Config): string {
  return join(config.stateDirectory, 'gateway.toml');
}

/** What of a launch's plan the gateway's own command depends on. */
interface Launched {
  readonly config: Config;
  readonly driver: OpenedDriver;
  readonly record: { readonly name: string };
}

/**
 * The gateway's own command.
 * @param binary the path of the gateway
 */
export function gatewayCommand(binary: string, ctx: RunnerContext, { config, driver, record }: Launched): Command {
  const { bindAddress, logLevel, port } = config;
  const options = { cwd: ctx.startDirectory, env: gatewayEnvironment(ctx.env, driver) };
  const listen = ['--bind-address', bindAddress, '--port', port];
  const database = ['--db-url', sqliteUrl(databasePath(config))];
  return cmd(
    options,
  )`${binary} --config ${configPath(config)} ${listen} --log-level ${logLevel} --drivers ${record.name} --disable-tls ${database}`;
}

function databasePath(config: Config): string {
  return join(config.stateDirectory, 'gateway.db');
}

/**
 * Registers the gateway, starts the watcher, and replaces this process by the gateway.
 * @param binary the path of the gateway
 * @returns the gateway's exit status, where the process could not be replaced
 * @throws usageError where the port has been taken since the preflight; an error of the file system where the binary
 *   cannot run
 */
export async function execGateway(ctx: RunnerContext, plan: Launched, binary: string): Promise<number> {
  const { runner, signals, startDirectory } = ctx;
  const { config, driver } = plan;
  accessSync(binary, constants.X_OK);
  keepDatabaseOwner(databasePath(config));
  await verifyPortFree('OPENSHELL_SERVER_PORT', config.bindAddress, config.port);
  signals.throwIfReceived();
  const watched = {
    process: thisProcess(),
    isReplaced: runner.canReplace,
    address: reachableAddress(config.bindAddress),
    port: config.port,
    name: config.name,
    endpoint: config.endpoint,
    activateIn: config.isActivated ? config.configHome : undefined,
    startedAt: Math.round(performance.timeOrigin),
  };
  const metadata = {
    name: config.name,
    gateway_endpoint: config.endpoint,
    is_remote: false,
    gateway_port: config.port,
    auth_mode: 'plaintext',
    ...driver.metadata,
  } as const;
  // The watcher does nothing before the port responds, and takes its time to start.
  await Promise.all([
    runner.start(watchCommand(watched, startDirectory)),
    Promise.resolve().then(() => register(config.configHome, metadata)),
  ]);
  return runner.exec(gatewayCommand(binary, ctx, plan));
}

/**
 * Under sudo the gateway runs as root. SQLite gives its side files the owner of the database
 * (https://sqlite.org/src/file/src/os_unix.c, findCreateFileMode), so the database is there before.
 */
function keepDatabaseOwner(path: string): void {
  closeSync(openSync(path, 'a', 0o600));
  takeDirectoryOwner(path);
}
