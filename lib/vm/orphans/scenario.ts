// SPDX-License-Identifier: Apache-2.0

/** One scenario: a gateway with a sandbox gets a signal, and everything that came from it has to go. */

import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import type { RunnerContext } from '../../build-env.ts';
import { seconds } from '../../cli/terminal.ts';
import { describeError, EXIT, failure, isFailure } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { textIn } from '../../fs/paths.ts';
import { argvText } from '../../process/command.ts';
import { poll } from '../../process/poll.ts';
import type { OrphansConfig, Scenario } from './plan.ts';
import { isProgram, type ProcessEntry, type ProcessTree, processReader, processTree } from './processes.ts';

const POLL_MS = 200;
const HEALTH_TIMEOUT_MS = 1000;
const LOG_LINES = 40;

/** What runs for a scenario. */
interface Running {
  readonly pid: number;
  readonly tree: ProcessTree;
  readonly ended: Promise<unknown>;
  /** Its exit status, once it has ended. */
  status?: number;
}

/** Runs a scenario, prints and gives whether it has passed, and ends all that it has started, whatever happens. */
export async function runScenario(ctx: RunnerContext, config: OrphansConfig, scenario: Scenario): Promise<boolean> {
  const { create, directory, gateway, label } = scenario;
  const started: Running[] = [];
  try {
    const running = await startAll(ctx, config, scenario, started);
    return await endAndLook(ctx, config, scenario, running);
  } catch (error) {
    if (!isFailure(error)) throw error;
    for (const { log } of [gateway, create]) {
      const lines = textIn(log)?.trim().split('\n').slice(-LOG_LINES) ?? [];
      for (const line of [`the end of ${log}:`, ...lines.map((one) => `  ${one}`)]) ctx.terminal.say(line);
    }
    ctx.terminal.result(`FAIL (${label}): ${describeError(error)}`);
    return false;
  } finally {
    for (const { tree } of started) await tree.kill();
    await Promise.all(started.map(({ ended }) => ended));
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Starts the gateway, which it gives, and a sandbox, and waits until its network is up. Processes are looked at all the
 * while: one whose parent ends at once is seen before.
 */
async function startAll(
  ctx: RunnerContext,
  config: OrphansConfig,
  scenario: Scenario,
  started: Running[],
): Promise<Running> {
  const { runner, signals, terminal } = ctx;
  /** @throws failure with the reason where the time is over before there is a value */
  const wait = async <T>(timeoutMs: number, reason: string, attempt: () => Promise<T | undefined>) => {
    const found = await poll(attempt, { intervalMs: POLL_MS, timeoutMs, signal: signals.aborted });
    if (found === undefined) throw failure(reason);
    return found;
  };
  for (const path of scenario.directories) mkdirSync(path, { mode: 0o700 });
  writeWhole(scenario.config.path, scenario.config.text, 0o600);
  const gateway = await start(ctx, config, scenario.gateway, started);
  const url = `http://127.0.0.1:${config.port + 1}/healthz`;
  terminal.say(`gateway pid=${gateway.pid}, port ${config.port}, health ${config.port + 1}`);
  await wait(config.limits.healthy, `the gateway does not become healthy (${url})`, async () => {
    refuseEnd('the gateway', gateway);
    await gateway.tree.look();
    // Until it listens there is no response.
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) }).catch(() => undefined);
    return response?.ok || undefined;
  });
  for (const step of scenario.setup) await runner.run(step);
  const cli = await start(ctx, config, scenario.create, started);
  const entries = await wait(config.limits.sandbox, 'the sandbox does not come up', async () => {
    refuseEnd('the gateway', gateway);
    if (cli.status !== 0) refuseEnd('openshell sandbox create', cli);
    await cli.tree.look();
    const found = await gateway.tree.look();
    return found.some((entry) => isProgram(entry, 'gvproxy')) ? found : undefined;
  });
  for (const line of entries.map(textOf)) terminal.say(line);
  return gateway;
}

async function start(
  { runner }: RunnerContext,
  { host, root }: OrphansConfig,
  { command, log }: Scenario['gateway'],
  started: Running[],
): Promise<Running> {
  const output = openSync(log, 'wx', 0o600);
  try {
    const { ended, pid = 0 } = runner.beside(command, output);
    const note = (status: number) => Object.assign(running, { status });
    const running: Running = {
      pid,
      tree: processTree(pid, processReader(runner, host.platform, root)),
      ended: ended.then(note, () => note(EXIT.failed)),
    };
    // A signal to this pid would go to the task itself.
    if (pid === 0) throw failure(`${argvText(command)} could not be started`);
    started.push(running);
    await running.tree.look();
    return running;
  } finally {
    closeSync(output);
  }
}

/** @throws failure where a program has ended that has to run */
function refuseEnd(name: string, { status }: Running): void {
  if (status !== undefined) throw failure(`${name} has ended with status ${status}; see its log`);
}

async function endAndLook(
  { signals, terminal }: RunnerContext,
  { limits }: OrphansConfig,
  { label, signal }: Scenario,
  gateway: Running,
): Promise<boolean> {
  // Once it has ended, its pid may be that of another process.
  refuseEnd('the gateway', gateway);
  const { pid, tree } = gateway;
  terminal.say(`kill -${signal.slice('SIG'.length)} ${pid}`);
  process.kill(pid, signal);
  const begin = performance.now();
  const attempt = async () => ((await tree.look()).length === 0 ? true : undefined);
  const isGone = await poll(attempt, { intervalMs: POLL_MS, timeoutMs: limits.gone, signal: signals.aborted });
  if (isGone === true) {
    terminal.result(`PASS (${label}): everything was gone after ${seconds(performance.now() - begin)}`);
    return true;
  }
  const lines = (await tree.look()).map(textOf);
  terminal.result(`FAIL (${label}): processes left after ${seconds(limits.gone)}: ${lines.length}`, ...lines);
  return false;
}

/** A process for users. */
function textOf({ command, pid }: ProcessEntry): string {
  return `  pid ${pid}: ${command}`;
}
