// SPDX-License-Identifier: Apache-2.0

/** A Keycloak for tests of OIDC: started and waited for, stopped, or looked at. */

import { existsSync } from 'node:fs';
import { get } from 'node:http';
import { hostname } from 'node:os';
import { Runner, type RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { seconds } from '../cli/terminal.ts';
import { detectEngine, ORDINARY, probeCommand } from '../engine/detect.ts';
import { failure, oneLine, shown, usageError } from '../errors.ts';
import { verifyPortFree } from '../gateway/port.ts';
import type { Command } from '../process/command.ts';
import { poll } from '../process/poll.ts';
import type { ProbeResult } from '../process/result.ts';
import { Signals } from '../process/signals.ts';
import { type ACTIONS, hostRealm, resolvePort, resolveRealm } from './config.ts';
import { CONTAINER, type Container, INSPECT, LOGS, REMOVE, readContainer, runArguments, STOP } from './plan.ts';
import { DISCOVERY, infoLines } from './report.ts';

const PROBE_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 1000;
const REQUEST_TIMEOUT_MS = 2000;
const STOP_FIRST = 'stop it first (mise run keycloak:stop)';

/** This machine, and how long Keycloak may take, as values for tests; the mark is there in containers of docker's. */
const FACTS = { hostname: hostname(), mark: '/.dockerenv', readyMs: 90_000 };

/** The context with the engine: what it is called, and the commands of its program. */
interface KeycloakContext extends RunnerContext {
  readonly engine: string;
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
  const { env, runner, startDirectory, terminal } = given;
  const problems = new Problems();
  const values = problems.values({
    port: () => resolvePort(env),
    realm: () => (action === 'start' ? resolveRealm(env, startDirectory) : ''),
  });
  const purpose = { ...ORDINARY, alias: 'CONTAINER_RUNTIME' } as const;
  const found = await problems.attemptAsync(async () => {
    const { program, record } = await detectEngine(given, startDirectory, purpose);
    const command = (args: readonly string[]) => probeCommand([program, ...args], startDirectory);
    const ctx: KeycloakContext = { ...given, engine: record.name, command };
    return { ctx, container: await inspect(ctx) };
  });
  problems.throwIfAny(terminal);
  if (found === undefined) throw new TypeError('an engine that is not found is a problem');
  const { container, ctx } = found;
  if (action === 'start') return start(ctx, container, values, isDryRun, { ...FACTS, ...facts });
  if (action === 'status') return showStatus(ctx, container);
  const steps = container === undefined ? [] : [...(container.isRunning ? [STOP] : []), REMOVE].map(ctx.command);
  if (isDryRun) terminal.result(...steps.map((step) => runner.describe(step)));
  else for (const step of steps) await runner.run(step);
  const what = `${CONTAINER} in ${ctx.engine}`;
  if (!isDryRun) terminal.result(container === undefined ? `there is no container ${what}` : `removed ${what}`);
  return 0;
}

/**
 * @returns `undefined` where there is no such container
 * @throws usageError where the engine does not tell
 */
async function inspect({ command, engine, runner }: KeycloakContext): Promise<Container | undefined> {
  const result = await runner.probe(command(INSPECT), PROBE_TIMEOUT_MS);
  if (isAbsent(result)) return undefined;
  const container = result.ok ? readContainer(result.output) : undefined;
  if (container !== undefined) return container;
  const said = result.ok ? shown(result.output) : oneLine(result.reason);
  throw usageError(`${engine} does not tell of the container ${CONTAINER}: ${said}; find out why`);
}

function isAbsent(result: ProbeResult): boolean {
  return !result.ok && /no such container/i.test(result.reason);
}

async function showStatus({ engine, terminal }: KeycloakContext, container: Container | undefined): Promise<number> {
  if (container?.isRunning === true) {
    terminal.result(`Keycloak is running on port ${container.port ?? 'none'}`);
    if (container.port !== undefined) terminal.result(...infoLines(container.port));
    return 0;
  }
  const what = `${CONTAINER} in ${engine}`;
  terminal.result(container === undefined ? `there is no container ${what}` : `${what} is not running`);
  return 1;
}

async function start(
  ctx: KeycloakContext,
  found: Container | undefined,
  { port: wanted, realm }: { readonly port: ReturnType<typeof resolvePort>; readonly realm: string },
  isDryRun: boolean,
  facts: typeof FACTS,
): Promise<number> {
  const { command, runner, signals, terminal } = ctx;
  const isThere = found?.isRunning === true;
  const port = isThere ? existingPort(ctx, found, wanted) : wanted.port;
  if (!isThere) await verifyPortFree('127.0.0.1', port, 'KEYCLOAK_PORT');
  const job = isThere ? undefined : await jobContainer(ctx, facts);
  const run = () => runArguments(port, job === undefined ? realm : hostRealm(realm), job);
  const steps = isThere ? [] : [...(found === undefined ? [] : [REMOVE]), run()].map(command);
  const waiting = `waits for http://localhost:${port}${DISCOVERY}, at most ${seconds(facts.readyMs)}`;
  if (isDryRun) {
    terminal.result(...steps.map((step) => runner.describe(step)), `# ${waiting}`);
    return 0;
  }
  try {
    for (const step of steps) await runner.run(step);
    terminal.say(waiting);
    await waitUntilReady(ctx, port, facts.readyMs);
  } finally {
    if (!isThere && signals.received !== undefined) await removeAfterSignal(ctx);
  }
  terminal.result(...infoLines(port));
  return 0;
}

/** @throws usageError where it runs on another port than the one that is named */
function existingPort({ terminal }: RunnerContext, { port }: Container, wanted: ReturnType<typeof resolvePort>) {
  if (port === undefined) throw usageError(`the container ${CONTAINER} runs and publishes no port; ${STOP_FIRST}`);
  if (wanted.isNamed && port !== wanted.port) {
    throw usageError(`Keycloak runs on port ${port}, and KEYCLOAK_PORT is ${wanted.port}; unset it, or ${STOP_FIRST}`);
  }
  terminal.say(`Keycloak is already running on port ${port}`);
  return port;
}

/** The container of a CI job that this task runs in, where the engine is that of its host. */
async function jobContainer({ command, env, runner }: KeycloakContext, { hostname: name, mark }: typeof FACTS) {
  if (!readVariable(env, 'GITHUB_ACTIONS') || !existsSync(mark)) return undefined;
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
  await runner.run(command(LOGS)).catch(() => signals.throwIfReceived());
  const problem = end ?? `does not respond within ${seconds(timeoutMs)}`;
  throw failure(`Keycloak ${problem}; see its last lines above; to remove it: mise run keycloak:stop`);
}

function responds(port: number): Promise<boolean> {
  // Without an agent no proxy of Node's is asked.
  const options = { host: '127.0.0.1', port, path: DISCOVERY, agent: false, timeout: REQUEST_TIMEOUT_MS };
  return new Promise((resolve) => {
    const request = get(options, (response) => resolve(response.resume().statusCode === 200));
    request.once('error', () => resolve(false)).once('timeout', () => request.destroy());
  });
}

/** After a signal the task's own runner starts nothing more. */
async function removeAfterSignal({ command, env, terminal }: KeycloakContext): Promise<void> {
  const runner = new Runner({ env, terminal, signals: new Signals() });
  const result = await runner.probe(command(REMOVE), PROBE_TIMEOUT_MS);
  if (result.ok || isAbsent(result)) return;
  terminal.warn(`the container ${CONTAINER} is left: ${oneLine(result.reason)}; to remove it: mise run keycloak:stop`);
}
