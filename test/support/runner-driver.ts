// SPDX-License-Identifier: Apache-2.0

/**
 * A task that uses the door as it is told: `node door-driver.ts '{"verb": "run", "words": [...]}'`.
 * It lets tests look at the door from outside, in a process of its own.
 */

import { Door } from '../../lib/build-env.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import { describeError, TaskError } from '../../lib/errors.ts';
import { type Machine, thisMachine } from '../../lib/host.ts';
import { command } from '../../lib/process/command.ts';
import { Signals } from '../../lib/process/signals.ts';

/** What the driver is told. */
export interface DoorOrder {
  readonly verb: 'run' | 'read' | 'probe' | 'cargo' | 'become';
  readonly words: readonly unknown[];
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly secret?: boolean;
  readonly timeoutMs?: number;
  /** Facts of another machine. */
  readonly machine?: Partial<Machine>;
}

const order = JSON.parse(process.argv.at(-1) ?? '{}') as DoorOrder;
const env = { ...process.env };
const terminal = new Terminal(process.stdout, process.stderr, env);
const signals = new Signals();
try {
  const door = new Door(env, terminal, signals, { ...thisMachine(env), ...order.machine });
  signals.listen();
  const value = command(order.words, {
    cwd: order.cwd ?? process.cwd(),
    env: order.env ?? {},
    secret: order.secret ?? false,
  });
  if (order.verb === 'probe') console.log(JSON.stringify(await door.probe(value, order.timeoutMs ?? 10_000)));
  else if (order.verb === 'become') process.exitCode = await door.become(value);
  else if (order.verb === 'run') await door.run(value);
  else console.log(await door[order.verb](value));
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  terminal.error(describeError(error));
  process.exitCode = error.exitCode;
} finally {
  signals.stop();
}
