// SPDX-License-Identifier: Apache-2.0

/** Who listens on a port, from `/proc` (proc_pid_net(5)); nothing is known on systems without it. */

import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { namesIn, textIn } from '../fs/paths.ts';

/** The state `LISTEN` in `/proc/net/tcp`. */
const LISTENING = '0A';

/**
 * A listener for users: `python3 (pid 123)`; `undefined` where the system does not tell, as for another user's process.
 */
export function portOwner(port: number, proc = '/proc'): string | undefined {
  const pid = listenerPid(port, proc);
  return pid && `${nameOf(pid, proc)} (pid ${pid})`;
}

/** The process that listens on a port; `undefined` where the system does not tell. */
export function listenerPid(port: number, proc = '/proc'): string | undefined {
  const inodes = listenersOf(port, proc);
  if (inodes.size === 0) return undefined;
  const pids = namesIn(proc).filter((name) => /^[0-9]+$/.test(name));
  return pids.find((pid) => holdsOne(`${proc}/${pid}/fd`, inodes));
}

/** Whether a process listens on a port; `undefined` where the system does not tell. */
export function isListening(pid: number, port: number, proc = '/proc'): boolean | undefined {
  const descriptors = `${proc}/${pid}/fd`;
  if (namesIn(descriptors).length === 0) return undefined;
  return holdsOne(descriptors, listenersOf(port, proc));
}

/** The inodes of the sockets that listen on a port, of both address families. */
function listenersOf(port: number, proc: string): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const lines = ['tcp', 'tcp6'].flatMap((table) => (textIn(`${proc}/net/${table}`) ?? '').split('\n'));
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const listeners = fields.filter(([, local, , state]) => state === LISTENING && local?.endsWith(`:${hex}`));
  return new Set(listeners.map((line) => line[9] ?? ''));
}

function holdsOne(descriptors: string, inodes: ReadonlySet<string>): boolean {
  return namesIn(descriptors).some((name) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${descriptors}/${name}`))?.[1];
      return inode !== undefined && inodes.has(inode);
    } catch {
      // Closed between the listing and now.
      return false;
    }
  });
}

/** The program's file name; the kernel's own name of a process is cut after 15 characters. */
function nameOf(pid: string, proc: string): string {
  try {
    return basename(readlinkSync(`${proc}/${pid}/exe`));
  } catch {
    return textIn(`${proc}/${pid}/comm`)?.trim() || 'a process';
  }
}
