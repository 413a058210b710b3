// SPDX-License-Identifier: Apache-2.0

/** Creating the developer's sandbox `dev` on the active gateway, or reconnecting to it. */

import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { RunnerContext } from '../build-env.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { readVariable } from '../cli/env.ts';
import { MissingTool, oneLine, shown, usageError } from '../errors.ts';
import { parseTable } from '../fs/parse-json.ts';
import { configHome, registeredGateways } from '../gateway/registration.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import { isExecutable, requireProgram } from '../process/which.ts';
import { splitArguments } from './split-arguments.ts';

const CLI = 'openshell';
const KEY_VARIABLE = 'ANTHROPIC_API_KEY';
const PROBE_TIMEOUT_MS = 60_000;
/** The gateway's status for what it does not have, as the CLI's gRPC library prints it, old and new. */
export const NOT_FOUND = /code: 'Some requested entity was not found'|status: NotFound\b/;
const NONE_ACTIVE = 'no gateway is active';
const UNREACHABLE = /client error \(Connect\)|tcp connect error|Connection refused/;

/**
 * Creates the sandbox with a command, or connects to the existing one; the CLI replaces this process, or else its exit
 * status is given. Mise's variable counts where the command is empty.
 * @throws MissingTool without the CLI or a gateway, and where the gateway cannot tell what it has
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
    const marked = found === undefined ? unknownLines(hasKey, connect) : [];
    terminal.result(...marked, ...[...register, last].map((step) => runner.describe(step)));
    return 0;
  }
  if (hasSandbox && given.length > 0) {
    const run = argvText(cli`openshell sandbox exec --name dev --tty -- ${given}`);
    terminal.warn(`the sandbox 'dev' exists already, so this command is not run; to run it: ${run}`);
  }
  if (hasKey && hasProvider) {
    terminal.warn(
      `the provider 'anthropic' exists already and keeps its key, whatever ${KEY_VARIABLE} is; to change that: ` +
        `${CLI} provider --help`,
    );
  } else if (hasKey && hasSandbox) {
    terminal.warn("the sandbox 'dev' exists already, and does not get the provider 'anthropic' that is new");
  }
  for (const step of register) await runner.run(step);
  terminal.echo(argvText(last));
  return runner.exec(last);
}

/** What a dry run says where it is unknown what the gateway has. */
function unknownLines(hasKey: boolean, connect: Command): string[] {
  const where = (what: string) => `# ${mark(what, 'gateway not reachable')}: where it exists`;
  return [
    `${where('sandbox dev')}, nothing but: ${argvText(connect)}`,
    `${where('provider anthropic')}, ${hasKey ? 'it is not created' : 'also --provider anthropic'}`,
  ];
}

/** What the gateway has of the sandbox and the provider, the latter where it matters. */
async function findExisting(ctx: RunnerContext, hasKey: boolean) {
  const program = await prepareCli(ctx);
  const cli = cmd({ cwd: ctx.startDirectory });
  const status = await probe(ctx, cli`${program} status -o json`, UNREACHABLE);
  const problem = status === undefined ? 'the gateway of the CLI does not respond' : whyNotConnected(status);
  const isThere = problem !== NONE_ACTIVE;
  if (problem !== undefined) {
    throw new MissingTool(`${problem}; ${isThere ? 'start it, or ' : ''}${await howToGetOne(ctx)}`);
  }
  const existing = await probe(ctx, cli`${program} sandbox get dev`);
  if (/^\s*Phase:\s+Error$/m.test(stripVTControlCharacters(existing ?? ''))) {
    const why = `${CLI} sandbox get dev says more`;
    throw usageError(`the sandbox 'dev' has failed (${why}); run: ${CLI} sandbox delete dev, then this again`);
  }
  const hasSandbox = existing !== undefined;
  const isWanted = hasKey || !hasSandbox;
  return {
    hasSandbox,
    hasProvider: isWanted && (await probe(ctx, cli`${program} provider get anthropic`)) !== undefined,
  };
}

/**
 * The program to probe with. The CLI of a checkout compiles itself when it is old: for minutes, so the user sees it and
 * no time limit holds. A dry run takes what was compiled last.
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
 * The output of the CLI; `undefined` where it says what is expected, such as that the gateway does not have a thing.
 * @throws MissingTool for any other failure
 */
async function probe({ runner }: RunnerContext, command: Command, expected = NOT_FOUND) {
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (result.ok) return result.output;
  const reason = plain(result.reason);
  if (expected.test(reason)) return undefined;
  throw new MissingTool(`${argvText(command)} failed: ${reason}; see ${CLI} status`);
}

/** What the CLI says, without what draws its errors: a cross, and the branches of a tree. It breaks long lines. */
export function plain(text: string): string {
  return oneLine(
    stripVTControlCharacters(text)
      .replaceAll(/[\s×│├╰─▶]+/g, ' ')
      .trim(),
  );
}

/** What to do without a gateway: one that is registered and responds may be all that is missing. */
async function howToGetOne({ env, runner, startDirectory }: RunnerContext): Promise<string> {
  const all = await registeredGateways(configHome(env, startDirectory, runner.invoker));
  const selects = all.flatMap(({ isActive, name, responds }) =>
    responds && !isActive ? [`${CLI} gateway select ${name}`] : [],
  );
  if (selects.length > 0) return `take one that responds (${selects.join(', ')})`;
  return `start one in another terminal (mise run gateway), or register one (${CLI} gateway add <endpoint>)`;
}

/** Why `status -o json` does not say that it is connected: the CLI exits with 0 for every status. Pure. */
export function whyNotConnected(output: string): string | undefined {
  // Notices may come before it.
  const { status, gateway, server, error } = parseTable(output.replace(/^.*?^(?=\{)/ms, '')) ?? {};
  if (status === 'connected' || status === 'connected_http') return undefined;
  if (status === undefined) {
    throw usageError(`openshell status -o json printed ${shown(output)}, which is not a status; update the CLI`);
  }
  if (status === 'not_configured') return NONE_ACTIVE;
  const reason = typeof error === 'string' ? ` (${plain(error)})` : '';
  return `the gateway ${gateway} (${server}) is not connected: its status is ${status}${reason}`;
}
