// SPDX-License-Identifier: Apache-2.0

/** What the user sees: results on stdout; progress, echo and reports on stderr; one line of the caller is one line there. */

import { createInterface } from 'node:readline/promises';
import { errnoOf, named, oneLine } from '../errors.ts';
import type { Signals } from '../process/signals.ts';
import type { Environment } from './env.ts';

export interface Sink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string | Uint8Array): unknown;
}

/** The colours of marked lines: bold, green, yellow, red. */
const MARKS = { heading: '1', ok: '32', note: '33', bad: '1;31' } as const;

export class Terminal {
  readonly #out: Sink;
  readonly #err: Sink;
  /** Whether `passing` shows anything: a terminal that understands escape sequences. */
  readonly hasPassing: boolean;
  readonly #hasColour: boolean;
  readonly #timings: string[] = [];
  #depth = 0;
  #isPassing = false;
  #beginning: () => readonly string[] = () => [];
  readonly isInteractive: boolean;
  readonly isColoured: boolean;

  /** @param env `NO_COLOR` (https://no-color.org) and `TERM=dumb` turn colour off */
  constructor(out: Sink, err: Sink, env: Environment) {
    this.#out = out;
    this.#err = err;
    this.isInteractive = err.isTTY === true;
    this.hasPassing = this.isInteractive && env.TERM !== 'dumb';
    this.#hasColour = env.TERM !== 'dumb' && (env.NO_COLOR ?? '') === '';
    this.isColoured = this.hasPassing && this.#hasColour;
  }

  /** The width of the terminal; 80 where it is unknown (some terminals say 0). */
  get columns(): number {
    return this.#err.columns || 80;
  }

  result(...lines: readonly string[]): void {
    const all = [...this.#beginning(), ...lines];
    this.#beginning = () => [];
    for (const line of all) this.#out.write(`${oneLine(line)}\n`);
  }

  /** Puts lines before the result, known when its first line is. */
  beginResult(lines: () => readonly string[]): void {
    this.#beginning = lines;
  }

  /** The width of the result's lines; without end where no terminal shows them. */
  get resultColumns(): number {
    return this.#out.isTTY === true ? this.#out.columns || 80 : Number.POSITIVE_INFINITY;
  }

  /** A line of the result that begins with a word in the colour of its kind. */
  marked(kind: keyof typeof MARKS, word: string, rest = ''): void {
    const isColoured = this.#out.isTTY === true && this.#hasColour;
    const head = isColoured ? `\u001b[${MARKS[kind]}m${oneLine(word)}\u001b[0m` : oneLine(word);
    this.#out.write(`${head}${oneLine(rest)}\n`);
  }

  say(text: string): void {
    this.#line(oneLine(text));
  }

  echo(text: string): void {
    this.#line(this.#paint('2', `$ ${oneLine(text)}`));
  }

  warn(text: string): void {
    this.#line(`${this.#paint('1;33', 'warning:')} ${oneLine(text)}`);
  }

  error(text: string): void {
    // The progress bar of a program that was stopped may still be on this line.
    this.#isPassing = this.hasPassing;
    this.#line(`${this.#paint('1;31', 'error:')} ${oneLine(text)}`);
  }

  /** A line that the next line takes the place of: progress, where `hasPassing`. */
  passing(text: string): void {
    if (!this.hasPassing) return;
    this.#err.write(`\r\u001b[K${[...oneLine(text)].slice(0, this.columns - 1).join('')}`);
    this.#isPassing = true;
  }

  pass(bytes: Uint8Array): void {
    this.#err.write(bytes);
  }

  /** Runs a part of the task under a heading; unless it is inside another section, `timings` has its time. */
  async section<T>(title: string, body: () => Promise<T>, heading: string = title): Promise<T> {
    this.#line(this.#paint('1', `==> ${oneLine(heading)}`));
    const start = performance.now();
    this.#depth++;
    try {
      return await body();
    } finally {
      this.#depth--;
      if (this.#depth === 0) this.#timings.push(`${title} ${seconds(performance.now() - start)}`);
    }
  }

  timings(): string {
    return this.#timings.join(', ');
  }

  #line(text: string): void {
    const fresh = this.#isPassing ? '\r\u001b[K' : '';
    this.#isPassing = false;
    this.#err.write(`${fresh}${text}\n`);
  }

  #paint(code: string, text: string): string {
    return this.isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** A duration in milliseconds as seconds for users: `0.03 s`, `12.3 s`, `2 min 5 s`. */
export function seconds(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A stream of the task. What cannot be written to it, as on a full device, ends the task. */
export class Output implements Sink {
  readonly #stream: NodeJS.WriteStream;
  readonly #name: string;
  #failure: Error | null = null;

  /** @param name takes the place of the path in an error */
  constructor(stream: NodeJS.WriteStream, name: string) {
    this.#stream = stream;
    this.#name = name;
    stream.on('error', (error) => (this.#failure ??= error));
  }

  get isTTY(): boolean {
    return this.#stream.isTTY;
  }

  get columns(): number {
    return this.#stream.columns;
  }

  /** @throws the system's error of this write, where it is known at once, or of an earlier one */
  write(text: string | Uint8Array): void {
    this.throwIfFailed();
    this.#stream.write(text);
    this.#failure ??= this.#stream.errored;
    this.throwIfFailed();
  }

  throwIfFailed(): void {
    const gone = this.#stream.isTTY ? 'EIO' : 'EPIPE';
    // A reader that has seen enough (`| head`) is not an error, and neither is a terminal that was closed (EIO): where
    // that has to end the task, a signal says so.
    if (this.#failure !== null && errnoOf(this.#failure) !== gone) throw named(this.#name, this.#failure);
  }
}

/** Waits until it is known whether all has been written. @throws the system's error of the first stream that has one */
export async function settled(...outputs: readonly Output[]): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  for (const output of outputs) output.throwIfFailed();
}

/** Whether there is a terminal for a question and for its response. */
export function canConfirm({ isInteractive }: Terminal): boolean {
  return process.stdin.isTTY === true && isInteractive;
}

/** Whether the user types `y` or `yes`; the end of the input is no. @throws InterruptedError for a signal */
export async function confirm({ signals }: { readonly signals: Signals }, question: string): Promise<boolean> {
  // Without `terminal` the keys of the terminal still send their signals.
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  const typed = lines.question(`${oneLine(question)} [y/N] `, { signal: signals.aborted }).catch(() => '');
  const text = await Promise.race([typed, ended]);
  lines.close();
  signals.throwIfReceived();
  return /^y(es)?$/i.test(text.trim());
}
