// SPDX-License-Identifier: Apache-2.0

/** The plan of the smoke test, pure: the two ways in which a gateway ends, and everything that each run of it gets. */

import { join } from 'node:path';
import { stringify } from 'smol-toml';
import { MESSAGE_FORMAT } from '../../cargo/messages.ts';
import type { Environment } from '../../cli/env.ts';
import { signDriver } from '../../gateway/drivers/vm-driver-source.ts';
import { sqliteUrl } from '../../gateway/gateway-toml.ts';
import { type Command, cmd } from '../../process/command.ts';
import { type Binary, DRIVER } from '../../product.ts';
import type { OrphansConfig } from './config.ts';

/** A way in which a gateway ends. */
export interface Scenario {
  readonly name: 'term' | 'kill';
  readonly label: string;
  readonly signal: 'SIGTERM' | 'SIGKILL';
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'term', label: 'graceful SIGTERM', signal: 'SIGTERM' },
  { name: 'kill', label: 'abrupt SIGKILL', signal: 'SIGKILL' },
];

/** The name of the gateway in the CLI's own configuration of a scenario. */
const GATEWAY_NAME = 'vm-orphan';

/** The programs of the test, by their paths. */
export interface Programs {
  readonly gateway: string;
  /** The directory of the VM driver. */
  readonly driverDirectory: string;
}

/** What has been found: the programs, or the command that builds them. */
export interface PreparedOrphans {
  readonly config: OrphansConfig;
  readonly programs: Programs;
  readonly build: Command | undefined;
}

/**
 * The cargo run of the gateway and the driver, with the runtime in it.
 * @param base what cargo gets with its tool chain
 */
export function buildCommand(
  { root, runtime, targetDirectory }: OrphansConfig,
  binaries: readonly Binary[],
  base: Environment,
): Command {
  const target = targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: targetDirectory };
  const env = { ...target, OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime };
  const selected = binaries.flatMap((one) => ['-p', one.package, '--bin', one.binary]);
  return cmd({ cwd: root, base, env })`cargo build ${selected} ${MESSAGE_FORMAT}`;
}

/** On macOS the driver is signed, whoever has built it: cargo's own build of it is not. */
export function signCommands({ host, root }: OrphansConfig, { driverDirectory }: Programs): Command[] {
  return host.platform === 'darwin' ? [signDriver(root, join(driverDirectory, DRIVER.binary))] : [];
}

/** The files and directories of a scenario, each below the temporary directory of the run. */
export interface ScenarioPlaces {
  readonly directory: string;
  readonly state: string;
  /** `XDG_RUNTIME_DIR` of the gateway: its sockets are there, and nothing else has this value. */
  readonly runtime: string;
  /** `XDG_CONFIG_HOME` of the CLI. */
  readonly cli: string;
  readonly config: string;
  /** What the gateway and the CLI print; they stay where the scenario fails. */
  readonly logs: { readonly gateway: string; readonly create: string };
}

export function scenarioPlaces(temporary: string, { name }: Scenario): ScenarioPlaces {
  const directory = join(temporary, name);
  return {
    directory,
    state: join(directory, 'state'),
    runtime: join(directory, 'run'),
    cli: join(directory, 'cli'),
    config: join(directory, 'gateway.toml'),
    logs: { gateway: join(temporary, `${name}-gateway.log`), create: join(temporary, `${name}-create.log`) },
  };
}

/** The gateway's configuration: whatever a path holds, it stays that path. */
export function orphansToml({ port }: OrphansConfig, { driverDirectory }: Programs, { state }: ScenarioPlaces): string {
  return stringify({
    openshell: {
      version: 1,
      gateway: { compute_drivers: ['vm'], disable_tls: true, auth: { allow_unauthenticated_users: true } },
      drivers: {
        vm: {
          grpc_endpoint: `http://host.containers.internal:${port}`,
          driver_dir: driverDirectory,
          state_dir: state,
        },
      },
    },
  });
}

/** The user's own settings of OpenShell, taken out: a gateway of this test has only ours. */
function withoutOwn(env: Environment): Environment {
  const names = Object.keys(env).filter((name) => name.startsWith('OPENSHELL_'));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** The variable that each process of the gateway inherits, and no other process has. */
export function gatewayMarker({ runtime }: ScenarioPlaces): string {
  return `XDG_RUNTIME_DIR=${runtime}`;
}

/** The same for the CLI. */
export function cliMarker({ cli }: ScenarioPlaces): string {
  return `XDG_CONFIG_HOME=${cli}`;
}

/** @param env the task's environment */
export function gatewayCommand(
  { healthPort, port, root }: OrphansConfig,
  { gateway }: Programs,
  { config, directory, runtime, state }: ScenarioPlaces,
  env: Environment,
): Command {
  const own = {
    OPENSHELL_SERVER_PORT: String(port),
    OPENSHELL_HEALTH_PORT: String(healthPort),
    OPENSHELL_DB_URL: sqliteUrl(join(state, 'openshell.db')),
    OPENSHELL_DRIVERS: 'vm',
    OPENSHELL_GATEWAY_CONFIG: config,
    OPENSHELL_LOCAL_TLS_DIR: join(directory, 'tls'),
    XDG_RUNTIME_DIR: runtime,
    XDG_STATE_HOME: join(directory, 'state-home'),
    XDG_CONFIG_HOME: join(directory, 'config-home'),
  };
  return cmd({ cwd: root, base: withoutOwn(env), env: own })`${gateway} --disable-tls`;
}

/** What the CLI of the checkout is called with. */
export interface CliCommands {
  readonly add: Command;
  readonly select: Command;
  /** It stays for as long as the sandbox runs. */
  readonly create: Command;
  readonly list: Command;
  readonly sandbox: string;
}

export function cliCommands({ port, root }: OrphansConfig, { cli }: ScenarioPlaces, env: Environment): CliCommands {
  const sandbox = `orphan-${process.pid}`;
  const program = join(root, 'scripts/bin/openshell');
  const command = cmd({ cwd: root, base: { ...withoutOwn(env), NO_COLOR: '1' }, env: { XDG_CONFIG_HOME: cli } });
  return {
    add: command`${program} gateway add --name ${GATEWAY_NAME} ${`http://127.0.0.1:${port}`}`,
    select: command`${program} gateway select ${GATEWAY_NAME}`,
    create: command`${program} sandbox create --name ${sandbox} -- sleep 99999`,
    list: command`${program} sandbox list`,
    sandbox,
  };
}

/** Whether the CLI's list of sandboxes has one, and says that it is ready. */
export function isReady(list: string, sandbox: string): boolean {
  return list.split('\n').some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields.includes(sandbox) && fields.at(-1) === 'Ready';
  });
}
