// SPDX-License-Identifier: Apache-2.0

/**
 * The frame of every task: arguments in, exit status out, one catch.
 *
 * Every start loads it, `--help` included. Static imports would be compiled before the compile
 * cache is on (it halves the start), so everything but types is imported when it is needed.
 */

import { realpathSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Runner } from '../build-env.ts';
import type { Signals } from '../process/signals.ts';
import type { Arguments, Declaration } from './args.ts';
import type { Environment } from './env.ts';
import type { Terminal } from './terminal.ts';

/** What a task's body and the modules that it calls may read and act through. */
export interface TaskContext {
  readonly env: Environment;
  /** The directory that the task was started in; relative values are relative to it. */
  readonly startDirectory: string;
  readonly terminal: Terminal;
  readonly signals: Signals;
  readonly runner: Runner;
}

/** What a task's body gets. */
export interface TaskBodyContext<D extends Declaration> extends TaskContext {
  readonly args: Arguments<D>;
}

/**
 * Runs a task: parses its arguments, answers `--help`, runs the body, reports an expected
 * failure in one line, and sets the exit status. An unexpected error keeps its stack.
 *
 * @param moduleUrl the task's `import.meta.url`, which tells its own words from those of zx
 */
export async function runTask<const D extends Declaration>(
  moduleUrl: string,
  declaration: D,
  body: (context: TaskBodyContext<D>) => Promise<void>,
): Promise<void> {
  enableCompileCache(join(import.meta.dirname, '..', 'node_modules', '.cache', 'openshell-tasks'));
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  try {
    const { parseArguments } = await import('./args.ts');
    const args = parseArguments(declaration, ownWords(process.argv, fileURLToPath(moduleUrl)));
    if (args.help) {
      const { helpText } = await import('./help.ts');
      process.stdout.write(helpText(declaration));
      return;
    }
    await runBody(args, body);
  } catch (error) {
    await report(error);
  }
}

async function runBody<D extends Declaration>(
  args: Arguments<D>,
  body: (context: TaskBodyContext<D>) => Promise<void>,
): Promise<void> {
  const [{ Runner }, { Signals }, { Terminal }] = await Promise.all([
    import('../build-env.ts'),
    import('../process/signals.ts'),
    import('./terminal.ts'),
  ]);
  const env = { ...process.env };
  const terminal = new Terminal(process.stdout, process.stderr, env);
  const signals = new Signals();
  const runner = new Runner(env, terminal, signals);
  signals.listen();
  try {
    await body({ args, env, startDirectory: process.cwd(), terminal, signals, runner });
    signals.throwIfReceived();
  } finally {
    signals.stop();
  }
}

async function report(error: unknown): Promise<void> {
  const [{ Terminal }, { describeError, EXIT, TaskError }] = await Promise.all([
    import('./terminal.ts'),
    import('../errors.ts'),
  ]);
  const terminal = new Terminal(process.stdout, process.stderr, process.env);
  if (error instanceof TaskError) {
    terminal.error(describeError(error));
    process.exitCode = error.exitCode;
    // A user who has pressed Ctrl-C does not wait for what is still in the thread pool.
    if (error.exitCode > EXIT.signalled) process.exit();
  } else {
    terminal.error('this is a bug of the tasks, please report it:');
    terminal.say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = EXIT.failed;
  }
}

/**
 * The words behind the script's own name. Under `zx tasks/x.ts WORDS` the script is not the first
 * word but stands behind zx and its options.
 */
export function ownWords(argv: readonly string[], script: string): readonly string[] {
  const at = argv.findIndex((word, index) => index > 0 && isSameFile(word, script));
  return argv.slice(at < 0 ? 2 : at + 1);
}

function isSameFile(word: string, file: string): boolean {
  try {
    return realpathSync(word) === realpathSync(file);
  } catch {
    return false;
  }
}

/** A reader that has seen enough (`| head`) is no error. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
