// SPDX-License-Identifier: Apache-2.0

/** Sending orders to the door in a process of its own. */

import { join } from 'node:path';
import { runProcess, type TaskOptions, type TaskResult } from './run-task.ts';
import type { DoorOrder } from './runner-driver.ts';

const DRIVER = join(import.meta.dirname, 'door-driver.ts');

/** Runs one order; the environment is the test's own unless given. */
export function orderDoor(order: DoorOrder, options: Partial<TaskOptions> = {}): Promise<TaskResult> {
  const env = (options.env ?? process.env) as Record<string, string>;
  return runProcess(process.execPath, [DRIVER, JSON.stringify(order)], { cwd: process.cwd(), ...options, env });
}

/** The words that start the driver, for tests that put something before it. */
export function driverWords(order: DoorOrder): string[] {
  return [DRIVER, JSON.stringify(order)];
}
