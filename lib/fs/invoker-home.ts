// SPDX-License-Identifier: Apache-2.0

/**
 * The home of the user who called sudo, where `/etc/passwd` does not have it: users of a directory service (LDAP, sssd)
 * and those of macOS. It is asked for and never guessed: what is written to a wrong home is never found.
 */

import { oneLine } from '../errors.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { homeIn, type Invoker } from './ownership.ts';

/** A directory service may be far away. */
const TIMEOUT_MS = 15_000;

/** What is asked for a home, and how the reply is read. */
interface HomeQuery {
  readonly command: Command;
  homeFrom(output: string): string | undefined;
}

/**
 * Asks the system for the home.
 * @param probe that of the runner
 * @returns the home, or why there is none
 */
export async function probeHome(
  probe: (command: Command, timeoutMs: number) => Promise<ProbeResult>,
  platform: NodeJS.Platform,
  invoker: Invoker,
): Promise<Pick<Invoker, 'home' | 'homeProblem'>> {
  const { command, homeFrom } = homeQuery(platform, invoker);
  const result = await probe(command, TIMEOUT_MS);
  const home = result.ok ? homeFrom(result.output) : undefined;
  if (home?.startsWith('/')) return { home };
  const reason = result.ok ? `it printed ${oneLine(result.output)}` : oneLine(result.reason);
  return { home: undefined, homeProblem: `${argvText(command)}: ${reason}` };
}

export function homeQuery(platform: NodeJS.Platform, { uid, user }: Pick<Invoker, 'uid' | 'user'>): HomeQuery {
  const start = cmd({ cwd: '/' });
  if (platform !== 'darwin') {
    return { command: start`getent passwd ${uid}`, homeFrom: (output) => homeIn(output, uid) };
  }
  return {
    command: start`dscl . -read ${`/Users/${user}`} NFSHomeDirectory`,
    // A value with a blank stands on a line of its own.
    homeFrom: (output) => /^NFSHomeDirectory:\s+(\/.*)$/m.exec(output)?.[1],
  };
}
