// SPDX-License-Identifier: Apache-2.0

/** The frame of every task: arguments in, exit status out, one catch. */

import { realpathSync } from 'node:fs';
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SUITE_ROOT } from '../checkout.ts';
import {
  describeError,
  EXIT,
  errnoOf,
  InterruptedError,
  machineErrorText,
  missingPackage,
  oneLine,
  shown,
  TaskError,
  usageError,
} from '../errors.ts';
import { becomeOwner, isOfOther } from '../fs/ownership.ts';
import { shellQuote } from '../process/command.ts';
import { isHangupIgnored } from '../process/identity.ts';
import { Signals } from '../process/signals.ts';
import { type Arguments, type Declaration, parseArguments } from './args.ts';
import { type DotEnv, withDotEnv } from './dot-env.ts';
import { asDryRun, type Unknowns } from './dry-run-marks.ts';
import type { Environment } from './env.ts';
import { helpText } from './help.ts';
import { Output, settled, Terminal } from './terminal.ts';

/** How long an interrupted task waits for what is still under way. */
const LINGER_MS = 3000;

/** What a task's body may read and act through. To start programs it takes a runner (`withRunner`). */
export interface TaskContext {
  /** With what the checkout's `.env` adds. */
  readonly env: Environment;
  /** What that is, where it is anything. */
  readonly dotEnv?: DotEnv | undefined;
  /** The directory that the task was started in; relative values are relative to it. */
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
  const cache = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'openshell-tasks');
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
    const error = missingDependency(caught) ?? caught;
    process.exitCode = error instanceof TaskError ? error.exitCode : EXIT.failed;
    await report([terminal, err], [new Terminal(out, out, process.env), out], error);
    // The event loop ends by itself where it can: process.exit() sometimes hangs, because a thread that waits for a
    // garbage collection is waited for (nodejs/node#54918).
    if (error instanceof InterruptedError) setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}

/** A clone without its packages is not a fault of the tasks. */
function missingDependency(error: unknown): TaskError | undefined {
  const name = missingPackage(error);
  if (name === undefined) return undefined;
  return usageError(
    `the tasks' dependencies are missing (${name}); run: npm ci --omit=dev --prefix ${shellQuote(SUITE_ROOT)}`,
  );
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
  if (added !== undefined) sayAdded(terminal, added);
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

function sayAdded(terminal: Terminal, { names, path, refused }: DotEnv): void {
  if (names.length > 0) terminal.say(`${oneLine(path)} sets ${names.join(', ')}`);
  if (refused.length === 0) return;
  terminal.warn(
    `${oneLine(path)} does not set ${refused.join(', ')}, which is not a file's to decide; set it in the environment`,
  );
}

/** @throws usageError where it has been removed */
function findStartDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    const text = `the directory that the task was started in (${shown(process.env.PWD ?? '.')})`;
    if (errnoOf(cause) !== 'ENOENT') throw usageError(`${text} cannot be used; change to another one`, { cause });
    throw usageError(`${text} does not exist any more; change to another one`);
  }
}

/**
 * The one catch: what the machine or the user did wrong is one line, and only our own faults are called bugs. Where it
 * cannot be said on stderr, stdout is all that is left.
 */
async function report(
  [terminal, stream]: readonly [Terminal, Output],
  lastResort: readonly [Terminal, Output] | undefined,
  error: unknown,
): Promise<void> {
  const machine = machineErrorText(error);
  try {
    if (error instanceof TaskError || machine !== undefined) {
      terminal.error(machine ?? describeError(error));
    } else {
      terminal.error('this is a bug of the tasks, please report it:');
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
      for (const line of stack.split('\n')) terminal.say(line);
    }
    await settled(stream);
  } catch {
    if (lastResort !== undefined) await report(lastResort, undefined, error);
  }
}

/**
 * The arguments after the script's own name. Under `zx tasks/x.ts ARGUMENT...` the script is not the first one but
 * stands after zx and its options.
 */
export function ownArguments(argv: readonly string[], script: string): readonly string[] {
  const at = argv.findIndex((argument, index) => index > 0 && isSameFile(argument, script));
  return argv.slice(at < 0 ? 2 : at + 1);
}

function isSameFile(argument: string, file: string): boolean {
  try {
    return realpathSync(argument) === realpathSync(file);
  } catch {
    return false;
  }
}
