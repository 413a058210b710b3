// SPDX-License-Identifier: Apache-2.0

/** Outlives the task: once the port responds under the gateway's pid it says so, and makes that the CLI's active one. */

import { seconds } from '../cli/terminal.ts';
import { describeError } from '../errors.ts';
import { type Command, cmd } from '../process/command.ts';
import { isSameProcess, type ProcessIdentity } from '../process/identity.ts';
import { poll } from '../process/poll.ts';
import type { Config } from './config.ts';
import { canConnect, isListening } from './port.ts';
import { activate } from './registration.ts';

const WATCH = { intervalMs: 50, timeoutMs: 60_000 };

export interface Watched extends Pick<Config, 'endpoint' | 'name' | 'port'> {
  /** The process that the gateway replaces. */
  readonly process: ProcessIdentity;
  /** Whether the gateway runs as that very process; else it is a child of it. */
  readonly isReplaced: boolean;
  readonly address: string;
  /** Where the CLI keeps which gateway is active; `undefined` to leave that alone. */
  readonly activateIn: string | undefined;
  /** When the task was started, in milliseconds since 1970. */
  readonly startedAt: number;
}

export function watchCommand(watched: Watched, cwd: string): Command {
  return cmd({ cwd })`${process.execPath} ${import.meta.filename} ${JSON.stringify(watched)}`;
}

/** Watches until the gateway responds, is gone, or the time is over. */
export async function watch(watched: Watched, say: (text: string) => void): Promise<void> {
  const { activateIn, endpoint, name } = watched;
  const attempt = async () => {
    const { address, isReplaced, port, process: gateway } = watched;
    if (!isSameProcess(gateway)) return 'gone';
    // Where the system does not tell whose listener it is, any response of the port counts.
    if (isReplaced && isListening(gateway.pid, port) === false) return undefined;
    return (await canConnect(address, port)) ? 'up' : undefined;
  };
  const end = await poll(attempt, WATCH);
  if (end === undefined) say(`warning: ${name} does not respond at ${endpoint} after ${seconds(WATCH.timeoutMs)}`);
  if (end !== 'up' || !isSameProcess(watched.process)) return;
  if (activateIn !== undefined) activate(activateIn, name);
  const active = activateIn === undefined ? '' : ', now the active gateway of the CLI';
  say(`${name} is up at ${endpoint} after ${seconds(Date.now() - watched.startedAt)}${active}`);
}

if (import.meta.main) {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  // The terminal may be closed by now.
  process.stderr.on('error', () => undefined);
  try {
    await watch(JSON.parse(process.argv[2] ?? '') as Watched, say);
  } catch (error) {
    say(`warning: the gateway could not be made the active one: ${describeError(error)}`);
    process.exitCode = 1;
  }
}
