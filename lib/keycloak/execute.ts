// SPDX-License-Identifier: Apache-2.0

/** A Keycloak for tests of OIDC: started and waited for, stopped, or looked at. */

import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Runner, type RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { mark } from '../cli/dry-run-marks.ts';
import { readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { seconds } from '../cli/terminal.ts';
import { detectEngine, ORDINARY } from '../engine/detect.ts';
import { forThisMachine } from '../engine/gateway-engine.ts';
import { failure, oneLine, shown, usageError } from '../errors.ts';
import { parsePort, verifyPortFree } from '../gateway/port.ts';
import { thisHost } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import { poll } from '../process/poll.ts';
import { Signals } from '../process/signals.ts';
import { PRODUCT } from '../product.ts';
import {
  type ACTIONS,
  ARGUMENTS,
  CONTAINER,
  type Container,
  DISCOVERY,
  hostRealm,
  infoLines,
  readContainer,
  runArguments,
  verifyRealm,
} from './plan.ts';

const PROBE_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 1000;
const REQUEST_TIMEOUT_MS = 2000;
const DEFAULT_PORT = 8180;
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

/** Does what is asked, or prints the plan. @returns the exit status: 1 for the status of one that does not run */
export async function keycloak(
  given: RunnerContext,
  action: (typeof ACTIONS)[number],
  isDryRun: boolean,
  facts: Partial<typeof FACTS> = {},
): Promise<number> {
  const { env, startDirectory: cwd } = given;
  const isStart = action === 'start';
  const problems = new Problems();
  const text = readVariable(env, 'KEYCLOAK_PORT');
  const named = problems.attempt(() => text && parsePort('KEYCLOAK_PORT', text)) || undefined;
  const realm = problems.attempt(() => isStart && verifyRealm(join(findCheckout(env, cwd), PRODUCT.keycloakRealm)));
  // One on another machine has no realm to mount, and would publish the port there; what is there can be stopped.
  const purpose = isStart ? forThisMachine(given, thisHost().platform) : ORDINARY;
  const engine = await problems.attemptAsync(() =>
    detectEngine(given, cwd, { ...purpose, alias: 'CONTAINER_RUNTIME' }),
  );
  problems.throwIfAny(given.terminal);
  if (!engine) throw new TypeError('an engine that is not known is a problem');
  const { program, record, unknown } = engine;
  const command = (args: readonly string[]) => cmd({ cwd })`${[program, ...args]}`;
  const ctx: KeycloakContext = { ...given, engine: unknown === undefined ? record.name : program, unknown, command };
  const found = unknown === undefined ? await inspect(ctx) : undefined;
  if (realm) return start(ctx, found, named, realm, isDryRun, { ...FACTS, ...facts });
  return action === 'status' ? tellStatus(ctx, found, named) : stop(ctx, found, isDryRun);
}

function stateText({ engine, unknown }: KeycloakContext, found: Container | undefined): string {
  const known = found === undefined ? 'not there' : found.isRunning ? `running on port ${found.port}` : 'not running';
  return `the container ${CONTAINER} in ${engine} is ${unknown === undefined ? known : mark('state', unknown)}`;
}

function tellStatus(ctx: KeycloakContext, found: Container | undefined, named: number | undefined): number {
  const isRunning = found?.isRunning === true;
  const other = isRunning && named !== undefined && found.port !== named ? `, not ${named} (KEYCLOAK_PORT)` : '';
  ctx.terminal.result(`${stateText(ctx, found)}${other}`, ...(isRunning ? infoLines(found.port) : []));
  return (isRunning && other === '') || ctx.unknown !== undefined ? 0 : 1;
}

async function stop(ctx: KeycloakContext, found: Container | undefined, isDryRun: boolean): Promise<number> {
  const { command, engine, runner, terminal, unknown } = ctx;
  const isThere = found !== undefined || unknown !== undefined;
  const steps = isThere ? [ARGUMENTS.stop, ARGUMENTS.remove].map(command) : [];
  if (isDryRun) {
    const notes = unknown === undefined ? [] : [`# ${mark('container', unknown)}: the plan is for one that is there`];
    terminal.result(...notes, ...steps.map((step) => runner.describe(step)));
    return 0;
  }
  for (const step of steps) await runner.run(step);
  terminal.result(isThere ? `the container ${CONTAINER} in ${engine} is stopped and removed` : stateText(ctx, found));
  return 0;
}

/** @returns `undefined` where there is no such container @throws usageError where the engine does not tell */
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
  named: number | undefined,
  realm: string,
  isDryRun: boolean,
  facts: typeof FACTS,
): Promise<number> {
  const { command, runner, signals, terminal, unknown } = ctx;
  const port = found?.isRunning ? found.port : (named ?? DEFAULT_PORT);
  const steps: Command[] = [];
  if (found?.isRunning) {
    const said = `Keycloak is already running on port ${port}`;
    const isOther = port === 0 || (named ?? port) !== port;
    if (isOther) throw usageError(`${said}, not ${named} (KEYCLOAK_PORT); stop it first (mise run keycloak:stop)`);
    terminal.say(said);
  } else {
    // Where the engine is unknown, it may be Keycloak that has the port.
    if (unknown === undefined) await verifyPortFree('127.0.0.1', port, 'KEYCLOAK_PORT');
    const job = await jobContainer(ctx, facts);
    if (found !== undefined) steps.push(command(ARGUMENTS.remove));
    const onHost = () => (unknown === undefined ? hostRealm(realm) : mark('realm on the host', unknown));
    steps.push(command(runArguments(port, job === undefined ? realm : onHost(), job)));
  }
  const what = `http://localhost:${port}${DISCOVERY}, for ${seconds(facts.readyMs)} at most`;
  if (isDryRun) {
    const notes = unknown === undefined ? [] : [`# ${mark('container', unknown)}: the plan is for none that is there`];
    terminal.result(...notes, ...steps.map((step) => runner.describe(step)), `# waits for ${what}`);
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
    const signal = AbortSignal.any([signals.aborted, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const response = await fetch(`http://127.0.0.1:${port}${DISCOVERY}`, { signal }).catch(() => undefined);
    if (response?.status === 200) return 'ready';
    const now = await inspect(ctx);
    return now?.isRunning === true ? undefined : `has ended with status ${now?.exitCode ?? 'unknown'}`;
  };
  const end = await poll(attempt, { intervalMs: READY_POLL_MS, timeoutMs, signal: signals.aborted });
  if (end === 'ready') return;
  await runner.run(command(ARGUMENTS.logs)).catch(() => signals.throwIfReceived());
  const problem = end ?? `does not respond within ${seconds(timeoutMs)}`;
  throw failure(`Keycloak ${problem}; see its last lines above; to remove it: mise run keycloak:stop`);
}

/** After a signal the task's own runner starts nothing more. */
async function removeAfterSignal({ command, env, terminal }: KeycloakContext): Promise<void> {
  const runner = new Runner({ env, terminal, signals: new Signals() });
  const result = await runner.probe(command(ARGUMENTS.remove), PROBE_TIMEOUT_MS);
  if (result.ok || ABSENT.test(result.reason)) return;
  terminal.warn(`the container ${CONTAINER} is left: ${oneLine(result.reason)}; to remove it: mise run keycloak:stop`);
}
