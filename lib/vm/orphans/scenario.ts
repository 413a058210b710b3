// SPDX-License-Identifier: Apache-2.0

/** One scenario: a gateway with a sandbox gets a signal, and everything that came from it has to go. */

import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import type { RunnerContext } from '../../build-env.ts';
import { seconds } from '../../cli/terminal.ts';
import { describeError, EXIT, failure, InterruptedError, TaskError } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { textIn } from '../../fs/paths.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import { argvText, type Command } from '../../process/command.ts';
import { poll } from '../../process/poll.ts';
import type { OrphansConfig } from './config.ts';
import {
  cliCommands,
  cliMarker,
  gatewayCommand,
  gatewayMarker,
  isReady,
  orphansToml,
  type Programs,
  type Scenario,
  type ScenarioPlaces,
} from './plan.ts';
import {
  isProgram,
  type ProcessEntry,
  ProcessTree,
  processReader,
  processText,
  type ReadProcesses,
} from './processes.ts';

const POLL_MS = 200;
const HEALTH_TIMEOUT_MS = 1000;
const LIST_TIMEOUT_MS = 10_000;
const LIST_PAUSE_MS = 2000;
const PORT_TIMEOUT_MS = 5000;
/** How long what was killed may take to be noticed. */
const END_TIMEOUT_MS = 2000;
const LOG_LINES = 40;

/** How a scenario ended. */
export type Verdict =
  | { readonly isPassed: true; readonly ms: number }
  | { readonly isPassed: false; readonly reason: string; readonly survivors: readonly ProcessEntry[] };

/** What runs for a scenario. */
interface Running {
  readonly pid: number;
  readonly tree: ProcessTree;
  /** Its exit status, once it has ended. */
  readonly status: () => number | undefined;
}

/**
 * Runs a scenario, and ends everything that it has started, whatever happens.
 * @throws InterruptedError for a signal to the task
 */
export async function runScenario(
  ctx: RunnerContext,
  config: OrphansConfig,
  programs: Programs,
  scenario: Scenario,
  places: ScenarioPlaces,
): Promise<Verdict> {
  const started: Running[] = [];
  try {
    return await attempt(ctx, config, programs, scenario, places, started);
  } catch (error) {
    if (!(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    for (const path of [places.logs.gateway, places.logs.create]) sayTail(ctx, path);
    return { isPassed: false, reason: describeError(error), survivors: [] };
  } finally {
    for (const { tree } of started) await tree.kill();
    const haveEnded = () => started.every(({ status }) => status() !== undefined) || undefined;
    await poll(haveEnded, { intervalMs: POLL_MS, timeoutMs: END_TIMEOUT_MS });
    rmSync(places.directory, { recursive: true, force: true });
  }
}

async function attempt(
  ctx: RunnerContext,
  config: OrphansConfig,
  programs: Programs,
  scenario: Scenario,
  places: ScenarioPlaces,
  started: Running[],
): Promise<Verdict> {
  const { env, terminal } = ctx;
  await freePorts(ctx, config);
  for (const path of [places.directory, places.state, places.runtime, places.cli]) mkdirSync(path, { mode: 0o700 });
  writeWhole(places.config, orphansToml(config, programs, places), 0o600);
  const read = (marker: string) => processReader(ctx.runner, config.host.platform, config.root, marker);
  const start = async (command: Command, log: string, marker: string): Promise<Running> => {
    const running = startBeside(ctx, command, log, read(marker));
    started.push(running);
    await running.tree.look();
    return running;
  };
  const command = gatewayCommand(config, programs, places, env);
  const gateway = await start(command, places.logs.gateway, gatewayMarker(places));
  terminal.say(`gateway pid=${gateway.pid}, port ${config.port}, health ${config.healthPort}`);
  await waitHealthy(ctx, config, gateway);
  const { add, create, list, sandbox, select } = cliCommands(config, places, env);
  for (const step of [add, select]) await ctx.runner.run(step);
  const cli = await start(create, places.logs.create, cliMarker(places));
  const isListed = async () => {
    const result = await ctx.runner.probe(list, LIST_TIMEOUT_MS);
    return result.ok && isReady(result.output, sandbox);
  };
  for (const entry of await waitSandbox(ctx, config, gateway, cli, isListed)) terminal.say(`  ${processText(entry)}`);
  return endAndLook(ctx, config, scenario, gateway);
}

function startBeside({ runner }: RunnerContext, command: Command, log: string, read: ReadProcesses): Running {
  const output = openSync(log, 'wx', 0o600);
  try {
    const { ended, pid } = runner.beside(command, output);
    let status: number | undefined;
    const note = (value: number) => {
      status = value;
    };
    ended.then(note, () => note(EXIT.failed));
    // Without this a signal would go to the task itself.
    if (pid === undefined) throw failure(`${argvText(command)} could not be started`);
    return { pid, tree: new ProcessTree(pid, read), status: () => status };
  } finally {
    closeSync(output);
  }
}

/** What another scenario has had is free again in a moment. */
async function freePorts({ signals }: RunnerContext, { healthPort, port }: OrphansConfig): Promise<void> {
  let problem: unknown;
  const attemptBoth = async () => {
    try {
      for (const one of [port, healthPort]) await verifyPortFree('127.0.0.1', one);
      return true;
    } catch (error) {
      problem = error;
      return undefined;
    }
  };
  const isFree = await poll(attemptBoth, { intervalMs: POLL_MS, timeoutMs: PORT_TIMEOUT_MS, signal: signals.aborted });
  if (isFree === undefined) throw problem;
}

/** Processes are looked at all the while: one whose parent ends at once is seen before. */
async function waitHealthy({ signals }: RunnerContext, config: OrphansConfig, gateway: Running): Promise<void> {
  const url = `http://127.0.0.1:${config.healthPort}/healthz`;
  const probe = async () => {
    refuseEnd('the gateway', gateway);
    await gateway.tree.look();
    return (await isHealthy(url)) || undefined;
  };
  const options = { intervalMs: POLL_MS, timeoutMs: config.limits.healthy, signal: signals.aborted };
  if ((await poll(probe, options)) === undefined) throw failure(`the gateway does not become healthy (${url})`);
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}

/** @throws failure where a program has ended that has to run */
function refuseEnd(name: string, { status }: Running, isSuccessAllowed = false): void {
  const value = status();
  if (value === undefined || (isSuccessAllowed && value === 0)) return;
  throw failure(`${name} has ended with status ${value}; see its log`);
}

/**
 * Waits until the sandbox runs: its network is up, or the gateway says that it is ready.
 * @returns the processes of the gateway
 */
async function waitSandbox(
  { signals }: RunnerContext,
  config: OrphansConfig,
  gateway: Running,
  cli: Running,
  isListed: () => Promise<boolean>,
): Promise<ProcessEntry[]> {
  let listedAt = performance.now();
  const probe = async () => {
    refuseEnd('the gateway', gateway);
    refuseEnd('openshell sandbox create', cli, true);
    const entries = await gateway.tree.look();
    await cli.tree.look();
    if (entries.some((entry) => isProgram(entry, 'gvproxy'))) return entries;
    if (performance.now() - listedAt < LIST_PAUSE_MS) return undefined;
    listedAt = performance.now();
    return entries.length > 1 && (await isListed()) ? entries : undefined;
  };
  const options = { intervalMs: POLL_MS, timeoutMs: config.limits.sandbox, signal: signals.aborted };
  const entries = await poll(probe, options);
  if (entries === undefined) throw failure('the sandbox does not come up');
  return entries;
}

async function endAndLook(
  { signals, terminal }: RunnerContext,
  { limits }: OrphansConfig,
  { signal }: Scenario,
  { pid, tree }: Running,
): Promise<Verdict> {
  // Once it has ended, its pid may be that of another process.
  if (!(await tree.look()).some((entry) => entry.pid === pid)) throw failure('the gateway has ended; see its log');
  terminal.say(`kill -${signal.slice('SIG'.length)} ${pid}`);
  process.kill(pid, signal);
  const start = performance.now();
  let survivors: ProcessEntry[] = [];
  const probe = async () => {
    survivors = await tree.look();
    return survivors.length === 0 ? true : undefined;
  };
  const isGone = await poll(probe, { intervalMs: POLL_MS, timeoutMs: limits.gone, signal: signals.aborted });
  if (isGone === true) return { isPassed: true, ms: performance.now() - start };
  return { isPassed: false, reason: `processes left after ${seconds(limits.gone)}: ${survivors.length}`, survivors };
}

function sayTail({ terminal }: RunnerContext, path: string): void {
  const text = textIn(path)?.trim() ?? '';
  if (text === '') return;
  terminal.say(`the end of ${path}:`);
  for (const line of text.split('\n').slice(-LOG_LINES)) terminal.say(`  ${line}`);
}
