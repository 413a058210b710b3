// SPDX-License-Identifier: Apache-2.0

/** A launcher as a user has it: started, watched until its gateway responds, stopped. */

import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';

const POLL_MS = 20;

export interface RunningLaunch {
  readonly pid: number;
  /** What it has said so far. */
  readonly stderr: () => string;
  readonly ended: Promise<TaskResult>;
  /** Resolves once it has said that. @throws Error when it ends before */
  said(text: string, timeoutMs?: number): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `tasks/NAME.ts`; it is killed when the test ends. */
export function startLaunch(
  name: string,
  args: readonly string[],
  options: Pick<TaskOptions, 'cwd' | 'env' | 'through'>,
): RunningLaunch {
  let child: ChildProcess | undefined;
  let text = '';
  let isOver = false;
  const onStart = (started: ChildProcess) => {
    child = started;
    started.stderr?.on('data', (piece: string) => (text += piece));
  };
  const ended = runTaskFile(name, args, { ...options, onStart }).finally(() => (isOver = true));
  onTestFinished(() => void child?.kill('SIGKILL'));
  return {
    get pid() {
      return child?.pid ?? 0;
    },
    stderr: () => text,
    ended,
    kill: (signal) => void child?.kill(signal),
    said: async (wanted, timeoutMs = 15_000) => {
      for (const start = Date.now(); !text.includes(wanted); await sleep(POLL_MS)) {
        if (isOver && !text.includes(wanted)) throw new Error(`${name} has ended without '${wanted}': ${text}`);
        if (Date.now() - start > timeoutMs) throw new Error(`${name} has not said '${wanted}': ${text}`);
      }
    },
  };
}
