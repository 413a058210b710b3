// SPDX-License-Identifier: Apache-2.0

/**
 * Processes as the system knows them. Node gives every signal its default action before our first line runs, and raises
 * its soft limit of open files to the hard one (nodejs/node#51072), which children inherit. What the user has set is
 * seen at the nearest ancestor that is not Node (npm and npx are Node programs).
 */

import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { errnoOf } from '../errors.ts';
import { namesIn, textIn } from '../fs/paths.ts';

/** Pids are used again, a pid with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The start in clock ticks since boot, where `/proc` tells. */
  readonly startTicks?: string | undefined;
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, startTicks: statOf(process.pid)?.startTicks };
}

/** In which pids mean what they mean here (pid_namespaces(7)); `undefined` on systems without them. */
export function pidNamespace(): string | undefined {
  return targetOf('/proc/self/ns/pid');
}

/** Whether the process that was recorded still runs. Without `/proc`, an existing pid is taken for it. */
export function isSameProcess(recorded: ProcessIdentity): boolean {
  const now = statOf(recorded.pid);
  if (now === undefined) return isAlive(recorded.pid);
  return !now.hasEnded && (recorded.startTicks === undefined || recorded.startTicks === now.startTicks);
}

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
  const stats = namesIn('/proc').flatMap((name) => (/^[0-9]+$/.test(name) ? [statOf(Number(name))] : []));
  // Without /proc the kernel's word has to do.
  return stats.length === 0 || stats.some((stat) => stat?.group === group && !stat.hasEnded);
}

/** What `/proc/PID/stat` says (proc_pid_stat(5)): the name in parentheses may hold blanks, so fields count from after it. */
export function statOf(pid: number, proc = '/proc') {
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

/** Whether SIGHUP was ignored before Node started (`nohup`); never where `/proc` does not tell (macOS). */
export function isHangupIgnored(parent: number = process.ppid, proc = '/proc'): boolean {
  // The last bit of the mask.
  const isIgnored = /^SigIgn:.*[13579bdf]$/m.test(textIn(`${proc}/${shellOf(parent, proc)}/status`) ?? '');
  // GNU's nohup is replaced by what it runs. It leaves a stdin that can only be written to, unlike anything else.
  return isIgnored || /^flags:.*[15]$/m.test(textIn(`${proc}/self/fdinfo/0`) ?? '');
}

/** Counts of open files; `Infinity` is unlimited, `undefined` not readable. */
export interface Limits {
  readonly soft: number | undefined;
  readonly hard: number | undefined;
}

export function ownLimits(platform: NodeJS.Platform = process.platform): Limits {
  if (platform === 'linux') return limitsOfProcess('self');
  // The report looks up the names of open connections unless told not to.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown; hard?: unknown } } };
  const { soft, hard } = report.userLimits?.open_files ?? {};
  return { soft: limitOf(String(soft)), hard: limitOf(String(hard)) };
}

/** The soft limit of the user's shell; `undefined` where `/proc` does not tell (macOS). */
export function shellSoftLimit(proc = '/proc', pid: number = process.ppid): number | undefined {
  return limitsOfProcess(String(shellOf(pid, proc)), proc).soft;
}

export function limitsOfProcess(pid: string, proc = '/proc'): Limits {
  const line = /^Max open files +(\S+) +(\S+)/m.exec(textIn(`${proc}/${pid}/limits`) ?? '');
  return { soft: limitOf(line?.[1]), hard: limitOf(line?.[2]) };
}

function limitOf(text = ''): number | undefined {
  if (text === 'unlimited') return Number.POSITIVE_INFINITY;
  return /^[0-9]+$/.test(text) ? Number(text) : undefined;
}

/** The pid of the nearest ancestor whose program is not Node; `undefined` where `/proc` does not tell. */
function shellOf(pid: number, proc: string): number | undefined {
  const program = targetOf(`${proc}/${pid}/exe`);
  if (program === undefined || !basename(program).startsWith('node')) return program === undefined ? undefined : pid;
  return shellOf(statOf(pid, proc)?.parent ?? 0, proc);
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
