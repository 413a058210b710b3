// SPDX-License-Identifier: Apache-2.0

/** Which process a pid means, and whether it runs: pids are used again, a pid with its start time is not. */

import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { errnoOf } from '../errors.ts';
import { namesIn, textIn } from '../fs/paths.ts';

const ANCESTORS_MAX = 64;

export interface ProcessIdentity {
  readonly pid: number;
  /** The start in clock ticks since boot, where `/proc` tells (field 22 of proc_pid_stat(5)). */
  readonly startTicks?: string | undefined;
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, startTicks: statOf(process.pid)?.startTicks };
}

/** In which pids mean what they mean here (pid_namespaces(7)); `undefined` on systems without them. */
export function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

/** Whether the process that was recorded still runs. Without `/proc`, an existing pid is taken for it. */
export function isSameProcess(recorded: ProcessIdentity): boolean {
  const now = statOf(recorded.pid);
  if (now === undefined) return isAlive(recorded.pid);
  return !now.hasEnded && (recorded.startTicks === undefined || recorded.startTicks === now.startTicks);
}

/** Whether a process with this pid exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and belongs to another user.
    return errnoOf(error) === 'EPERM';
  }
}

/** Whether a process group has a member that runs; a zombie, which waits for its parent to look, does not. */
export function isGroupAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch {
    // ESRCH: no member is left. EPERM is what macOS gives for our own group when only zombies are.
    return false;
  }
  const pids = namesIn('/proc').filter((name) => /^[0-9]+$/.test(name));
  // Without /proc the kernel's word has to do.
  if (pids.length === 0) return true;
  return pids.some((pid) => {
    const stat = statOf(Number(pid));
    return stat?.group === group && !stat.hasEnded;
  });
}

/**
 * The nearest ancestor whose program is not Node (npm and npx are Node programs): what the user started the task from.
 * @returns its pid; `undefined` where `/proc` does not tell
 */
export function shellOf(parent: number = process.ppid, proc = '/proc'): number | undefined {
  for (let at = parent, steps = 0; at > 0 && steps < ANCESTORS_MAX; steps++) {
    const program = programOf(at, proc);
    if (program === undefined) return undefined;
    if (!program.startsWith('node')) return at;
    at = statOf(at, proc)?.parent ?? 0;
  }
  return undefined;
}

function programOf(pid: number, proc: string): string | undefined {
  try {
    return basename(readlinkSync(`${proc}/${pid}/exe`));
  } catch {
    return undefined;
  }
}

/** What `/proc` says of a process (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly hasEnded: boolean;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTicks: string | undefined;
}

/** Reads `/proc/PID/stat`: the name in parentheses may hold blanks, so fields count from after it. */
export function statOf(pid: number, proc = '/proc'): ProcessStat | undefined {
  const stat = textIn(`${proc}/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    hasEnded: fields[0] === 'Z' || fields[0] === 'X',
    parent: Number(fields[1] ?? 0),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: fields[19],
  };
}
