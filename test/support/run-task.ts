// SPDX-License-Identifier: Apache-2.0

/** Starting a task as a user would: as a process of its own, with a given environment. */

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { verifyPrivateEngines } from './private-engines.ts';

export const SUITE_ROOT = join(import.meta.dirname, '..', '..');
/** Keeps Node's compile cache between the many starts of a test run. */
const COMPILE_CACHE = join(SUITE_ROOT, 'node_modules', '.cache', 'openshell-tasks');

/** For `node --import`: lowers the soft limit of that Node, which raised it when it started. */
export const LOWER_TO_256 = `data:text/javascript,${encodeURIComponent(
  "import { execFileSync } from 'node:child_process'; execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=256:']);",
)}`;

export interface TaskResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TaskOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Start it as the leader of a process group of its own, as a shell does. */
  readonly isGroup?: boolean;
  /** A program with its arguments that starts the task: `unshare --pid`. */
  readonly through?: readonly string[];
  /** Called with the process as soon as it runs. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** For `onStart`: acts once, as soon as the process has said a text on stderr. */
export function whenSaid(text: string | RegExp, act: (child: ChildProcess) => void): (child: ChildProcess) => void {
  return (child) => {
    let said = '';
    const listen = (piece: string | Buffer) => {
      said += String(piece);
      if (typeof text === 'string' ? !said.includes(text) : !text.test(said)) return;
      child.stderr?.off('data', listen);
      act(child);
    };
    child.stderr?.on('data', listen);
  };
}

/** Runs `node tasks/NAME.ts WORDS` and gives how it ended. */
export function runTaskFile(name: string, args: readonly string[], options: TaskOptions): Promise<TaskResult> {
  return runProcess(process.execPath, [join(SUITE_ROOT, 'tasks', `${name}.ts`), ...args], options);
}

/** Runs a program and gives how it ended. */
export async function runProcess(program: string, args: readonly string[], options: TaskOptions): Promise<TaskResult> {
  const [first = '', ...rest] = [...(options.through ?? []), program, ...args];
  verifyPrivateEngines([first, ...rest], options.env);
  const child = spawn(first, rest, {
    cwd: options.cwd,
    env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.isGroup ?? false,
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal, ...output }));
  });
}
