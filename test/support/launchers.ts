// SPDX-License-Identifier: Apache-2.0

/** The launchers of the four drivers over fake tools, started in the same way. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { DriverName } from '../../lib/gateway/declarations.ts';
import { FakeLaunch } from './fake-launch.ts';
import type { TaskOptions, TaskResult } from './run-task.ts';
import { type RunningLaunch, startLaunch } from './running-launch.ts';

export const DRIVERS = ['docker', 'podman', 'vm', 'kubernetes'] as const;

type Extra = Readonly<Record<string, string>>;

/** The task that launches with a driver, and the arguments that it takes for that. */
export function launcherOf(driver: DriverName): { readonly task: string; readonly args: readonly string[] } {
  if (driver === 'kubernetes') return { task: 'gateway', args: ['--driver', 'k8s'] };
  return { task: `gateway-${driver}`, args: [] };
}

/** A checkout in which the driver's launcher finds all that it needs. */
export function newLaunch(driver: DriverName, name?: string): FakeLaunch {
  const launch = new FakeLaunch(driver === 'docker' || driver === 'podman' ? { [driver]: {} } : {}, name);
  if (driver === 'vm') launch.addRuntime();
  return launch;
}

/** Runs the driver's launcher. */
export function run(
  launch: FakeLaunch,
  driver: DriverName,
  args: readonly string[] = [],
  extra: Extra = {},
  options: Partial<TaskOptions> = {},
): Promise<TaskResult> {
  const launcher = launcherOf(driver);
  return launch.launch(launcher.task, [...launcher.args, ...args], { ...stateRoot(launch), ...extra }, options);
}

/**
 * Starts the driver's launcher, which is killed when the test ends; its gateway listens until a signal.
 * @param through as in `TaskOptions`
 */
export async function startLauncher(
  launch: FakeLaunch,
  driver: DriverName,
  args: readonly string[] = [],
  extra: Extra = {},
  through: readonly string[] = [],
): Promise<RunningLaunch> {
  const launcher = launcherOf(driver);
  const env = await launch.launchEnv({ FAKE_GATEWAY: 'listen', ...stateRoot(launch), ...extra });
  return startLaunch(launcher.task, [...launcher.args, ...args], { cwd: launch.root, env, through });
}

/** Where the VM driver keeps its state: in a short path of the test's own. */
function stateRoot(launch: FakeLaunch): Extra {
  return { OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') };
}

/** Refused before anything was built or written; every line is an error. */
export function expectRefused(result: TaskResult, launch: FakeLaunch, ...lines: RegExp[]): void {
  expect(result.stderr).toMatch(/^error: /m);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  for (const line of lines) expect(result.stderr).toMatch(line);
  expect(launch.builds()).toEqual([]);
  expect(launch.gatewayCalls()).toEqual([]);
  expect(existsSync(join(launch.config, 'openshell'))).toBe(false);
}
