// SPDX-License-Identifier: Apache-2.0

/** Looking at the errors that a user gets to see. */

import { describeError, TaskError } from '../../lib/errors.ts';

/** The `TaskError` that a body throws; anything else, and no error at all, fails the test. */
export function taskErrorOf(body: () => unknown): TaskError {
  let result: unknown;
  try {
    result = body();
  } catch (error) {
    return asTaskError(error);
  }
  throw new Error(`there was no error, but ${JSON.stringify(result)}`);
}

/** The same for a body that promises something. */
export async function taskErrorFrom(body: () => Promise<unknown>): Promise<TaskError> {
  let result: unknown;
  try {
    result = await body();
  } catch (error) {
    return asTaskError(error);
  }
  throw new Error(`there was no error, but ${JSON.stringify(result)}`);
}

/** The exit status and the one line that the task prints: `2: X is 'y'; ...`. */
export function refusalOf(body: () => unknown): string {
  return refusalText(taskErrorOf(body));
}

/** The same for a body that promises something. */
export async function refusalFrom(body: () => Promise<unknown>): Promise<string> {
  return refusalText(await taskErrorFrom(body));
}

function refusalText(error: TaskError): string {
  return `${error.exitCode}: ${describeError(error)}`;
}

function asTaskError(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  throw new Error('the error is not one that a user can act on', { cause: error });
}
