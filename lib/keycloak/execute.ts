// SPDX-License-Identifier: Apache-2.0

/** A Keycloak for tests of OIDC: started and waited for, stopped, or looked at. */

import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { hostname } from 'node:os';
import { Runner, type RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { seconds } from '../cli/terminal.ts';
import { mark } from '../cli/unknowns.ts';
import { detectEngine, ORDINARY } from '../engine/detect.ts';
import { forThisMachine } from '../engine/gateway-engine.ts';
import { failure, oneLine, shown, usageError } from '../errors.ts';
import { verifyPortFree } from '../gateway/port.ts';
import { thisHost } from '../host.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import { poll } from '../process/poll.ts';
import { Signals } from '../process/signals.ts';
import { type ACTIONS, hostRealm, resolvePort, resolveRealm } from './config.ts';
import { ARGUMENTS, CONTAINER, type Container, DISCOVERY, infoLines, readContainer, runArguments } from './plan.ts';

const PROBE_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 1000;
const REQUEST_TIMEOUT_MS = 2000;
const ABSENT = /no such container/i;

/** This machine, and how long Keycloak may take, as values for tests; the mark is there in containers of docker's. */
const FACTS = { hostname: hostname(), mark: '/.dockerenv', readyMs: 90_000 };

/** The context with the engine: its name, and the commands of its program. */
interface KeycloakContext extends RunnerContext {
  readonly engine: string;
  /** In a dry run: why the engine could not be asked. */
  readonly unknown: string | undefined;
  command(args: readonly string[]): Command;
}

/**
 * Does what is asked, or prints the plan.
 * @returns the exit status: 1 for the status of a Keycloak that does not run
 * @throws TaskError: 2 before anything is started, else the engine's own status, or 1 where Keycloak does not respond
 */
export async function keycloak(
  given: RunnerContext,
  action: (typeof ACTIONS)[number],
  isDryRun: boolean,
  facts: Partial<typeof FACTS> = {},
): Promise<number> {
  const { env, runner, startDirectory: cwd, terminal } = given;
  const problems = new Problems();
  const wanted = problems.attempt(() => resolvePort(env));
  const realm = problems.attempt(() => (action === 'start' ? resolveRealm(env, cwd) : ''));
  // One on another machine has no realm to mount, and would publish the port there; what is there can be stopped.
  const needed = action === 'start' ? forThisMachine(given, thisHost().platform) : ORDINARY;
  const purpose = { ...needed, alias: 'CONTAINER_RUNTIME' } as const;
  const engine = await problems.attemptAsync(() => detectEngine(given, cwd, purpose));
  problems.throwIfAny(terminal);
  if (!wanted || realm === undefined || !engine) throw new TypeError('what is not known here is a problem');
  const command = (args: readonly string[]) => cmd({ cwd })`${[engine.program, ...args]}`;
  const { program, record, unknown } = engine;
  const ctx: KeycloakContext = { ...given, engine: unknown === undefined ? record.name : program, unknown, command };
  const found = unknown === undefined ? await inspect(ctx) : undefined;
  if (action === 'start') return start(ctx, found, { ...wanted, realm }, isDryRun, { ...FACTS, ...facts });
  const known = found === undefined ? 'not there' : found.isRunning ? `running on port ${found.port}` : 'not running';
  const state = unknown === undefined ? known : mark('state', unknown);
  const said = `the container ${CONTAINER} in ${ctx.engine} is`;
  if (action === 'status' && found?.isRunning === true && wanted.isNamed && found.port !== wanted.port) {
    terminal.result(`${said} ${state}, not ${wanted.port} (KEYCLOAK_PORT)`, ...infoLines(found.port));
    return 1;
  }
  if (action === 'status') {
    terminal.result(`${said} ${state}`, ...(found?.isRunning && found.port > 0 ? infoLines(found.port) : []));
    return found?.isRunning === true || unknown !== undefined ? 0 : 1;
  }
  const isThere = found !== undefined || unknown !== undefined;
  const steps = isThere ? [...(found?.isRunning === false ? [] : [ARGUMENTS.stop]), ARGUMENTS.remove].map(command) : [];
  const marked = unknown === undefined ? [] : [`# ${mark('container', unknown)}: only where it is there`];
  if (isDryRun) terminal.result(...marked, ...steps.map((step) => runner.describe(step)));
  else for (const step of steps) await runner.run(step);
  if (!isDryRun) terminal.result(`${said} ${found === undefined ? state : 'stopped and removed'}`);
  return 0;
}

/**
 * @returns `undefined` where there is no such container
 * @throws usageError where the engine does not tell
 */
async function inspect({ command, engine, runner }: KeycloakContext): Promise<Container | undefined> {
  const result = await runner.probe(command(ARGUMENTS.inspect), PROBE_TIMEOUT_MS);
  if (!result.ok && ABSENT.test(result.reason)) return undefined;
  const container = result.ok ? readContainer(result.output) : undefined;
  if (container !== undefined) return container;
  const said = result.ok ? shown(result.output) : oneLine(result.reason);
  throw usageError(`${engine} does not tell of the container ${CONTAINER}: ${said}; find out why`);
}

/** Starts it where it does not run, and waits until it responds. */
async function start(
  ctx: KeycloakContext,
  found: Container | undefined,
  wanted: { readonly port: number; readonly isNamed: boolean; readonly realm: string },
  isDryRun: boolean,
  facts: typeof FACTS,
): Promise<number> {
  const { command, runner, signals, terminal, unknown } = ctx;
  const steps: Command[] = [];
  let { port } = wanted;
  if (found?.isRunning === true) {
    const said = `Keycloak is already running on port ${found.port}`;
    const isOther = found.port === 0 || (wanted.isNamed && found.port !== port);
    if (isOther) throw usageError(`${said}, not ${port} (KEYCLOAK_PORT); stop it first (mise run keycloak:stop)`);
    port = found.port;
    terminal.say(said);
  } else {
    // Where the engine is unknown, it may be Keycloak that has the port.
    if (unknown === undefined) await verifyPortFree('127.0.0.1', port, 'KEYCLOAK_PORT');
    const job = await jobContainer(ctx, facts);
    if (found !== undefined) steps.push(command(ARGUMENTS.remove));
    const onHost = () => (unknown === undefined ? hostRealm(wanted.realm) : mark('realm on the host', unknown));
    steps.push(command(runArguments(port, job === undefined ? wanted.realm : onHost(), job)));
  }
  const what = `http://localhost:${port}${DISCOVERY}, for ${seconds(facts.readyMs)} at most`;
  if (isDryRun) {
    const [first, other] = ['it runs, only the wait', `it is stopped, first: ${argvText(command(ARGUMENTS.remove))}`];
    const marked = unknown === undefined ? [] : [`# ${mark('container', unknown)}: where ${first}; where ${other}`];
    terminal.result(...marked, ...steps.map((step) => runner.describe(step)), `# waits for ${what}`);
    return 0;
  }
  try {
    for (const step of steps) await runner.run(step);
    terminal.say(`waiting for ${what}`);
    await waitUntilReady(ctx, port, facts.readyMs);
  } finally {
    if (steps.length > 0 && signals.received !== undefined) await removeAfterSignal(ctx);
  }
  terminal.result(...infoLines(port));
  return 0;
}

/** The container of a CI job that this task runs in, where the engine is that of its host. */
async function jobContainer(ctx: KeycloakContext, { hostname: name, mark: file }: typeof FACTS) {
  const { command, env, runner, unknown } = ctx;
  if (!readVariable(env, 'GITHUB_ACTIONS') || !existsSync(file)) return undefined;
  if (unknown !== undefined) return mark('job container', unknown);
  const result = await runner.probe(command(['container', 'inspect', name]), PROBE_TIMEOUT_MS);
  return result.ok ? name : undefined;
}

/** @throws failure where it ends or does not respond in time, after its last lines */
async function waitUntilReady(ctx: KeycloakContext, port: number, timeoutMs: number): Promise<void> {
  const { command, runner, signals } = ctx;
  const attempt = async () => {
    if (await responds(port)) return 'ready';
    const now = await inspect(ctx);
    return now?.isRunning === true ? undefined : `has ended with status ${now?.exitCode ?? 'unknown'}`;
  };
  const end = await poll(attempt, { intervalMs: READY_POLL_MS, timeoutMs, signal: signals.aborted });
  if (end === 'ready') return;
  await runner.run(command(ARGUMENTS.logs)).catch(() => signals.throwIfReceived());
  const problem = end ?? `does not respond within ${seconds(timeoutMs)}`;
  throw failure(`Keycloak ${problem}; see its last lines above; to remove it: mise run keycloak:stop`);
}

function responds(port: number): Promise<boolean> {
  // Without an agent no proxy of Node's is asked.
  const options = { host: '127.0.0.1', port, path: DISCOVERY, agent: false, timeout: REQUEST_TIMEOUT_MS };
  return new Promise((resolve) => {
    const request = get(options, ({ statusCode }) => {
      resolve(statusCode === 200);
      request.destroy();
    });
    request.once('error', () => resolve(false)).once('timeout', () => request.destroy());
  });
}

/** After a signal the task's own runner starts nothing more. */
async function removeAfterSignal({ command, env, terminal }: KeycloakContext): Promise<void> {
  const runner = new Runner({ env, terminal, signals: new Signals() });
  const result = await runner.probe(command(ARGUMENTS.remove), PROBE_TIMEOUT_MS);
  if (result.ok || ABSENT.test(result.reason)) return;
  terminal.warn(`the container ${CONTAINER} is left: ${oneLine(result.reason)}; to remove it: mise run keycloak:stop`);
}
