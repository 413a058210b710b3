// SPDX-License-Identifier: Apache-2.0

/**
 * When a compiler wrapper (sccache) fails, and not the build: recognising it, and what to try
 * next. Nothing is started here; the runner passes in how.
 */

import { basename } from 'node:path';
import { oneLine } from '../errors.ts';
import type { Command } from '../process/command.ts';
import type { Outcome, ProbeResult } from '../process/result.ts';

const MARKS = [/Too many open files/, /os error 24\b/, /sccache: encountered fatal error/, /^sccache: error:/];

/** Whether a line of cargo's output is the wrapper's own failure rather than the compiler's. */
export function isWrapperFailure(line: string): boolean {
  return MARKS.some((mark) => mark.test(line));
}

/** Watches output that arrives in pieces, line by line. */
export class WrapperWatch {
  #rest = '';
  #seen = false;

  add(text: string): void {
    const lines = (this.#rest + text).split(/[\r\n]/);
    this.#rest = lines.pop() ?? '';
    // Colour codes may stand before the mark.
    if (!this.#seen) this.#seen = lines.some((line) => isWrapperFailure(withoutColour(line)));
  }

  /** Whether the wrapper has failed, the unfinished last line included. */
  get failed(): boolean {
    return this.#seen || isWrapperFailure(withoutColour(this.#rest));
  }
}

function withoutColour(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences start with one
  return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, '');
}

/** The way a cargo run was started. */
export type Attempt = 'plain' | 'after-restart' | 'without-wrapper';

/**
 * What to try after a wrapper's failure; `undefined` when there is nothing left.
 *
 * @param wrapper the value of `RUSTC_WRAPPER`
 */
export function nextAttempt(failed: Attempt, wrapper: string): Exclude<Attempt, 'plain'> | undefined {
  if (failed === 'without-wrapper') return undefined;
  return failed === 'plain' && isSccache(wrapper) ? 'after-restart' : 'without-wrapper';
}

/** Whether a wrapper is sccache, whose server keeps the limit that it was started under. */
export function isSccache(wrapper: string): boolean {
  return basename(wrapper).replace(/\.exe$/, '') === 'sccache';
}

/**
 * Restarts sccache's server: one keeps the limit that it was started under.
 *
 * @param limit the soft limit that `ask` starts it under, for users
 * @param ask runs the wrapper with one flag
 * @returns whether a new server runs; why not was said
 */
export async function restartServer(
  wrapper: string,
  limit: number,
  ask: (flag: string) => Promise<ProbeResult>,
  warn: (text: string) => void,
): Promise<boolean> {
  warn(`${wrapper} failed, not the build; restarting its server under ${limit} open files`);
  // A server that is not running, or too short of files to answer, cannot be stopped; starting tells.
  const stopped = await ask('--stop-server');
  const started = await ask('--start-server');
  if (started.ok) return true;
  const reasons = [stopped, started].flatMap((answer) => (answer.ok ? [] : [oneLine(answer.reason)]));
  warn(`the ${wrapper} server could not be restarted: ${reasons.join('; ')}`);
  return false;
}

/** What the runner lends to `withRecovery`. */
export interface RecoveryEffects {
  /** The wrapper that the command would compile through; `undefined` for none. */
  wrapperOf(value: Command): string | undefined;
  /** Runs the command; `watch` sees what it says on stderr. */
  start(value: Command, watch: WrapperWatch | undefined): Promise<Outcome>;
  /** Restarts the wrapper's server under the wanted limit; says so, and why when it cannot. */
  restartServer(wrapper: string, like: Command): Promise<boolean>;
  warn(text: string): void;
}

/**
 * Runs a cargo command; after a failure of its wrapper once more with a fresh server, then once
 * more without the wrapper. Any other failure is final.
 *
 * @returns the outcome of the last attempt
 */
export async function withRecovery(value: Command, effects: RecoveryEffects): Promise<Outcome> {
  let current = value;
  for (let attempt: Attempt = 'plain'; ; ) {
    const wrapper: string | undefined = attempt === 'without-wrapper' ? undefined : effects.wrapperOf(current);
    const watch = wrapper === undefined ? undefined : new WrapperWatch();
    const outcome = await effects.start(current, watch);
    if (outcome.status === 0 || wrapper === undefined || watch?.failed !== true) return outcome;
    const next = nextAttempt(attempt, wrapper);
    if (next === undefined) return outcome;
    attempt = next === 'after-restart' && !(await effects.restartServer(wrapper, current)) ? 'without-wrapper' : next;
    if (attempt === 'without-wrapper') {
      effects.warn(`${wrapper} failed, not the build; trying once more without it`);
      // Empty, unlike absent, also overrides cargo's configuration files.
      current = { ...current, env: { ...current.env, RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined } };
    }
  }
}
