// SPDX-License-Identifier: Apache-2.0

/**
 * The processes that come from one that was started here, and no others: its session and its descendants. One that was
 * seen stays known by its pid and start time, also when its parent has ended.
 */

import { basename } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { namesIn, textIn } from '../../fs/paths.ts';
import { cmd } from '../../process/command.ts';
import { statOf } from '../../process/identity.ts';
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

export type ProcessTree = ReturnType<typeof processTree>;

/** How this machine tells its processes. */
export function processReader(runner: Runner, platform: NodeJS.Platform, cwd: string): () => Promise<ProcessEntry[]> {
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

/** From that `ps`, without those that have ended. */
export function parsePs(output: string): ProcessEntry[] {
  const line = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+[^Z\s]\S*\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/gm;
  return [...output.matchAll(line)].map(([, pid, parent, group, start = '', command = '']) => {
    return { pid: Number(pid), parent: Number(parent), session: Number(group), start, command };
  });
}

/** The process that was started, whose pid is also its session, and those that come from it. */
export function processTree(root: number, read: () => Promise<readonly ProcessEntry[]>) {
  const known = new Set<string>();
  const keyOf = ({ pid, start }: ProcessEntry) => `${pid} ${start}`;
  let seen: readonly ProcessEntry[] = [];

  /** Those that run now. */
  async function look(): Promise<readonly ProcessEntry[]> {
    const table = await read();
    // Until nothing new is found: a child may come before its parent.
    for (let before = -1; before !== known.size; ) {
      before = known.size;
      const parents = new Set(table.filter((entry) => known.has(keyOf(entry))).map(({ pid }) => pid));
      for (const entry of table) {
        if (entry.session === root || parents.has(entry.parent)) known.add(keyOf(entry));
      }
    }
    seen = table.filter((entry) => known.has(keyOf(entry)));
    return seen;
  }

  /** Kills those that run, until none is left: one that is being killed may start another. */
  async function kill(): Promise<void> {
    const attempt = async () => {
      // An interrupted task starts no ps any more: those that were seen last have to do.
      const alive = await look().catch(() => undefined);
      for (const { pid } of alive ?? seen) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has just ended.
        }
      }
      return alive === undefined || alive.length === 0 ? true : undefined;
    };
    await poll(attempt, { intervalMs: POLL_MS, timeoutMs: KILL_TIMEOUT_MS });
  }

  return { look, kill };
}

/** Whether it is a program whose name begins so, or a script that an interpreter runs. */
export function isProgram({ command }: ProcessEntry, name: string): boolean {
  return command.split(' ', 2).some((argument) => basename(argument).startsWith(name));
}
