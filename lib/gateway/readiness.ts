// SPDX-License-Identifier: Apache-2.0

/**
 * A small watcher that stays behind when the task becomes the gateway: once the port answers under
 * the gateway's pid it says so and makes the gateway the CLI's active one. A gateway that fails
 * changes nothing.
 */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seconds } from '../cli/terminal.ts';
import { type Command, command } from '../process/command.ts';
import { isSameProcess, type ProcessIdentity } from '../process/identity.ts';
import { canConnect } from './port.ts';
import { isListening } from './port-owner.ts';
import { activate } from './registration.ts';

const POLL_MS = 50;
const WATCH_MAX_MS = 60_000;

/** What is watched, and what follows. */
export interface Watched {
  /** The process that becomes the gateway. */
  readonly process: ProcessIdentity;
  /** Whether the gateway runs as that very process; else it is a child of it. */
  readonly isReplaced: boolean;
  readonly address: string;
  readonly port: number;
  readonly name: string;
  readonly endpoint: string;
  /** Where the CLI keeps which gateway is active; `undefined` to leave that alone. */
  readonly activateIn: string | undefined;
  /** When the task was started, in milliseconds since 1970. */
  readonly startedAt: number;
}

/** The command that watches. */
export function watchCommand(watched: Watched, cwd: string): Command {
  return command([process.execPath, join(import.meta.dirname, 'watch-main.ts'), JSON.stringify(watched)], { cwd });
}

/** Watches until the gateway answers, is gone, or the time is over. */
export async function watch(watched: Watched, say: (text: string) => void): Promise<void> {
  const start = Date.now();
  while (isSameProcess(watched.process)) {
    if (await isUp(watched)) {
      if (!isSameProcess(watched.process)) return;
      if (watched.activateIn !== undefined) activate(watched.activateIn, watched.name);
      const active = watched.activateIn === undefined ? '' : `, now the active gateway of the CLI`;
      say(`${watched.name} is up at ${watched.endpoint} after ${seconds(Date.now() - watched.startedAt)}${active}`);
      return;
    }
    if (Date.now() - start > WATCH_MAX_MS) {
      say(`warning: ${watched.name} does not answer at ${watched.endpoint} after ${seconds(WATCH_MAX_MS)}`);
      return;
    }
    await sleep(POLL_MS);
  }
}

async function isUp(watched: Watched): Promise<boolean> {
  const { process: gateway, isReplaced, address, port } = watched;
  // Where the system does not tell whose the listener is, the answer of the port has to do.
  if (isReplaced && isListening(gateway.pid, port) === false) return false;
  return canConnect(address, port);
}
