// SPDX-License-Identifier: Apache-2.0

/** A runner inside the test's own process: fake tools, a terminal that remembers, a machine without limits. */

import { Runner, type RunnerContext } from '../../lib/build-env.ts';
import { type Sink, Terminal } from '../../lib/cli/terminal.ts';
import type { Machine } from '../../lib/host.ts';
import { Signals } from '../../lib/process/signals.ts';
import { FakeTools } from './fake-tools.ts';
import { temporaryDirectory } from './temporary.ts';

export interface InProcess extends RunnerContext {
  readonly screen: Screen;
}

/** What was written to the two streams. */
export interface Screen {
  readonly out: Sink;
  readonly err: Sink;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** A Linux machine without limits and without sudo. */
export const MACHINE: Machine = {
  platform: 'linux',
  limits: { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY },
  shellLimit: undefined,
  canReplace: false,
  invoker: undefined,
};

/** Streams in memory; a terminal where `isTTY` is set. */
export function screen(isTTY = false, columns?: number): Screen {
  const text = { out: '', err: '' };
  const sink = (name: 'out' | 'err'): Sink => ({
    isTTY,
    ...(columns === undefined ? {} : { columns }),
    write: (piece) => {
      text[name] += typeof piece === 'string' ? piece : Buffer.from(piece).toString();
    },
  });
  return { out: sink('out'), err: sink('err'), stdout: () => text.out, stderr: () => text.err };
}

/** Fake tools that are removed with the test; a call that they do not expect fails it. */
export function fakeTools(): FakeTools {
  return new FakeTools(temporaryDirectory('fake-tools'));
}

/**
 * A real runner over fake tools.
 *
 * @param facts of another machine
 */
export function inProcess(
  tools: FakeTools,
  extra: Readonly<Record<string, string>> = {},
  startDirectory = tools.directory,
  facts: Partial<Machine> = {},
): InProcess {
  const env = tools.env(extra);
  const shown = screen();
  const terminal = new Terminal(shown.out, shown.err, env);
  const signals = new Signals();
  const ctx = { env, startDirectory, terminal, signals };
  return { ...ctx, runner: new Runner(ctx, { ...MACHINE, ...facts }), screen: shown };
}
