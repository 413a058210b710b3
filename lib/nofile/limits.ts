// SPDX-License-Identifier: Apache-2.0

/**
 * The open-file limits of this machine, as read.
 *
 * Node raises its own soft limit to the hard one before our first line runs
 * (https://github.com/nodejs/node/issues/51072), and children inherit that. So a child's limit is not the one of the
 * user's shell; that one stands at the nearest ancestor that is neither Node nor npm (npm is a Node program).
 */

import { textIn } from '../fs/paths.ts';
import { shellOf } from '../process/identity.ts';

/** Counts of open files; `Infinity` is unlimited, `undefined` not readable. */
export interface Limits {
  readonly soft: number | undefined;
  readonly hard: number | undefined;
}

/** The limits of this process, which a child inherits. */
export function ownLimits(platform: NodeJS.Platform = process.platform): Limits {
  if (platform === 'linux') return limitsOfProcess('self');
  // The report looks up the names of open connections unless told not to.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown; hard?: unknown } } };
  const { soft, hard } = report.userLimits?.open_files ?? {};
  return { soft: limitOf(String(soft)), hard: limitOf(String(hard)) };
}

/**
 * The soft limit of the user's shell: that of the nearest ancestor whose program is not Node. `undefined` where `/proc`
 * does not tell (macOS). Where the hard limit is another one, this task was given limits of its own (systemd, prlimit): then
 * that one, because Node has replaced the soft one.
 */
export function shellSoftLimit(proc = '/proc', pid: number = process.ppid): number | undefined {
  const shell = shellOf(pid, proc);
  if (shell === undefined) return undefined;
  const { soft, hard } = limitsOfProcess(String(shell), proc);
  const { hard: own } = limitsOfProcess('self', proc);
  return own === undefined || own === hard ? soft : own;
}

/** The limits of a process, from `/proc`. */
export function limitsOfProcess(pid: string, proc = '/proc'): Limits {
  const line = /^Max open files +(\S+) +(\S+)/m.exec(textIn(`${proc}/${pid}/limits`) ?? '');
  return { soft: limitOf(line?.[1] ?? ''), hard: limitOf(line?.[2] ?? '') };
}

function limitOf(text: string): number | undefined {
  if (text === 'unlimited') return Number.POSITIVE_INFINITY;
  return /^[0-9]+$/.test(text) ? Number(text) : undefined;
}
