// SPDX-License-Identifier: Apache-2.0

/** Starts what the demo shows, passes its output on in a readable form, and keeps all of it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Terminal } from '../../../lib/cli/terminal.ts';
import { statusOfSignal } from '../../../lib/errors.ts';
import { killGroup, type Signals } from '../../../lib/process/signals.ts';

/** The soft limit of open files in a stock macOS shell. */
export const LOW_LIMIT = 256;

/** Longer lines are cut in the middle: the linker's command line alone has ten thousand characters. */
const SHOWN_MAX = 160;
const CRATES_PER_LINE = 100;
/** After this time without a line, one says that it goes on: a first link with zig makes parts of its C library. */
const SILENCE_MS = 15_000;
/** A signal that comes again within this time is the same one: npm passes on what the terminal has sent as well. */
const SAME_SIGNAL_MS = 1000;

export interface Ended {
  /** The exit status; 128+n for signal n. */
  readonly status: number;
  readonly stdout: string;
  /** Both streams, in the order in which they came. */
  readonly output: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly terminal: Terminal;
  readonly signals: Signals;
}

/**
 * Runs a program in a process group of its own and waits until it and its output have ended.
 * Its stderr is shown, line by line; its stdout is kept.
 *
 * @throws TaskError with 128+n when a signal has arrived; the program has cleaned up by then
 */
export async function runShown(program: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  options.signals.throwIfReceived();
  const start = performance.now();
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const kept: Record<'out' | 'all', string> = { out: '', all: '' };
  eachLine(child.stdout, (line) => {
    kept.out += `${line}\n`;
    kept.all += `${line}\n`;
  });
  const show = shownLines((text) => options.terminal.say(`  ${text}`));
  const heartbeat = setInterval(() => {
    options.terminal.say(`  (still at it after ${Math.round((performance.now() - start) / 1000)} s)`);
  }, SILENCE_MS);
  eachLine(child.stderr, (line) => {
    kept.all += `${line}\n`;
    heartbeat.refresh();
    show(line);
  });
  const stopPassing = passSignals(child);
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(code ?? statusOfSignal(signal ?? 'SIGKILL')));
    });
    options.signals.throwIfReceived();
    return { status, stdout: kept.out, output: kept.all, ms: performance.now() - start };
  } finally {
    clearInterval(heartbeat);
    stopPassing();
  }
}

/** Passes signals on to the group; the program is a task, which ends what it has started. */
function passSignals(child: ChildProcess): () => void {
  let last = Number.NEGATIVE_INFINITY;
  const pass = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (now - last > SAME_SIGNAL_MS) killGroup(child, signal);
    last = now;
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, pass);
  return () => {
    for (const signal of signals) process.off(signal, pass);
  };
}

function eachLine(stream: Readable, take: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', take);
}

/** Shows lines: the generated crates as a count, long lines cut. */
export function shownLines(write: (line: string) => void): (line: string) => void {
  let crates = 0;
  return (line) => {
    if (/^\s*Compiling wide-/.test(line)) {
      crates += 1;
      if (crates % CRATES_PER_LINE === 0) write(`   Compiling the generated crates: ${crates}`);
      return;
    }
    if (line.trim() !== '') write(shortened(line));
  };
}

/** The line with its middle left out where it is too long: what went wrong is at the end. */
export function shortened(line: string): string {
  if (line.length <= SHOWN_MAX) return line;
  const tail = Math.floor(SHOWN_MAX / 2);
  return `${line.slice(0, SHOWN_MAX - tail - 3)}...${line.slice(-tail)}`;
}
