// SPDX-License-Identifier: Apache-2.0

/** From a running command to how it ended: within its time limit, and with the task's signals passed on. */

import type { ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ProcessPromise } from 'zx/core';
import { seconds } from '../cli/terminal.ts';
import { EXIT, failure, oneLine, statusOfSignal, type TaskError } from '../errors.ts';
import { argvText, type Command } from './command.ts';
import { killGroup, type Signals } from './signals.ts';

const TAIL_LINES = 20;
/** How long the output of a program that has ended may be silent before it counts as complete. */
const QUIET_MS = 250;
const QUIET_ROUNDS = 20;

export interface Outcome {
  /** 128+n for signal n. */
  readonly status: number;
  readonly signal: NodeJS.Signals | undefined;
  /** What was captured; empty where the terminal had it. */
  readonly stdout: string;
  readonly stderr: string;
  /** The time limit was over, and the command was killed. */
  readonly timedOut: boolean;
}

/** The output without the line breaks at its end, or the reason why there is none; the status where it ended by itself. */
export type ProbeResult =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly reason: string; readonly status?: number; readonly timedOut?: true };

export function probeResult(value: Command, outcome: Outcome, timeoutMs: number): ProbeResult {
  if (outcome.timedOut) {
    return { ok: false, reason: `no response from ${argvText(value)} within ${seconds(timeoutMs)}`, timedOut: true };
  }
  if (outcome.status === 0) return { ok: true, output: trimmed(outcome.stdout) };
  return { ok: false, reason: outcomeTail(outcome) || `status ${outcome.status}`, status: outcome.status };
}

/** The error for a command that failed: what, how, where, and its last lines unless the user has seen them. */
export function commandFailed(value: Command, outcome: Outcome): TaskError {
  const { signal, status } = outcome;
  const said = outcomeTail(outcome);
  const ending = status === EXIT.vanished ? `was not found (${value.argv[0]})` : `failed with status ${status}`;
  const how = signal === undefined ? ending : `was ended by ${signal}`;
  return failure(`${argvText(value)} ${how} in ${value.cwd}${said && `: ${oneLine(said)}`}`, status);
}

/** As `$(...)` gives it. */
export function trimmed(output: string): string {
  return output.replace(/\n+$/, '');
}

/** The last lines that a command printed, on stderr where there are any. */
export function outcomeTail({ stderr, stdout }: Outcome): string {
  return (stderr.trim() || stdout.trim()).split('\n').slice(-TAIL_LINES).join('\n');
}

export interface LaunchOptions {
  /** For stdout and stderr: captured, or the terminal's stderr. */
  readonly stdio: readonly ['pipe' | 2, 'pipe' | 2];
  /** Text for its stdin, which is empty otherwise. */
  readonly input?: string | undefined;
  /** In place of the guard's. */
  readonly limit?: number;
  readonly timeoutMs?: number;
  /** Kills the program, whose result is not needed any more. */
  readonly unless?: AbortSignal | undefined;
  readonly onStderr?: (bytes: Buffer) => void;
  readonly endedBy?: NodeJS.Signals | undefined;
}

/** Waits for a command. @throws failure where bash could not be started, InterruptedError for a signal to the task */
export async function settle(
  running: ProcessPromise,
  signals: Signals,
  { endedBy, onStderr, timeoutMs, unless }: Omit<LaunchOptions, 'stdio'>,
): Promise<Outcome> {
  const { child } = running;
  if (child === undefined) throw failure('bash could not be started', EXIT.failed, await running);
  let timedOut = false;
  const kill = () => {
    timedOut = true;
    killGroup(child, 'SIGKILL');
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(kill, timeoutMs);
  child.once('exit', () => clearTimeout(timer));
  unless?.addEventListener('abort', kill, { once: true });
  // A program that ends without reading all of its input is judged by its status.
  child.stdin?.on('error', () => undefined);
  if (onStderr !== undefined) child.stderr?.on('data', onStderr);
  closeWhenQuiet(child);
  try {
    const output = await signals.during(child, running, endedBy);
    if (output.cause instanceof Error) throw failure('bash could not be started', EXIT.failed, output);
    const signal = output.signal ?? undefined;
    const status = output.exitCode ?? (signal === undefined ? EXIT.failed : statusOfSignal(signal));
    return { status, signal, stdout: output.stdout, stderr: output.stderr, timedOut };
  } finally {
    clearTimeout(timer);
  }
}

/** Closes the output of a program after its end, once nothing comes: what it leaves running may hold it open for ever. */
function closeWhenQuiet(child: ChildProcess): void {
  const streams = [child.stdout, child.stderr].filter((stream) => stream instanceof Readable);
  let pieces = 0;
  for (const stream of streams) stream.on('data', () => pieces++);
  child.once('exit', async () => {
    for (let round = 0, seen = -1; seen !== pieces && round < QUIET_ROUNDS; round++) {
      seen = pieces;
      await sleep(QUIET_MS, undefined, { ref: false });
      // Timers come before input that has been waiting for as long.
      await nextTurn();
      await nextTurn();
    }
    for (const stream of streams) stream.destroy();
  });
}
