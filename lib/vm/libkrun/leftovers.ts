// SPDX-License-Identifier: Apache-2.0

/**
 * What a build that is killed outright leaves running: its git, make or cargo goes on in the files of the next build.
 * They are known by a variable that only they have, and by where they work: a compiler's server, which a build may start
 * and which outlives it rightly, works elsewhere. Only Linux tells both of a process.
 */

import { readlinkSync } from 'node:fs';
import type { Terminal } from '../../cli/terminal.ts';
import { failure, oneLine } from '../../errors.ts';
import { poll } from '../../process/poll.ts';
import { killProcess, type ProcessEntry, processText, readProc } from '../orphans/processes.ts';

const VARIABLE = 'OPENSHELL_TASKS_LIBKRUN_BUILD';
const POLL_MS = 100;
const TIMEOUT_MS = 10_000;

/** What each program of a build gets. */
export function markerOf(directory: string): Readonly<Record<string, string>> {
  return { [VARIABLE]: directory };
}

/**
 * Ends what builds in a directory have left. Nobody else may be building there.
 * @throws failure where it does not end
 */
export async function endLeftovers(terminal: Terminal, directory: string): Promise<void> {
  let left: readonly ProcessEntry[] = [];
  let isTold = false;
  const attempt = () => {
    left = leftoversIn(directory);
    if (left.length === 0) return true;
    if (!isTold) terminal.say(`ending what a build that was killed has left: ${text(left)}`);
    isTold = true;
    for (const entry of left) killProcess(entry);
    return undefined;
  };
  if ((await poll(attempt, { intervalMs: POLL_MS, timeoutMs: TIMEOUT_MS })) === true) return;
  throw failure(`a build that was killed still works in ${directory}: ${text(left)}; end that`);
}

function leftoversIn(directory: string): ProcessEntry[] {
  return readProc(`${VARIABLE}=${directory}`).filter(({ isMarked, pid }) => {
    // In another mount namespace (a container), the same path is another directory.
    const isHere = linkOf(pid, 'ns/mnt') === linkOf('self', 'ns/mnt');
    return isMarked && isHere && `${linkOf(pid, 'cwd')}/`.startsWith(`${directory}/`);
  });
}

/** For users: those that have started the others. */
function text(left: readonly ProcessEntry[]): string {
  const pids = new Set(left.map(({ pid }) => pid));
  return oneLine(
    left
      .filter(({ parent }) => !pids.has(parent))
      .map(processText)
      .join(', '),
  );
}

/** What `/proc` says of a process, such as the directory that it works in; empty where it has just ended. */
function linkOf(pid: number | 'self', name: 'cwd' | 'ns/mnt'): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    return '';
  }
}
