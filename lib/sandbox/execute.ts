// SPDX-License-Identifier: Apache-2.0

/** Creating the developer's sandbox on the active gateway, or reconnecting to it. */

import { dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { findOrMark } from '../cli/unknowns.ts';
import { MissingTool, oneLine } from '../errors.ts';
import { argvText, cmd } from '../process/command.ts';
import { isExecutable, requireProgram } from '../process/which.ts';
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
  unknownLines,
  verifyConnected,
} from './plan.ts';
import { splitArguments } from './split-arguments.ts';

const PROBE_TIMEOUT_MS = 60_000;

/**
 * Creates the sandbox with a command, or connects to the existing one; the CLI replaces this process.
 * @param command the command; mise's variable counts where it is empty
 * @returns the CLI's exit status, where a process cannot be replaced
 * @throws MissingTool without the CLI or a gateway, and where the gateway cannot tell what it has
 */
export async function sandbox(ctx: RunnerContext, command: readonly string[], isDryRun: boolean): Promise<number> {
  const { runner, env, startDirectory: cwd, terminal } = ctx;
  const given =
    command.length > 0 ? command : splitArguments('usage_command', readVariable(env, 'usage_command') ?? '');
  const hasKey = readVariable(env, KEY_VARIABLE) !== undefined;
  const found = await findOrMark(ctx.unknowns, () => findExisting(ctx, hasKey));
  const { hasProvider, hasSandbox } = found ?? { hasProvider: false, hasSandbox: false };
  const register = hasKey && !hasProvider ? [cmd({ cwd })`${CREATE_PROVIDER}`] : [];
  const last = cmd({ cwd })`${hasSandbox ? CONNECT : createArguments(hasKey || hasProvider, given)}`;
  if (isDryRun) {
    const marked = found === undefined ? unknownLines(hasKey) : [];
    terminal.result(...marked, ...[...register, last].map((step) => runner.describe(step)));
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

/** What the gateway has of the sandbox and the provider, the latter where it matters. */
async function findExisting(ctx: RunnerContext, hasKey: boolean) {
  const cli = await prepareCli(ctx);
  verifyConnected((await probe(ctx, cli, PROBES.status)) ?? '');
  const hasSandbox = (await probe(ctx, cli, PROBES.sandbox)) !== undefined;
  const needsProvider = hasKey || !hasSandbox;
  return { hasSandbox, hasProvider: needsProvider && (await probe(ctx, cli, PROBES.provider)) !== undefined };
}

/**
 * The CLI of a checkout compiles itself when it is old: for minutes, so the user sees it and no time limit holds. A dry
 * run takes what was compiled last.
 * @returns the program to probe with
 */
async function prepareCli({ runner, env, startDirectory: cwd, unknowns }: RunnerContext): Promise<string> {
  const hint = "start this as mise run sandbox, add the checkout's scripts/bin to PATH, or install it";
  const program = requireProgram(CLI, env, hint);
  if (!program.endsWith(`/scripts/bin/${CLI}`)) return CLI;
  if (unknowns === undefined) {
    await runner.run(cmd({ cwd })`${CLI} --version`);
    return CLI;
  }
  const built = join(dirname(program), '../../target/debug', CLI);
  if (isExecutable(built)) return built;
  throw new MissingTool(`${program} has yet to compile ${CLI}, which a dry run does not make it do`);
}

/**
 * The output of the CLI; `undefined` where the gateway does not have what is looked for.
 * @throws MissingTool for any other failure
 */
async function probe({ runner, startDirectory: cwd }: RunnerContext, cli: string, [, ...args]: readonly string[]) {
  const command = cmd({ cwd })`${cli} ${args}`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (result.ok) return result.output;
  if (isNotFound(result.reason)) return undefined;
  throw new MissingTool(`${argvText(command)} failed: ${oneLine(result.reason)}; see ${CLI} status`);
}
