// SPDX-License-Identifier: Apache-2.0

/** Creating or reconnecting to the developer's sandbox on the active gateway. */

import type { RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { oneLine, usageError } from '../errors.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import { requireProgram } from '../process/which.ts';
import {
  CLI,
  CONNECT,
  CREATE_PROVIDER,
  createArguments,
  execArguments,
  isNotFound,
  PROBES,
  PROVIDER,
  SANDBOX,
  verifyConnected,
} from './plan.ts';
import { splitShellWords } from './shell-words.ts';

const PROBE_TIMEOUT_MS = 60_000;

/** What the gateway has of what the sandbox needs. */
interface Found {
  readonly hasSandbox: boolean;
  /** Not probed where nothing depends on it. */
  readonly hasProvider: boolean;
}

/**
 * Creates the sandbox with a command, or connects to the existing one; the CLI takes the place of this process.
 * @param command the command; mise's variable counts where it is empty
 * @returns the CLI's exit status, where a process cannot be replaced
 * @throws usageError without the CLI or a gateway, and where the gateway cannot tell what it has
 */
export async function sandbox(ctx: RunnerContext, command: readonly string[], isDryRun: boolean): Promise<number> {
  const { runner, env, startDirectory: cwd, terminal } = ctx;
  const given =
    command.length > 0 ? command : splitShellWords('usage_command', readVariable(env, 'usage_command') ?? '');
  await prepareCli(ctx);
  const hasKey = readVariable(env, PROVIDER.variable) !== undefined;
  const { hasProvider, hasSandbox } = await look(ctx, hasKey);
  const register = hasKey && !hasProvider ? cmd({ cwd })`${CREATE_PROVIDER}` : undefined;
  const last = cmd({ cwd })`${hasSandbox ? CONNECT : createArguments(hasKey || hasProvider, given)}`;
  if (isDryRun) {
    for (const step of register === undefined ? [last] : [register, last]) terminal.result(runner.describe(step));
    return 0;
  }
  if (hasSandbox && given.length > 0) {
    const run = argvText(cmd({ cwd })`${execArguments(given)}`);
    terminal.warn(`the sandbox '${SANDBOX}' exists already, so this command is not run; to run it: ${run}`);
  }
  if (register !== undefined) await runner.run(register);
  terminal.echo(argvText(last));
  return runner.exec(last);
}

/** The CLI of a checkout compiles itself when it is old, for minutes: that is to be seen, and not to be timed out. */
async function prepareCli({ runner, env, startDirectory: cwd }: RunnerContext): Promise<void> {
  const hint = "start this as mise run sandbox, add the checkout's scripts/bin to PATH, or install it";
  const program = requireProgram(CLI, env, hint);
  if (program.endsWith(`/scripts/bin/${CLI}`)) await runner.run(cmd({ cwd })`${CLI} --version`);
}

async function look(ctx: RunnerContext, hasKey: boolean): Promise<Found> {
  const command = cmd({ cwd: ctx.startDirectory })`${PROBES.status}`;
  const status = await ctx.runner.probe(command, PROBE_TIMEOUT_MS);
  if (!status.ok) throw probeFailed(command, status.reason);
  verifyConnected(status.output);
  const hasSandbox = await isFound(ctx, PROBES.sandbox);
  const matters = hasKey || !hasSandbox;
  return { hasSandbox, hasProvider: matters && (await isFound(ctx, PROBES.provider)) };
}

/** Whether the gateway has it: "not found" is a result, any other failure is not. */
async function isFound(ctx: RunnerContext, argv: readonly string[]): Promise<boolean> {
  const command = cmd({ cwd: ctx.startDirectory })`${argv}`;
  const result = await ctx.runner.probe(command, PROBE_TIMEOUT_MS);
  if (result.ok) return true;
  if (isNotFound(result.reason)) return false;
  throw probeFailed(command, result.reason);
}

function probeFailed(command: Command, reason: string) {
  return usageError(`${argvText(command)} failed: ${oneLine(reason)}; see ${CLI} status`);
}
