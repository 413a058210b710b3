// SPDX-License-Identifier: Apache-2.0

/** Creating the developer's sandbox on the active gateway, or reconnecting to it. */

import type { RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { oneLine, usageError } from '../errors.ts';
import { argvText, cmd } from '../process/command.ts';
import { requireProgram } from '../process/which.ts';
import {
  CLI,
  CONNECT,
  CREATE_PROVIDER,
  createArguments,
  execArguments,
  isNotFound,
  KEY_VARIABLE,
  PROBES,
  SANDBOX,
  verifyConnected,
} from './plan.ts';
import { splitArguments } from './split-arguments.ts';

const PROBE_TIMEOUT_MS = 60_000;

/**
 * Creates the sandbox with a command, or connects to the existing one; the CLI replaces this process.
 * @param command the command; mise's variable counts where it is empty
 * @returns the CLI's exit status, where a process cannot be replaced
 * @throws usageError without the CLI or a gateway, and where the gateway cannot tell what it has
 */
export async function sandbox(ctx: RunnerContext, command: readonly string[], isDryRun: boolean): Promise<number> {
  const { runner, env, startDirectory: cwd, terminal } = ctx;
  const given =
    command.length > 0 ? command : splitArguments('usage_command', readVariable(env, 'usage_command') ?? '');
  await prepareCli(ctx);
  verifyConnected((await probe(ctx, PROBES.status)) ?? '');
  const hasSandbox = (await probe(ctx, PROBES.sandbox)) !== undefined;
  const hasKey = readVariable(env, KEY_VARIABLE) !== undefined;
  const needsProvider = hasKey || !hasSandbox;
  const hasProvider = needsProvider && (await probe(ctx, PROBES.provider)) !== undefined;
  const register = hasKey && !hasProvider ? [cmd({ cwd })`${CREATE_PROVIDER}`] : [];
  const last = cmd({ cwd })`${hasSandbox ? CONNECT : createArguments(hasKey || hasProvider, given)}`;
  if (isDryRun) {
    terminal.result(...[...register, last].map((step) => runner.describe(step)));
    return 0;
  }
  if (hasSandbox && given.length > 0) {
    const run = argvText(cmd({ cwd })`${execArguments(given)}`);
    terminal.warn(`the sandbox '${SANDBOX}' exists already, so this command is not run; to run it: ${run}`);
  }
  for (const step of register) await runner.run(step);
  terminal.echo(argvText(last));
  return runner.exec(last);
}

/** The CLI of a checkout compiles itself when it is old: for minutes, so the user sees it and no time limit holds. */
async function prepareCli({ runner, env, startDirectory: cwd }: RunnerContext): Promise<void> {
  const hint = "start this as mise run sandbox, add the checkout's scripts/bin to PATH, or install it";
  const program = requireProgram(CLI, env, hint);
  if (program.endsWith(`/scripts/bin/${CLI}`)) await runner.run(cmd({ cwd })`${CLI} --version`);
}

/**
 * The output of the CLI; `undefined` where the gateway does not have what is looked for.
 * @throws usageError for any other failure
 */
async function probe({ runner, startDirectory: cwd }: RunnerContext, argv: readonly string[]) {
  const command = cmd({ cwd })`${argv}`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (result.ok) return result.output;
  if (isNotFound(result.reason)) return undefined;
  throw usageError(`${argvText(command)} failed: ${oneLine(result.reason)}; see ${CLI} status`);
}
