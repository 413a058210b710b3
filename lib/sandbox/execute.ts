// SPDX-License-Identifier: Apache-2.0

/** Creating or reconnecting to the developer's sandbox on the active gateway. */

import { textOf } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { oneLine, usageError } from '../errors.ts';
import { argvText, command } from '../process/command.ts';
import { findProgram } from '../process/which.ts';
import {
  CLI,
  CONNECT,
  CREATE_PROVIDER,
  createWords,
  execWords,
  isNotFound,
  PROBES,
  PROVIDER,
  SANDBOX,
  verifyConnected,
} from './plan.ts';
import { splitShellWords } from './shell-words.ts';

const PROBE_TIMEOUT_MS = 60_000;
/** Set by mise for a task that declares its words. */
const WORDS_VARIABLE = 'usage_command';

/** What the gateway has of what the sandbox needs. */
interface Found {
  readonly isSandboxThere: boolean;
  /** Not asked where nothing depends on it. */
  readonly isProviderThere: boolean;
}

/**
 * Creates the sandbox with a command, or connects to the one that is there; the CLI takes the place of this process.
 *
 * @param words the command; the variable of mise counts where there are none
 * @returns the CLI's exit status, where a process cannot be replaced
 * @throws usageError without the CLI or a gateway, and where the gateway cannot tell what it has
 */
export async function sandbox(ctx: TaskContext, words: readonly string[], isDryRun: boolean): Promise<number> {
  const { runner, env, startDirectory: cwd, terminal } = ctx;
  const given = words.length > 0 ? words : splitShellWords(WORDS_VARIABLE, textOf(env, WORDS_VARIABLE) ?? '');
  await prepareCli(ctx);
  const hasKey = textOf(env, PROVIDER.variable) !== undefined;
  const { isSandboxThere, isProviderThere } = await look(ctx, hasKey);
  const register = hasKey && !isProviderThere ? command(CREATE_PROVIDER, { cwd }) : undefined;
  const last = command(isSandboxThere ? CONNECT : createWords(hasKey || isProviderThere, given), { cwd });
  if (isDryRun) {
    for (const step of register === undefined ? [last] : [register, last]) terminal.result(runner.describe(step));
    return 0;
  }
  if (isSandboxThere && given.length > 0) {
    const run = argvText(command(execWords(given), { cwd }));
    terminal.warn(`the sandbox '${SANDBOX}' is there already, so this command is not run; to run it: ${run}`);
  }
  if (register !== undefined) await runner.run(register);
  terminal.echo(argvText(last));
  return runner.exec(last);
}

/** The CLI of a checkout compiles itself when it is old, for minutes: that is to be seen, and not to be timed out. */
async function prepareCli({ runner, env, startDirectory: cwd }: TaskContext): Promise<void> {
  const program = findProgram(CLI, env);
  if (program === undefined) {
    throw usageError(
      `${CLI} is not on PATH; start this as mise run sandbox, add the checkout's scripts/bin to PATH, or install it`,
    );
  }
  if (program.endsWith(`/scripts/bin/${CLI}`)) await runner.run(command([CLI, '--version'], { cwd }));
}

async function look(ctx: TaskContext, hasKey: boolean): Promise<Found> {
  const status = await ask(ctx, PROBES.status);
  if (!status.ok) throw unanswered(PROBES.status, status.reason);
  verifyConnected(status.output);
  const isSandboxThere = await isThere(ctx, PROBES.sandbox);
  const matters = hasKey || !isSandboxThere;
  return { isSandboxThere, isProviderThere: matters && (await isThere(ctx, PROBES.provider)) };
}

/** Whether the gateway has it; "not found" is an answer, anything else that fails is none. */
async function isThere(ctx: TaskContext, question: readonly string[]): Promise<boolean> {
  const answer = await ask(ctx, question);
  if (answer.ok) return true;
  if (isNotFound(answer.reason)) return false;
  throw unanswered(question, answer.reason);
}

function ask({ runner, startDirectory: cwd }: TaskContext, question: readonly string[]) {
  return runner.probe(command(question, { cwd }), PROBE_TIMEOUT_MS);
}

function unanswered(question: readonly string[], reason: string) {
  return usageError(`${question.join(' ')} failed: ${oneLine(reason)}; see ${CLI} status`);
}
