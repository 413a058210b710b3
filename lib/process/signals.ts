// SPDX-License-Identifier: Apache-2.0

/**
 * Signals to the task: SIGINT, SIGTERM, SIGHUP and SIGQUIT end it, but only after what it started has ended. Each child
 * leads a process group, which gets the signal; a repeated one kills it. The task then unwinds, and exits 128+n.
 */

import type { ChildProcess } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { errnoOf, InterruptedError, statusOfSignal } from '../errors.ts';
import { isGroupAlive } from './identity.ts';
import { poll } from './poll.ts';

const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** The terminal sends them to the whole foreground group. */
const KEYS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
/** How long the rest of a group may take to end after its leader has. */
const GROUP_GRACE_MS = 2000;
const GROUP_POLL_MS = 20;

export class Signals {
  /** Whether SIGHUP has no effect, neither here nor on the program that replaces this process. */
  readonly ignoresHangup: boolean;
  #received: NodeJS.Signals | undefined;
  #isOver = false;
  /** Whether each has the terminal, which sends it the signals of its keys, and its `endedBy`. */
  readonly #children = new Map<ChildProcess, { hasTerminal: boolean; endedBy: NodeJS.Signals | undefined }>();
  readonly #controller = new AbortController();
  readonly aborted = this.#controller.signal;

  constructor(ignoresHangup = false) {
    this.ignoresHangup = ignoresHangup;
  }

  get received(): NodeJS.Signals | undefined {
    return this.#received;
  }

  /** Starts listening; until `stop`, the default action of the signals is off. */
  listen(): void {
    for (const signal of ENDING) process.on(signal, this.#receive);
    // Ctrl-Z reaches only this process, because the children have groups of their own.
    process.on('SIGTSTP', this.#pause);
    process.on('SIGCONT', this.#resume);
  }

  stop(): void {
    for (const signal of ENDING) process.off(signal, this.#receive);
    process.off('SIGTSTP', this.#pause);
    process.off('SIGCONT', this.#resume);
  }

  /** @throws InterruptedError where a signal has arrived, and after `endChildren`, when nothing may be started any more */
  throwIfReceived(): void {
    if (this.#received !== undefined) throw new InterruptedError(this.#received);
    if (this.#isOver) throw new InterruptedError('SIGTERM');
  }

  /** The same for a signal during synchronous work, which Node passes on when its event loop polls: in one of two turns. */
  async throwIfPending(): Promise<void> {
    await nextTurn();
    await nextTurn();
    this.throwIfReceived();
  }

  /** Ends what still runs when the task's body has failed beside it, and waits for that. */
  async endChildren(): Promise<void> {
    this.#isOver = true;
    const running = [...this.#children.keys()];
    this.#forward(this.#received ?? 'SIGTERM');
    await Promise.all(running.map(endGroup));
  }

  /**
   * Waits for a child while signals go to its group.
   * @param ended resolves when the child has ended and its output is read
   * @param hasTerminal whether it is in the terminal's foreground group, which is this process's own
   */
  async relay<T>(child: ChildProcess, ended: Promise<T>, hasTerminal = false, endedBy?: NodeJS.Signals): Promise<T> {
    this.#children.set(child, { hasTerminal, endedBy });
    // What is left of the group may hold the output open, and would be waited for without an end.
    child.once('exit', () => this.#received !== undefined && endGroup(child));
    try {
      return await ended;
    } finally {
      this.#children.delete(child);
    }
  }

  /** The same for a part of the task. @throws InterruptedError when a signal has arrived; the group is gone by then */
  async during<T>(child: ChildProcess, ended: Promise<T>, endedBy?: NodeJS.Signals): Promise<T> {
    const result = await this.relay(child, ended, false, endedBy);
    if (this.#received !== undefined) await endGroup(child);
    this.throwIfReceived();
    return result;
  }

  readonly #receive = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGHUP' && this.ignoresHangup) return;
    // Bash ignores SIGQUIT, and other programs would write a core file.
    const first = signal === 'SIGQUIT' ? 'SIGINT' : signal;
    this.#forward(this.#received === undefined ? first : 'SIGKILL');
    this.#received ??= signal;
    this.#controller.abort(new InterruptedError(this.#received));
    for (const child of this.#children.keys()) if ((child.exitCode ?? child.signalCode) !== null) void endGroup(child);
  };

  /** By the default action, which the kernel leaves out where no shell could let the process go on. */
  readonly #pause = (): void => {
    this.#forward('SIGSTOP');
    process.off('SIGTSTP', this.#pause);
    process.kill(process.pid, 'SIGTSTP');
    process.on('SIGTSTP', this.#pause);
    this.#resume();
  };

  readonly #resume = (): void => this.#forward('SIGCONT');

  #forward(signal: NodeJS.Signals): void {
    for (const [child, { endedBy = signal, hasTerminal }] of this.#children) {
      if (!hasTerminal) killGroup(child, ENDING.some((one) => one === signal) ? endedBy : signal);
      else if (child.pid !== undefined && !KEYS.includes(signal)) sendSignal(child.pid, signal);
    }
  }
}

export async function exitStatus(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? statusOfSignal(signal ?? 'SIGKILL')));
  });
}

/** Sends a signal to the process group that a child leads. */
export function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) sendSignal(-pid, signal);
}

/** That it is gone is no error; a group of which only zombies are left answers EPERM on macOS. */
function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!['ESRCH', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** Waits until nothing of a group runs any more, and kills what is left of it after the grace. */
async function endGroup(child: ChildProcess): Promise<void> {
  const start = performance.now();
  const hasEnded = () => {
    if (child.pid === undefined || !isGroupAlive(child.pid)) return true;
    if (performance.now() - start > GROUP_GRACE_MS) killGroup(child, 'SIGKILL');
    return undefined;
  };
  await poll(hasEnded, { intervalMs: GROUP_POLL_MS, timeoutMs: 2 * GROUP_GRACE_MS });
}
