// SPDX-License-Identifier: Apache-2.0

/** How a command ended, and the one line that says so. */

import { seconds } from '../cli/terminal.ts';
import { EXIT, failure, oneLine, type TaskError } from '../errors.ts';
import { argvText, type Command } from './command.ts';

const TAIL_LINES = 20;

export interface Outcome {
  /** The exit status; 128+n for signal n. */
  readonly status: number;
  readonly signal: NodeJS.Signals | undefined;
  /** What was captured; empty where the terminal had it. */
  readonly stdout: string;
  readonly stderr: string;
  /** The time limit was over, and the command was killed. */
  readonly timedOut: boolean;
}

/**
 * The result of a probe: the output without the line breaks at its end, or the reason why there is none, with the status
 * of a program that ended by itself.
 */
export type ProbeResult =
  | { readonly ok: true; readonly output: string }
  | { readonly ok: false; readonly reason: string; readonly status?: number; readonly timedOut?: true };

/**
 * The result of a probe from the outcome of its command.
 * @param timeoutMs how long it had
 */
export function probeResult(value: Command, outcome: Outcome, timeoutMs: number): ProbeResult {
  if (outcome.timedOut) {
    return { ok: false, reason: `no response from ${argvText(value)} within ${seconds(timeoutMs)}`, timedOut: true };
  }
  if (outcome.status === 0) return { ok: true, output: trimmed(outcome.stdout) };
  return { ok: false, reason: outcomeTail(outcome) || `status ${outcome.status}`, status: outcome.status };
}

/** The error for a command that failed: what, how, where, and its last lines unless the user has seen them. */
export function commandFailed(value: Command, outcome: Outcome): TaskError {
  const said = outcomeTail(outcome);
  const detail = said === '' || value.secret ? '' : `: ${oneLine(said)}`;
  return failure(`${argvText(value)} ${howItEnded(value, outcome)} in ${value.cwd}${detail}`, outcome.status);
}

function howItEnded(value: Command, outcome: Outcome): string {
  if (outcome.signal !== undefined) return `was ended by ${outcome.signal}`;
  if (outcome.status === EXIT.vanished) return `was not found (${value.argv[0]})`;
  return `failed with status ${outcome.status}`;
}

/** Output without the line breaks at its end, as `$(...)` gives it. */
export function trimmed(output: string): string {
  return output.replace(/\n+$/, '');
}

/** The last lines that a command printed, on stderr where there are any. */
export function outcomeTail(outcome: Outcome): string {
  const text = outcome.stderr.trim() || outcome.stdout.trim();
  return text.split('\n').slice(-TAIL_LINES).join('\n');
}
