// SPDX-License-Identifier: Apache-2.0

/** Sending orders to the runner in a process of its own. */

import { join } from 'node:path';
import { runProcess, type TaskOptions, type TaskResult } from './run-task.ts';
import type { RunnerOrder } from './runner-driver.ts';

const DRIVER = join(import.meta.dirname, 'runner-driver.ts');

/** Runs one order; the environment is the test's own unless given. */
export function orderRunner(order: RunnerOrder, options: Partial<TaskOptions> = {}): Promise<TaskResult> {
  const env = (options.env ?? process.env) as Record<string, string>;
  return runProcess(process.execPath, [DRIVER, JSON.stringify(order)], { cwd: process.cwd(), ...options, env });
}

/** The arguments that start the driver, for tests that put something before it. */
export function driverWords(order: RunnerOrder): string[] {
  return [DRIVER, JSON.stringify(order)];
}
