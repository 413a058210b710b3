// SPDX-License-Identifier: Apache-2.0

/** A Keycloak for tests of OIDC, in a container: started and waited for, stopped, or looked at. */

import { existsSync, statSync } from 'node:fs';
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
import { isTable, parseJson } from '../fs/parse-json.ts';
import { parsePort, verifyPortFree } from '../gateway/port.ts';
import { thisHost } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import { poll } from '../process/poll.ts';
import { Signals } from '../process/signals.ts';
import { PRODUCT } from '../product.ts';

const CONTAINER = 'openshell-keycloak';
const IMAGE = 'quay.io/keycloak/keycloak:24.0';
const IMPORTED = '/opt/keycloak/data/import/realm.json';
const REALM = '/realms/openshell';
/** What clients read first, and what responds once the realm is imported. */
const DISCOVERY = `${REALM}/.well-known/openid-configuration`;
const PORT_OPTION = '--http-port=';
/** Where GitHub's runner has a job's checkout: in its container, and on the host, where the engine looks for it. */
const JOB_WORK = '/__w/';
const HOST_WORK = '/home/runner/_work/';

/** The arguments of the engine's program for the container. */
const ARGUMENTS = {
  inspect: ['container', 'inspect', CONTAINER],
  stop: ['container', 'stop', CONTAINER],
  remove: ['container', 'rm', '--force', '--volumes', CONTAINER],
  logs: ['container', 'logs', '--tail', '30', CONTAINER],
} as const;

/** @throws usageError where there is no such file */
function verifyRealm(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
  throw usageError(`${shown(path)} does not exist; get it back from the repository, or check OPENSHELL_ROOT`);
}

/** The realm's path on the host of a job's container. @throws usageError where that is not known, or no file */
export function hostRealm(realm: string, hostWork = HOST_WORK): string {
  if (realm.startsWith(JOB_WORK)) return verifyRealm(join(hostWork, realm.slice(JOB_WORK.length)));
  throw usageError(`${shown(realm)} is not below ${JOB_WORK}, so its path on the host is unknown; check it out there`);
}

/**
 * The arguments that start it, for this machine alone: everybody knows the password of its administrator.
 * @param realm the file for the engine
 * @param job the container of a CI job, whose network it shares; `undefined` on a machine of its own
 */
export function runArguments(port: number, realm: string, job: string | undefined): string[] {
  const admin = ['--env', 'KEYCLOAK_ADMIN=admin', '--env', 'KEYCLOAK_ADMIN_PASSWORD=admin'];
  const start = ['run', '--detach', '--name', CONTAINER];
  if (job === undefined) {
    const place = ['--publish', `127.0.0.1:${port}:8080`, '--volume', `${realm}:${IMPORTED}:ro,z`];
    return [...start, ...place, ...admin, IMAGE, 'start-dev', '--import-realm'];
  }
  const network = ['--network', `container:${job}`, '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
  // Unlike a volume, a mount whose source is not there fails.
  const mount = ['--mount', `type=bind,src=${realm},dst=${IMPORTED},readonly`];
  const listen = ['--http-host=127.0.0.1', `${PORT_OPTION}${port}`];
  return [...start, ...network, ...mount, ...admin, IMAGE, 'start-dev', ...listen, '--import-realm'];
}

type Container = NonNullable<ReturnType<typeof readContainer>>;

/** Reads the output of `container inspect`; `undefined` for text that is something else. */
export function readContainer(text: string) {
  const [found] = [parseJson(text)].flat().filter(isTable);
  if (found === undefined || !isTable(found.State)) return undefined;
  const { PortBindings } = isTable(found.HostConfig) ? found.HostConfig : {};
  const [published] = Object.values(PortBindings ?? {})
    .flat()
    .filter(isTable);
  const option = [found.Args].flat().find((one) => String(one).startsWith(PORT_OPTION));
  // 0 where it publishes nothing.
  const port = Number(published?.HostPort ?? String(option).slice(PORT_OPTION.length)) || 0;
  return { isRunning: found.State.Running === true, exitCode: found.State.ExitCode, port };
}

function infoLines(port: number): string[] {
  const server = `http://localhost:${port}`;
  return [
    `Issuer URL:    ${server}${REALM}`,
    `Discovery:     ${server}${DISCOVERY}`,
    `Admin console: ${server}/admin (admin/admin)`,
    ...userLines(server),
  ];
}

/** The users of the realm, and how one of them gets a token. */
export function userLines(server: string): string[] {
  const form = 'grant_type=password&client_id=openshell-cli&username=admin@test&password=admin';
  return [
    'Users:         admin@test/admin (openshell-admin), user@test/user and user-b@test/user-b (openshell-user)',
    `Get a token:   curl -s ${server}${REALM}/protocol/openid-connect/token -d '${form}' | jq -r .access_token`,
  ];
}

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
  action: 'start' | 'stop' | 'status',
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
