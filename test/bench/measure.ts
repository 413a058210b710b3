// SPDX-License-Identifier: Apache-2.0

/** Running and timing: a contestant's wall time, round by round, and the programs that it starts. */

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** A command to measure, with all that it depends on. */
export interface Contestant {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Paths below `cwd` that are removed before each run. */
  readonly removed: readonly string[];
}

/** Contestants that did not run to a good end, and what they said. */
export type Failures = Map<Contestant, string>;

/** Thrown when the user stops the benchmark. */
export class Stopped extends Error {}

/** A launch leaves a watcher behind for a moment, which the next contestant must not share the machine with. */
const SETTLE_MS = 200;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM'] as const;
let isStopped = false;

/** From now on a signal that ends the benchmark makes the run that is under way throw `Stopped`. */
export function listenForStop(): void {
  for (const signal of STOP_SIGNALS) process.on(signal, () => (isStopped = true));
}

/**
 * Runs each contestant once and keeps what it said.
 *
 * @returns those that failed; they should not be timed
 */
export async function tryAll(contestants: readonly Contestant[]): Promise<Failures> {
  const failures: Failures = new Map();
  for (const contestant of contestants) {
    reset(contestant);
    const [program, ...args] = contestant.argv;
    const result = spawnSync(program, args, { ...optionsOf(contestant), encoding: 'utf8' });
    await letSignalsIn(result.signal);
    if (result.status !== 0) failures.set(contestant, describe(result));
  }
  return failures;
}

/**
 * Times contestants in turn, one run each per round, so that a busy spell of the machine falls on all
 * of them.
 *
 * @returns the wall times in milliseconds of the rounds behind the warm-up, and those that failed meanwhile
 */
export async function timeInTurn(
  contestants: readonly Contestant[],
  rounds: { readonly warmUp: number; readonly counted: number },
): Promise<{ times: Map<Contestant, number[]>; failures: Failures }> {
  const times = new Map<Contestant, number[]>(contestants.map((contestant) => [contestant, []]));
  const failures: Failures = new Map();
  for (let round = 0; round < rounds.warmUp + rounds.counted; round++) {
    for (const contestant of inOrder(contestants, round)) {
      if (failures.has(contestant)) continue;
      const outcome = await timeOnce(contestant);
      if (typeof outcome === 'string') failures.set(contestant, outcome);
      else if (round >= rounds.warmUp) times.get(contestant)?.push(outcome);
      await setTimeout(SETTLE_MS);
    }
  }
  return { times, failures };
}

/**
 * The processor time of all programs that ran and ended below this process so far, in milliseconds;
 * `undefined` where the system does not tell. From `/proc/self/stat`, fields 16 and 17 (proc(5)), in ticks of 10 ms.
 */
export function childProcessorTime(): number | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // The second field is the program's name in parentheses, which may hold blanks.
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(13, 15);
    return (Number(user) + Number(system)) * 10;
  } catch {
    return undefined;
  }
}

/** The order of a round: all of them, each round beginning with another one, every other round backwards. */
export function inOrder<T>(all: readonly T[], round: number): T[] {
  const start = round % all.length;
  const order = [...all.slice(start), ...all.slice(0, start)];
  return round % 2 === 0 ? order : order.reverse();
}

/** One run: its wall time in milliseconds, or how it failed. */
async function timeOnce(contestant: Contestant): Promise<number | string> {
  reset(contestant);
  const [program, ...args] = contestant.argv;
  const options = { ...optionsOf(contestant), stdio: 'ignore' as const };
  const start = performance.now();
  const result = spawnSync(program, args, options);
  const time = performance.now() - start;
  await letSignalsIn(result.signal);
  return result.status === 0 ? time : describe(result);
}

/** Why programs cannot be counted here; `undefined` where they can. */
export function whyNoCounting(): string | undefined {
  const result = spawnSync('strace', ['-f', '-qq', '-e', 'trace=execve', '-o', '/dev/null', 'true']);
  if (result.error !== undefined) return 'strace is not on PATH';
  return result.status === 0 ? undefined : `strace cannot trace here: ${String(result.stderr).trim()}`;
}

/**
 * The programs that a contestant starts, itself included: successful execve calls.
 *
 * @param directory where the trace is written
 * @returns `undefined` where the run failed
 */
export async function countPrograms(contestant: Contestant, directory: string): Promise<number | undefined> {
  reset(contestant);
  const trace = join(directory, 'trace');
  const args = ['-f', '-qq', '-e', 'trace=execve', '-o', trace, '--', ...contestant.argv];
  const strace = spawnSync('strace', args, { ...optionsOf(contestant), stdio: 'ignore' });
  await letSignalsIn(strace.signal);
  return strace.status === 0 ? countExecve(readFileSync(trace, 'utf8')) : undefined;
}

/** Successful execve calls in strace's output; a call that another one interrupts ends on a line of its own. */
export function countExecve(trace: string): number {
  return trace.split('\n').filter((line) => /\bexecve\b.*\)\s+= 0$/.test(line)).length;
}

function optionsOf({ cwd, env }: Contestant) {
  return { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] };
}

function reset({ cwd, removed }: Contestant): void {
  for (const path of removed) rmSync(join(cwd, path), { recursive: true, force: true });
}

/** spawnSync keeps our own signal handlers waiting; here they run, and end the benchmark. */
async function letSignalsIn(signal: NodeJS.Signals | null): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (isStopped || STOP_SIGNALS.some((stop) => stop === signal)) throw new Stopped('stopped');
}

function describe(result: { status: number | null; signal: NodeJS.Signals | null; error?: Error; stderr: unknown }) {
  const how = result.error?.message ?? (result.signal === null ? `status ${result.status}` : result.signal);
  const said = String(result.stderr ?? '').trim();
  return said === '' ? how : `${how}: ${said.split('\n').slice(-5).join(' | ')}`;
}
