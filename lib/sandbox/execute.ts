// SPDX-License-Identifier: Apache-2.0

/** Creating the developer's sandbox `dev` on the active gateway, or reconnecting to it. */

import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { RunnerContext } from '../build-env.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { readVariable } from '../cli/env.ts';
import { MissingTool, oneLine, shown, usageError } from '../errors.ts';
import { parseTable } from '../fs/parse-json.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import { isExecutable, requireProgram } from '../process/which.ts';

const CLI = 'openshell';
const KEY_VARIABLE = 'ANTHROPIC_API_KEY';
const PROBE_TIMEOUT_MS = 60_000;
const REMEDY = `start a gateway in another terminal (mise run gateway), or take another one (${CLI} gateway select NAME)`;
/** The gateway's status for what it does not have, as the CLI's gRPC library prints it, old and new. */
export const NOT_FOUND = /code: 'Some requested entity was not found'|status: NotFound\b/;

/**
 * Creates the sandbox with a command (mise's variable counts where that is empty), or connects to the existing one; the
 * CLI replaces this process, or else its exit status is given.
 */
export async function sandbox(ctx: RunnerContext, command: readonly string[], isDryRun: boolean): Promise<number> {
  const { runner, env, startDirectory: cwd, terminal } = ctx;
  const cli = cmd({ cwd });
  const given =
    command.length > 0 ? command : splitArguments('usage_command', readVariable(env, 'usage_command') ?? '');
  const hasKey = readVariable(env, KEY_VARIABLE) !== undefined;
  const found = await findOrMark(ctx.unknowns, () => findExisting(ctx, hasKey));
  const { hasProvider, hasSandbox } = found ?? { hasProvider: false, hasSandbox: false };
  // The CLI takes the key from its environment: in its arguments every user of the machine could read it.
  const registration = cli`openshell provider create --name anthropic --type claude --credential ${KEY_VARIABLE}`;
  const register = hasKey && !hasProvider ? [registration] : [];
  const provider = hasKey || hasProvider ? ['--provider', 'anthropic'] : [];
  const chosen = given.length > 0 ? given : ['claude'];
  const connect = cli`openshell sandbox connect dev`;
  const last = hasSandbox ? connect : cli`openshell sandbox create --name dev ${provider} --tty -- ${chosen}`;
  if (isDryRun) {
    const unknown = `# ${mark('sandbox dev', 'gateway not reachable')}: where it exists, nothing but: ${argvText(connect)}`;
    terminal.result(
      ...(found === undefined ? [unknown] : []),
      ...[...register, last].map((one) => runner.describe(one)),
    );
    return 0;
  }
  if (hasSandbox && given.length > 0) {
    const run = argvText(cli`openshell sandbox exec --name dev --tty -- ${given}`);
    terminal.warn(`the sandbox 'dev' exists already, so this command is not run; to run it: ${run}`);
  }
  for (const step of register) await runner.run(step);
  terminal.echo(argvText(last));
  return runner.exec(last);
}

/** What the gateway has of the sandbox and the provider, the latter where it matters. */
async function findExisting(ctx: RunnerContext, hasKey: boolean) {
  const program = await prepareCli(ctx);
  const cli = cmd({ cwd: ctx.startDirectory });
  const problem = whyNotConnected((await probe(ctx, cli`${program} status -o json`)) ?? '');
  if (problem !== undefined) throw new MissingTool(`${problem}; ${REMEDY}`);
  const hasSandbox = (await probe(ctx, cli`${program} sandbox get dev`)) !== undefined;
  const isWanted = hasKey || !hasSandbox;
  return {
    hasSandbox,
    hasProvider: isWanted && (await probe(ctx, cli`${program} provider get anthropic`)) !== undefined,
  };
}

/** The program to probe with. That of a checkout compiles itself first, in view; a dry run takes the last one. */
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

/** The output of the CLI; `undefined` where the gateway does not have a thing. @throws MissingTool for any other failure */
async function probe({ runner }: RunnerContext, command: Command): Promise<string | undefined> {
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (result.ok) return result.output;
  const reason = plain(result.reason);
  if (NOT_FOUND.test(reason)) return undefined;
  throw new MissingTool(`${argvText(command)} failed: ${reason}; ${REMEDY}`);
}

/** What the CLI says, without what draws its errors: a cross, and the branches of a tree. It breaks long lines. */
export function plain(text: string): string {
  return oneLine(
    stripVTControlCharacters(text)
      .replaceAll(/[\s×│├╰─▶]+/g, ' ')
      .trim(),
  );
}

/** Why `status -o json` does not say that it is connected: the CLI exits with 0 for every status. Pure. */
export function whyNotConnected(output: string): string | undefined {
  // Notices may come before it.
  const { status, gateway, server, error } = parseTable(output.replace(/^.*?^(?=\{)/ms, '')) ?? {};
  if (status === 'connected' || status === 'connected_http') return undefined;
  if (status === undefined) {
    throw usageError(`openshell status -o json printed ${shown(output)}, which is not a status; update the CLI`);
  }
  if (status === 'not_configured') return 'no gateway is active';
  const reason = typeof error === 'string' ? ` (${plain(error)})` : '';
  return `the gateway ${gateway} (${server}) is not connected: its status is ${status}${reason}`;
}

/** What is in single quotes, in double quotes, or after a backslash. */
const QUOTED = /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g;
const ARGUMENT = new RegExp(`(?:${QUOTED.source}|[^\\s'"\\\\])+`, 'g');

/**
 * Splits the text of a variable as a POSIX shell does, without expanding anything: mise quotes arguments so.
 * @throws usageError for a quote that is not closed
 */
export function splitArguments(source: string, text: string): string[] {
  if (text.replaceAll(ARGUMENT, '').trim() !== '') {
    throw usageError(`${source} is ${shown(text)}, which has a quote that is not closed; close it`);
  }
  // A backslash before a line break removes both.
  const unescaped = (_: string, character: string) => (character === '\n' ? '' : character);
  return (text.match(ARGUMENT) ?? []).map((argument) =>
    argument.replaceAll(
      QUOTED,
      (_, single?: string, double?: string, escaped = '') =>
        single ?? double?.replaceAll(/\\([$`"\\\n])/g, unescaped) ?? unescaped('', escaped),
    ),
  );
}
