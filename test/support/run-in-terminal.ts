// SPDX-License-Identifier: Apache-2.0

/** A terminal for programs that talk to the user, made by `script` of util-linux. */

import { spawn } from 'node:child_process';
import { shellQuote } from '../../lib/process/command.ts';
import { findProgram } from '../../lib/process/which.ts';
import { verifyPrivateEngines } from './private-engines.ts';
import { requireThing } from './real-tools.ts';

/** Why no terminal can be made here; `undefined` where one can. The `script` of macOS takes other options. */
export const inTerminal = requireThing(
  'script of util-linux',
  process.platform === 'linux' && findProgram('script', process.env) !== undefined,
);

export interface InTerminal {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Called whenever there is more on the screen. */
  readonly onScreen?: (screen: string, keys: Keyboard) => void;
}

/** What the user at the terminal can do. */
export interface Keyboard {
  type(text: string): void;
}

/** Runs a program with a terminal of its own; gives its status and all that was on the screen. */
export function runInTerminal(
  argv: readonly string[],
  options: InTerminal,
): Promise<{ status: number; screen: string }> {
  verifyPrivateEngines(argv, options.env);
  const command = `exec ${argv.map(shellQuote).join(' ')}`;
  // The PATH of the program may have nothing but fakes.
  const script = findProgram('script', process.env) ?? 'script';
  const child = spawn(script, ['--quiet', '--return', '--flush', '--command', command, '/dev/null'], {
    cwd: options.cwd,
    env: { ...options.env, SHELL: '/bin/bash' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const keys: Keyboard = { type: (text) => void child.stdin.write(text) };
  let screen = '';
  child.stdin.on('error', () => undefined);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text.replaceAll('\r\n', '\n');
    options.onScreen?.(screen, keys);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status: status ?? -1, screen }));
  });
}
