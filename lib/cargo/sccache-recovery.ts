// SPDX-License-Identifier: Apache-2.0

/** When a compiler wrapper (sccache) fails, and not the build: how that is recognised, and what is tried next. */

import { basename } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { type Environment, textOf } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { oneLine } from '../errors.ts';
import { type Command, cmd } from '../process/command.ts';
import type { Outcome, ProbeResult } from '../process/result.ts';

/** A line of source in a message of the compiler. */
const QUOTED = /^\s*(?:\d+ +[|~+-] |\|)/;
const MARKS = [/Too many open files/, /os error 24\b/, /sccache: encountered fatal error/, /^\s*sccache: error:/];

/** How long sccache's server may take to stop or to start. */
export const SERVER_TIMEOUT_MS = 15_000;

/** Whether a line is the wrapper's own failure. */
export function isWrapperFailure(line: string): boolean {
  // Colour codes may stand before the mark, and below `Caused by:` cargo indents it.
  const text = stripVTControlCharacters(line);
  return !QUOTED.test(text) && MARKS.some((mark) => mark.test(text));
}

/** Watches output that arrives in pieces. */
export class WrapperWatch {
  #rest = '';
  #seen = false;

  add(text: string): void {
    const lines = (this.#rest + text).split(/[\r\n]/);
    this.#rest = lines.pop() ?? '';
    this.#seen ||= lines.some(isWrapperFailure);
  }

  /** The unfinished last line included. */
  get failed(): boolean {
    return this.#seen || isWrapperFailure(this.#rest);
  }
}

export function isSccache(wrapper: string): boolean {
  return basename(wrapper).replace(/\.exe$/, '') === 'sccache';
}

/** How `withRecovery` acts: the runner starts programs. */
export interface RecoveryEffects {
  /** The soft limit of open files that `callServer` runs a command under. */
  readonly serverLimit: number;
  /** The wrapper that the command would compile through; `undefined` for none. */
  wrapperOf(command: Command): string | undefined;
  /** Runs the command; `watch` sees what it prints on stderr. */
  start(command: Command, watch: WrapperWatch | undefined): Promise<Outcome>;
  callServer(command: Command): Promise<ProbeResult>;
  warn(text: string): void;
}

/**
 * Runs a cargo command; after a failure of its wrapper again with a fresh server, and then a last time without the
 * wrapper. Any other failure is final.
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
  if (isSccache(wrapper) && (await restartServer(wrapper, command, effects))) {
    // Cargo keeps the results of its probes of the compiler, those of a broken wrapper too.
    const second = await attempt({ CARGO_CACHE_RUSTC_INFO: '0' });
    if (second.isFinal) return second.outcome;
  }
  effects.warn(`${wrapper} failed, not the build; trying again without it`);
  // Empty, unlike absent, also overrides cargo's configuration files.
  const env = { ...command.env, RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined };
  return effects.start({ ...command, env }, undefined);
}

/** Restarts sccache's server, which keeps the limit that it was started under; `false`, and why, where none runs then. */
async function restartServer(
  wrapper: string,
  { argv: _, ...place }: Command,
  { callServer, serverLimit, warn }: RecoveryEffects,
): Promise<boolean> {
  warn(`${wrapper} failed, not the build; restarting its server under ${serverLimit} open files`);
  // A server that is not running, or has too few files to respond, cannot be stopped; only the start decides.
  await callServer(cmd(place)`${wrapper} --stop-server`);
  const started = await callServer(cmd(place)`${wrapper} --start-server`);
  if (!started.ok) warn(`the ${wrapper} server could not be restarted: ${oneLine(started.reason)}`);
  return started.ok;
}

/** What makes cargo write as it would to the terminal although its output, which is watched, goes through a pipe. */
export function cargoTermEnv(terminal: Terminal, env: Environment): Environment {
  if (!terminal.isInteractive) return {};
  return {
    CARGO_TERM_COLOR: textOf(env, 'CARGO_TERM_COLOR') ?? (terminal.isColoured ? 'always' : 'never'),
    CARGO_TERM_PROGRESS_WHEN: textOf(env, 'CARGO_TERM_PROGRESS_WHEN') ?? 'always',
    CARGO_TERM_PROGRESS_WIDTH: textOf(env, 'CARGO_TERM_PROGRESS_WIDTH') ?? String(terminal.columns),
  };
}
