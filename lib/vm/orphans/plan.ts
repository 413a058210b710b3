// SPDX-License-Identifier: Apache-2.0

/** The plan of the smoke test: the two ways in which a gateway ends, and what each run of it gets. */

import { dirname, join } from 'node:path';
import { stringify } from 'smol-toml';
import type { Runner } from '../../build-env.ts';
import { MESSAGE_FORMAT } from '../../cargo/metadata.ts';
import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { temporaryRoot } from '../../fs/temporary-directory.ts';
import { signDriver } from '../../gateway/drivers/vm.ts';
import { sqliteUrl } from '../../gateway/plan.ts';
import { parsePort } from '../../gateway/port.ts';
import { thisHost } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { runtimeDirectory } from '../runtime-files.ts';

/** The ways in which a gateway ends. */
const SCENARIOS = [
  { name: 'term', label: 'graceful SIGTERM', signal: 'SIGTERM' },
  { name: 'kill', label: 'abrupt SIGKILL', signal: 'SIGKILL' },
] as const;
/** Not that of a gateway that a user runs. */
const DEFAULT_PORT = '8091';

export type OrphansConfig = ReturnType<typeof resolveOrphansConfig>;
export type Scenario = ReturnType<typeof planScenarios>[number];

/** The paths of what is tested. */
type Programs = Readonly<Record<'gateway' | 'driver', string>>;

/** Resolves the configuration. @throws usageError for any wrong value */
export function resolveOrphansConfig(env: Environment, root: string, startDirectory: string) {
  const host = thisHost();
  const variable = 'OPENSHELL_SERVER_PORT';
  const text = readVariable(env, variable) ?? DEFAULT_PORT;
  const port = parsePort(variable, text);
  if (port > 65_534) throw notAllowed(variable, text, 'is a port up to 65534, because the next one is used as well');
  return {
    ...{ root, host, port },
    /** How long each step may take, in milliseconds. */
    limits: { healthy: 60_000, sandbox: 120_000, gone: 15_000 },
    runtime: runtimeDirectory(env, root, startDirectory),
    targetDirectory: readPath(env, 'CARGO_TARGET_DIR', startDirectory),
    // The driver's sockets are below it: on macOS `TMPDIR` is too long for them.
    temporary: host.platform === 'darwin' ? '/tmp' : temporaryRoot(),
  };
}

/** The cargo run of the gateway and the driver, with the runtime in it. */
export function buildCommand({ root, runtime, targetDirectory }: OrphansConfig, base: Environment): Command {
  const target = targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: targetDirectory };
  const env = { ...target, OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime };
  const selected = [COMPONENTS.gateway, DRIVER].flatMap((one) => ['-p', one.package, '--bin', one.binary]);
  return cmd({ cwd: root, base, env })`cargo build ${selected} ${MESSAGE_FORMAT}`;
}

/** On macOS the driver is signed: cargo's own build of it is not. */
export function signCommands({ host, root }: OrphansConfig, driver: string): Command[] {
  return host.platform === 'darwin' ? [signDriver(root, driver)] : [];
}

/** Both scenarios, in the directory of the run. Of all settings of OpenShell the gateway has only ours. */
export function planScenarios({ port, root }: OrphansConfig, programs: Programs, temporary: string, env: Environment) {
  const own = Object.keys(env).filter((name) => name.startsWith('OPENSHELL_'));
  const base = Object.fromEntries(own.map((name) => [name, undefined]));
  const program = join(root, 'scripts/bin/openshell');
  return SCENARIOS.map(({ name, label, signal }) => {
    const directory = join(temporary, name);
    const place = (path: string) => join(directory, path);
    const gatewayEnv = {
      OPENSHELL_SERVER_PORT: String(port),
      OPENSHELL_HEALTH_PORT: String(port + 1),
      OPENSHELL_DB_URL: sqliteUrl(place('state/openshell.db')),
      OPENSHELL_DRIVERS: 'vm',
      OPENSHELL_GATEWAY_CONFIG: place('gateway.toml'),
      OPENSHELL_LOCAL_TLS_DIR: place('tls'),
      // The driver's sockets are there, which others would find in that of the user.
      XDG_RUNTIME_DIR: place('run'),
      XDG_STATE_HOME: place('state-home'),
      XDG_CONFIG_HOME: place('config-home'),
    };
    const cli = cmd({ cwd: root, base, env: { XDG_CONFIG_HOME: place('cli') } });
    const sandbox = `orphan-${process.pid}`;
    return {
      ...{ label, signal },
      /** All that it writes is below it, but the logs, which stay where it fails. */
      directory,
      directories: [directory, ...['state', 'run', 'cli'].map(place)],
      config: { path: place('gateway.toml'), text: gatewayToml(port, programs.driver, place('state')) },
      gateway: {
        command: cmd({ cwd: root, base, env: gatewayEnv })`${programs.gateway} --disable-tls`,
        log: join(temporary, `${name}-gateway.log`),
      },
      /** What tells the CLI of the gateway. */
      setup: [
        cli`${program} gateway add --name vm-orphan ${`http://127.0.0.1:${port}`}`,
        cli`${program} gateway select vm-orphan`,
      ],
      /** It stays for as long as the sandbox runs. */
      create: {
        command: cli`${program} sandbox create --name ${sandbox} -- sleep 99999`,
        log: join(temporary, `${name}-create.log`),
      },
    };
  });
}

function gatewayToml(port: number, driver: string, state_dir: string): string {
  const vm = { grpc_endpoint: `http://host.containers.internal:${port}`, driver_dir: dirname(driver), state_dir };
  const gateway = { compute_drivers: ['vm'], disable_tls: true, auth: { allow_unauthenticated_users: true } };
  return stringify({ openshell: { version: 1, gateway, drivers: { vm } } });
}

/** What a dry run prints: the commands of each scenario; what cargo has built is in angle brackets. */
export function orphansDryRunLines(runner: Runner, config: OrphansConfig, build: Command, env: Environment): string[] {
  const programs = { gateway: `<${COMPONENTS.gateway.binary}>`, driver: `<${DRIVER.binary}>` };
  const describe = runner.describe.bind(runner);
  const scenarios = planScenarios(config, programs, join(config.temporary, 'openshell-vm-orphan-XXXXXX'), env);
  return [
    ...[build, ...signCommands(config, programs.driver)].map(describe),
    ...scenarios.flatMap((scenario) => [
      `# ${scenario.label}: writes ${scenario.config.path}, and waits for what each command starts`,
      `${describe(scenario.gateway.command)} &`,
      ...scenario.setup.map(describe),
      `${describe(scenario.create.command)} &`,
      `kill -${scenario.signal.slice('SIG'.length)} %1`,
    ]),
  ];
}
