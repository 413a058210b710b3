// SPDX-License-Identifier: Apache-2.0

/**
 * The processes that come from one that was started here, and no others: its session and its descendants. A process that
 * was seen once stays known by its pid and start time, so one whose parent has ended is still ours, and another one that
 * gets its pid is not.
 */

import { basename } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { namesIn, textIn } from '../../fs/paths.ts';
import { cmd } from '../../process/command.ts';
import { isSameProcess, statOf } from '../../process/identity.ts';
import { poll } from '../../process/poll.ts';

const PROBE_TIMEOUT_MS = 10_000;
const POLL_MS = 100;
/** How long killed processes may take to be gone. */
const KILL_TIMEOUT_MS = 5000;

/** A process that runs. */
export interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Its session; where only `ps` tells, its process group. */
  readonly session: number;
  /** When it was started, in whatever unit. */
  readonly start: string;
  readonly command: string;
}

/** Reads all processes that run. */
export type ReadProcesses = () => Promise<readonly ProcessEntry[]>;

/** How this machine tells its processes. */
export function processReader(runner: Runner, platform: NodeJS.Platform, cwd: string): ReadProcesses {
  if (platform === 'linux') return async () => readProc();
  const command = cmd({ cwd, env: { LC_ALL: 'C' } })`ps -axo pid=,ppid=,pgid=,stat=,lstart=,command=`;
  return async () => {
    const result = await runner.probe(command, PROBE_TIMEOUT_MS);
    if (!result.ok) throw failure(`ps does not tell which processes run: ${result.reason}`);
    return parsePs(result.output);
  };
}

/** From `/proc` (proc(5)). */
export function readProc(proc = '/proc'): ProcessEntry[] {
  return namesIn(proc).flatMap((name) => {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid, proc) : undefined;
    if (stat === undefined || stat.hasEnded) return [];
    const { parent, session, startTicks: start = '' } = stat;
    const text = (file: string) => (textIn(`${proc}/${name}/${file}`) ?? '').replaceAll('\0', ' ').trim();
    return [{ pid, parent, session, start, command: text('cmdline') || text('comm') }];
  });
}

/** From `ps -axo pid=,ppid=,pgid=,stat=,lstart=,command=`. */
export function parsePs(output: string): ProcessEntry[] {
  // Without those that have ended.
  const line = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+[^Z\s]\S*\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/gm;
  return [...output.matchAll(line)].map(([, pid, parent, group, start = '', command = '']) => {
    return { pid: Number(pid), parent: Number(parent), session: Number(group), start, command };
  });
}

/** The process that was started, and those that come from it. */
export class ProcessTree {
  readonly #root: number;
  readonly #read: ReadProcesses;
  readonly #known = new Set<string>();
  /** Those that ran at the last look. */
  #seen: readonly ProcessEntry[] = [];
  /** The process with the pid of the root at the first look: while it runs, its session is ours. */
  #leader: string | undefined;

  /** @param root its pid, which is also its session; the first look has to come before it can have been reaped */
  constructor(root: number, read: ReadProcesses) {
    this.#root = root;
    this.#read = read;
  }

  /** Those that run now. */
  async look(): Promise<readonly ProcessEntry[]> {
    const table = await this.#read();
    const leader = table.find(({ pid }) => pid === this.#root);
    this.#leader ??= leader === undefined ? '' : keyOf(leader);
    const hasSession = leader !== undefined && keyOf(leader) === this.#leader;
    // Until nothing new is found: a child may come before its parent.
    for (let before = -1; before !== this.#known.size; ) {
      before = this.#known.size;
      const parents = new Set(table.filter((entry) => this.#known.has(keyOf(entry))).map(({ pid }) => pid));
      for (const entry of table) {
        const isMember = hasSession && entry.session === this.#root;
        if (isMember || parents.has(entry.parent)) this.#known.add(keyOf(entry));
      }
    }
    this.#seen = table.filter((entry) => this.#known.has(keyOf(entry)));
    return this.#seen;
  }

  /** Kills those that run, until none is left: one that is being killed may start another. */
  async kill(): Promise<void> {
    const attempt = async () => {
      // An interrupted task starts no ps any more: those that were seen last have to do.
      const alive = await this.look().catch(() => undefined);
      for (const entry of alive ?? this.#seen) killProcess(entry);
      return alive === undefined || alive.length === 0 ? true : undefined;
    };
    await poll(attempt, { intervalMs: POLL_MS, timeoutMs: KILL_TIMEOUT_MS });
  }
}

function keyOf({ pid, start }: ProcessEntry): string {
  return `${pid} ${start}`;
}

/** Kills it, and not another process that has got its pid in between. */
export function killProcess({ pid, start }: ProcessEntry): void {
  // What ps says of a start is no number that could be compared.
  const startTicks = /^\d+$/.test(start) ? start : undefined;
  if (!isSameProcess({ pid, startTicks })) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** Whether it is a program whose name begins so, or a script that an interpreter runs. */
export function isProgram({ command }: ProcessEntry, name: string): boolean {
  const [program = '', script = ''] = command.split(' ');
  return [program, script].some((argument) => basename(argument).startsWith(name));
}

/** A process for users: `pid 42: gvproxy -listen ...`. */
export function processText({ command, pid }: ProcessEntry): string {
  return `pid ${pid}: ${command}`;
}
