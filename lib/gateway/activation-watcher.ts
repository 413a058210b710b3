// SPDX-License-Identifier: Apache-2.0

/**
 * A small watcher that outlives the task when the gateway replaces it: once the port responds under the gateway's pid
 * it says so and makes the gateway the CLI's active one. A gateway that fails changes nothing.
 */

import { join } from 'node:path';
import { seconds } from '../cli/terminal.ts';
import { type Command, cmd } from '../process/command.ts';
import { isSameProcess, type ProcessIdentity } from '../process/identity.ts';
import { poll } from '../process/poll.ts';
import { canConnect } from './port.ts';
import { isListening } from './port-owner.ts';
import { activate } from './registration.ts';

const POLL_MS = 50;
const WATCH_MAX_MS = 60_000;

/** What is watched, and what follows. */
export interface Watched {
  /** The process that the gateway replaces. */
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
  const script = join(import.meta.dirname, 'activation-watcher-main.ts');
  return cmd({ cwd })`${process.execPath} ${script} ${JSON.stringify(watched)}`;
}

/** Watches until the gateway responds, is gone, or the time is over. */
export async function watch(watched: Watched, say: (text: string) => void): Promise<void> {
  const attempt = async () => {
    if (!isSameProcess(watched.process)) return 'gone';
    return (await isUp(watched)) ? 'up' : undefined;
  };
  const end = await poll(attempt, { intervalMs: POLL_MS, timeoutMs: WATCH_MAX_MS });
  if (end === undefined) {
    say(`warning: ${watched.name} does not respond at ${watched.endpoint} after ${seconds(WATCH_MAX_MS)}`);
  }
  if (end !== 'up' || !isSameProcess(watched.process)) return;
  if (watched.activateIn !== undefined) activate(watched.activateIn, watched.name);
  const active = watched.activateIn === undefined ? '' : ', now the active gateway of the CLI';
  say(`${watched.name} is up at ${watched.endpoint} after ${seconds(Date.now() - watched.startedAt)}${active}`);
}

async function isUp(watched: Watched): Promise<boolean> {
  const { process: gateway, isReplaced, address, port } = watched;
  // Where the system does not tell whose listener it is, any response of the port counts.
  if (isReplaced && isListening(gateway.pid, port) === false) return false;
  return canConnect(address, port);
}
