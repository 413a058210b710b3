// SPDX-License-Identifier: Apache-2.0

/**
 * A task that uses the runner as it is told: `node runner-driver.ts '{"verb": "run", "args": [...]}'`.
 * It lets tests look at the runner from outside, in a process of its own.
 */

import { Runner } from '../../lib/build-env.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import { describeError, TaskError } from '../../lib/errors.ts';
import { type Machine, thisMachine } from '../../lib/host.ts';
import { cmd } from '../../lib/process/command.ts';
import { Signals } from '../../lib/process/signals.ts';

/** What the driver is told. */
export interface RunnerOrder {
  readonly verb: 'run' | 'read' | 'probe' | 'cargo' | 'interactive' | 'start' | 'exec';
  readonly args: readonly unknown[];
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly base?: Record<string, string>;
  /** For stdin of `run`, `read` and `probe`. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Facts of another machine. */
  readonly machine?: Partial<Machine>;
}

const order = JSON.parse(process.argv.at(-1) ?? '{}') as RunnerOrder;
const env = { ...process.env };
const terminal = new Terminal(process.stdout, process.stderr, env);
const signals = new Signals();
try {
  const runner = new Runner({ env, terminal, signals }, { ...thisMachine(env), ...order.machine });
  signals.listen();
  const value = cmd({
    cwd: order.cwd ?? process.cwd(),
    env: order.env ?? {},
    base: order.base ?? {},
  })`${order.args as string[]}`;
  const input = order.input === undefined ? {} : { input: order.input };
  if (order.verb === 'probe') console.log(JSON.stringify(await runner.probe(value, order.timeoutMs ?? 10_000, input)));
  else if (order.verb === 'exec') process.exitCode = await runner.exec(value);
  else if (order.verb === 'run') await runner.run(value, input);
  else if (order.verb === 'read') console.log(await runner.read(value, input));
  else if (order.verb === 'cargo') console.log(await runner.cargo(value));
  else await runner[order.verb](value);
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  terminal.error(describeError(error));
  process.exitCode = error.exitCode;
} finally {
  signals.stop();
}
