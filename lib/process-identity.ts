// SPDX-License-Identifier: Apache-2.0

/** Which process a pid means: pids are used again, a pid with its start time is not. */

import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** The start in clock ticks since boot, where `/proc` tells (field 22 of proc_pid_stat(5)). */
  readonly startTicks?: string | undefined;
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, startTicks: statOf(process.pid)?.startTicks };
}

/** Whether the process that was recorded still runs. Without `/proc`, an existing pid is taken for it. */
export function isSameProcess(recorded: ProcessIdentity): boolean {
  const now = statOf(recorded.pid);
  if (now === undefined) return isAlive(recorded.pid);
  const hasEnded = now.state === 'Z' || now.state === 'X';
  return !hasEnded && (recorded.startTicks === undefined || recorded.startTicks === now.startTicks);
}

/** Whether a process with this pid exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function statOf(pid: number): { state: string | undefined; startTicks: string | undefined } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold blanks; the state is the first field behind it, the start the 20th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], startTicks: fields[19] };
  } catch {
    return undefined;
  }
}
