// SPDX-License-Identifier: Apache-2.0

/** The frame of every task: arguments in, exit status out, one catch. */

import { existsSync, realpathSync } from 'node:fs';
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DotEnv, SUITE_ROOT, withDotEnv } from '../checkout.ts';
import {
  describeError,
  EXIT,
  InterruptedError,
  machineErrorText,
  missingPackage,
  TaskError,
  usageError,
} from '../errors.ts';
import { becomeOwner, isOfOther } from '../fs/ownership.ts';
import { shellQuote } from '../process/command.ts';
import { isHangupIgnored } from '../process/identity.ts';
import { Signals } from '../process/signals.ts';
import { type Arguments, type Declaration, helpText, parseArguments } from './args.ts';
import { asDryRun, type Unknowns } from './dry-run-marks.ts';
import type { Environment } from './env.ts';
import { Output, settled, Terminal } from './terminal.ts';

/** How long an interrupted task waits for what is still under way. */
const LINGER_MS = 3000;

/** What a task's body may read and act through. To start programs it takes a runner (`withRunner`). */
export interface TaskContext {
  /** With what the checkout's `.env` adds. */
  readonly env: Environment;
  readonly dotEnv?: DotEnv | undefined;
  /** Relative values are relative to it. */
  readonly startDirectory: string;
  readonly terminal: Terminal;
  readonly signals: Signals;
  /** In a dry run: takes note of what is missing, which else is an error. */
  readonly unknowns?: Unknowns | undefined;
}

/** The body of a task; it may give the exit status. */
export type TaskBody<D extends Declaration> = (ctx: TaskContext, args: Arguments<D>) => Promise<number | undefined>;

/**
 * Runs a task: parses its arguments, prints `--help`, runs the body, reports an expected failure in one line, and sets
 * the exit status. An unexpected error keeps its stack.
 * @param moduleUrl the task's `import.meta.url`, which tells its own arguments from those of zx
 */
export async function runTask<const D extends Declaration>(
  moduleUrl: string,
  declaration: D,
  body: TaskBody<D>,
): Promise<void> {
  const cache = join(SUITE_ROOT, 'node_modules', '.cache', 'openshell-tasks');
  if (!isOfOther(cache)) enableCompileCache(cache);
  const used = getCompileCacheDir();
  if (used !== undefined && isOfOther(used)) {
    // Node writes it when the task ends: as root wherever links of the user lead.
    delete process.env.NODE_COMPILE_CACHE;
    process.once('exit', () => becomeOwner(used));
  }
  const out = new Output(process.stdout, 'stdout');
  const err = new Output(process.stderr, 'stderr');
  const terminal = new Terminal(out, err, process.env);
  try {
    const args = parseArguments(declaration, ownArguments(process.argv, fileURLToPath(moduleUrl)));
    if (args.help) out.write(helpText(declaration));
    else process.exitCode = await runBody(terminal, declaration, args, body);
    await settled(out, err);
  } catch (caught) {
    const name = missingPackage(caught);
    const text = `the tasks' dependencies are missing (${name}); run: npm ci --omit=dev --prefix ${shellQuote(SUITE_ROOT)}`;
    const error = name === undefined ? caught : usageError(text);
    process.exitCode = error instanceof TaskError ? error.exitCode : EXIT.failed;
    // Where it cannot be said on stderr, stdout is all that is left.
    await report(terminal, err, error)
      .catch(() => report(new Terminal(out, out, process.env), out, error))
      .catch(() => undefined);
    // The event loop ends by itself where it can: process.exit() sometimes hangs, because a thread that waits for a
    // garbage collection is waited for (nodejs/node#54918).
    if (error instanceof InterruptedError) setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}

async function runBody<D extends Declaration>(
  terminal: Terminal,
  declaration: D,
  args: Arguments<D>,
  body: TaskBody<D>,
): Promise<number> {
  const startDirectory = findStartDirectory();
  // A task that reads no variable starts nothing either.
  const isRead = (declaration.variables ?? []).length > 0;
  const { env, added } = isRead ? withDotEnv(process.env, startDirectory) : { env: process.env };
  if (added !== undefined) {
    if (added.names.length > 0) terminal.say(`${added.path} sets ${added.names.join(', ')}`);
    const refused = added.refused.join(', ');
    if (refused !== '') terminal.warn(`${added.path} does not set ${refused} under sudo; set it in the environment`);
  }
  const signals = new Signals(isHangupIgnored());
  signals.listen();
  try {
    const ctx = { env, dotEnv: added, startDirectory, terminal, signals };
    const isDryRun = Object.hasOwn(args.flags, 'dry-run') && args.flags['dry-run' as never] === true;
    const status = await body(isDryRun ? asDryRun(ctx) : ctx, args);
    signals.throwIfReceived();
    return status ?? 0;
  } finally {
    await signals.endChildren();
    signals.stop();
  }
}

function findStartDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw usageError('the directory that the task was started in cannot be used; change to another one', { cause });
  }
}

/** The one catch: what the machine or the user did wrong is one line, and only our own faults are called bugs. */
async function report(terminal: Terminal, stream: Output, error: unknown): Promise<void> {
  const machine = machineErrorText(error);
  if (error instanceof TaskError || machine !== undefined) {
    terminal.error(machine ?? describeError(error));
  } else {
    terminal.error('this is a bug of the tasks, please report it:');
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    for (const line of stack.split('\n')) terminal.say(line);
  }
  await settled(stream);
}

/** Those after the script's own name, which under `zx tasks/x.ts ARGUMENT...` stands after zx and its options. */
export function ownArguments(argv: readonly string[], script: string): readonly string[] {
  const own = realpathSync(script);
  const at = argv.findIndex((argument, index) => index > 0 && existsSync(argument) && realpathSync(argument) === own);
  return argv.slice(at < 0 ? 2 : at + 1);
}
