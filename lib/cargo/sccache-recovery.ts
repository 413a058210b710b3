// SPDX-License-Identifier: Apache-2.0

/**
 * When a compiler wrapper (sccache) fails, and not the build: how that is recognised, and what is tried next. The
 * runner passes in how programs are started.
 */

import { basename } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Environment } from '../cli/env.ts';
import { oneLine } from '../errors.ts';
import type { Command } from '../process/command.ts';
import type { Outcome, ProbeResult } from '../process/result.ts';

/** A line of source in a message of the compiler. */
const QUOTED = /^\s*(?:\d+ +[|~+-] |\|)/;
const MARKS = [/Too many open files/, /os error 24\b/, /sccache: encountered fatal error/, /^\s*sccache: error:/];

/** How long sccache's server may take to stop or to start. */
export const SERVER_TIMEOUT_MS = 15_000;

/** Whether a line of cargo's output is the wrapper's own failure rather than the compiler's. */
export function isWrapperFailure(line: string): boolean {
  // Colour codes may stand before the mark, and below `Caused by:` cargo indents it.
  const text = stripVTControlCharacters(line);
  return !QUOTED.test(text) && MARKS.some((mark) => mark.test(text));
}

/** Watches output that arrives in pieces, line by line. */
export class WrapperWatch {
  #rest = '';
  #seen = false;

  add(text: string): void {
    const lines = (this.#rest + text).split(/[\r\n]/);
    this.#rest = lines.pop() ?? '';
    this.#seen ||= lines.some(isWrapperFailure);
  }

  /** Whether the wrapper has failed, the unfinished last line included. */
  get failed(): boolean {
    return this.#seen || isWrapperFailure(this.#rest);
  }
}

export function isSccache(wrapper: string): boolean {
  return basename(wrapper).replace(/\.exe$/, '') === 'sccache';
}

/**
 * Restarts sccache's server, which keeps the limit that it was started under.
 * @param limit the soft limit that `call` starts it under, for users
 * @param call runs the wrapper with one flag
 * @returns whether a new server runs; where none does, the reason was printed
 */
export async function restartServer(
  wrapper: string,
  limit: number,
  call: (flag: string) => Promise<ProbeResult>,
  warn: (text: string) => void,
): Promise<boolean> {
  warn(`${wrapper} failed, not the build; restarting its server under ${limit} open files`);
  // A server that is not running, or has too few files to respond, cannot be stopped; only the start decides.
  const stopped = await call('--stop-server');
  const started = await call('--start-server');
  if (started.ok) return true;
  const reasons = [stopped, started].flatMap((result) => (result.ok ? [] : [oneLine(result.reason)]));
  warn(`the ${wrapper} server could not be restarted: ${reasons.join('; ')}`);
  return false;
}

/** How `withRecovery` acts. */
export interface RecoveryEffects {
  /** The wrapper that the command would compile through; `undefined` for none. */
  wrapperOf(command: Command): string | undefined;
  /** Runs the command; `watch` sees what it prints on stderr. */
  start(command: Command, watch: WrapperWatch | undefined): Promise<Outcome>;
  /** Restarts the wrapper's server, see `restartServer`. */
  restartServer(wrapper: string, like: Command): Promise<boolean>;
  warn(text: string): void;
}

/**
 * Runs a cargo command; after a failure of its wrapper again with a fresh server, and then a last time without the
 * wrapper. Any other failure is final.
 * @returns the outcome of the last attempt
 */
export async function withRecovery(command: Command, effects: RecoveryEffects): Promise<Outcome> {
  const wrapper = effects.wrapperOf(command);
  if (wrapper === undefined) return effects.start(command, undefined);
  const attempt = async (env: Environment = {}) => {
    const watch = new WrapperWatch();
    const outcome = await effects.start({ ...command, env: { ...command.env, ...env } }, watch);
    return { outcome, isFinal: outcome.status === 0 || !watch.failed };
  };
  const first = await attempt();
  if (first.isFinal) return first.outcome;
  if (isSccache(wrapper) && (await effects.restartServer(wrapper, command))) {
    // Cargo keeps the results of its probes of the compiler, those of a broken wrapper too.
    const second = await attempt({ CARGO_CACHE_RUSTC_INFO: '0' });
    if (second.isFinal) return second.outcome;
  }
  effects.warn(`${wrapper} failed, not the build; trying again without it`);
  // Empty, unlike absent, also overrides cargo's configuration files.
  const env = { ...command.env, RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined };
  return effects.start({ ...command, env }, undefined);
}
