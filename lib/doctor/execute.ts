// SPDX-License-Identifier: Apache-2.0

/** Looking at everything that a first gateway and a first image need, by the preflight's own functions. */

import { Runner, type RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { PreflightError } from '../cli/problems.ts';
import { Terminal } from '../cli/terminal.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { EXIT } from '../errors.ts';
import type { DriverName } from '../gateway/declarations.ts';
import { DRIVERS } from '../gateway/drivers/records.ts';
import { LOOKING, launchContext, planLaunch } from '../gateway/execute.ts';
import { selectDriver } from '../gateway/select-driver.ts';
import { type Machine, thisHost, thisMachine } from '../host.ts';
import { planImage } from '../image/execute.ts';
import type { Command } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { DOCTOR_MAIN_TASKS, DOCTOR_TASKS, type DoctorTask } from '../product.ts';
import { planStaging } from '../stage/execute.ts';
import { type Doctor, lookAt, problemText, type Row } from './check.ts';
import { engineChecks } from './engines.ts';
import { gatewayChecks, isUp } from './gateways.ts';
import { machineChecks, variableChecks } from './machine.ts';
import { printTable, reportJson, type Verdict } from './report.ts';
import { toolChecks } from './tools.ts';

const NOWHERE = { write: () => undefined };

/**
 * Prints what is found.
 * @param named the tasks that decide; empty for the main ones, with a verdict on each
 * @returns 0 where they can run, else 2
 * @throws usageError without a checkout
 */
export async function doctor(
  taskCtx: RunnerContext,
  named: readonly DoctorTask[],
  isJson: boolean,
  machine: Machine = thisMachine(taskCtx.env),
): Promise<number> {
  const root = findCheckout(taskCtx.env, taskCtx.startDirectory);
  // What a preflight prints is not shown, because its errors are. What is missing is a row in a dry run, too.
  const quiet = { ...taskCtx, unknowns: undefined, terminal: new Terminal(NOWHERE, NOWHERE, {}) };
  // A limit that refuses builds is a row, and not the result of every probe; a doctor downloads no tool chain.
  const own = { OPENSHELL_BUILD_NOFILE_GUARD: 'off', RUSTUP_AUTO_INSTALL: '0', RUST_BACKTRACE: '0' };
  const env = { ...taskCtx.env, ...own };
  const runner = new ProbingRunner({ ...quiet, env }, { ...machine, invoker: taskCtx.runner.invoker });
  const ctx = { ...quiet, runner };
  const tasks = named.length === 0 ? DOCTOR_MAIN_TASKS : named;
  const subject = { ctx, host: thisHost(), machine, root, tasks, selection: selectDriver(ctx, undefined) };
  const { rows, selected } = await rowsOf(subject);
  const verdicts: Verdict[] = [];
  for (const task of DOCTOR_TASKS.filter((one) => named.length === 0 || named.includes(one))) {
    // One after the other: each tries its port.
    verdicts.push(await verdictOf(subject, task, selected, rows));
  }
  const isWell = verdicts.every(({ problems, task }) => problems.length === 0 || !tasks.includes(task));
  if (isJson) taskCtx.terminal.result(reportJson(isWell, rows, verdicts));
  else printTable(taskCtx.terminal, rows, verdicts);
  return isWell ? 0 : EXIT.usage;
}

/** For rows and verdicts, which want the same results: each program is started once. */
class ProbingRunner extends Runner {
  readonly #results = new Map<string, Promise<unknown>>();

  /** Takes no signal to abort: others may want the result. */
  override probe(command: Command, timeoutMs: number): Promise<ProbeResult> {
    return this.#once(command, () => super.probe(command, timeoutMs));
  }

  /** For `cargo metadata`. */
  override cargo(command: Command): Promise<string> {
    return this.#once(command, () => super.cargo(command));
  }

  #once<T>(command: Command, start: () => Promise<T>): Promise<T> {
    const key = JSON.stringify(command);
    const result = (this.#results.get(key) as Promise<T> | undefined) ?? start();
    this.#results.set(key, result);
    return result;
  }
}

/** The rows, and the drivers that `gateway` may have. */
async function rowsOf(subject: Doctor) {
  const { selection, tasks } = subject;
  // Where none can be selected, fixing either of those that are there helps.
  const present = (['docker', 'podman'] as const).filter((name) => findProgram(name, subject.ctx.env) !== undefined);
  const selected = selection.then(({ driver }): DriverName[] => [driver]).catch((): DriverName[] => present);
  const wanted = selected.then((drivers) => [
    ...tasks,
    ...(tasks.includes('gateway') ? drivers.map((driver) => `gateway:${driver}`) : []),
  ]);
  const gateways = async () => {
    const drivers = new Set(['docker', 'podman', 'vm', ...(await selected)] as const);
    return lookAt('gateways', gatewayChecks(subject, [...drivers]), wanted);
  };
  const groups = await Promise.all([
    lookAt('machine', machineChecks(subject), wanted),
    lookAt('tools', toolChecks(subject), wanted),
    lookAt('engines', engineChecks(subject), wanted),
    gateways(),
    lookAt('variables', variableChecks(subject), wanted),
  ]);
  return { rows: groups.flat(), selected: await selected };
}

function launchWith(ctx: RunnerContext, driver: DriverName, engine?: LaunchEngine) {
  return planLaunch(launchContext(ctx, LOOKING, engine), DRIVERS[driver]);
}

const PLANS: Readonly<Record<DoctorTask, (doctor: Doctor) => Promise<unknown>>> = {
  gateway: async ({ ctx, selection }) => {
    const { driver, engine } = await selection;
    return launchWith(ctx, driver, engine);
  },
  'gateway:docker': ({ ctx }) => launchWith(ctx, 'docker'),
  'gateway:podman': ({ ctx }) => launchWith(ctx, 'podman'),
  'gateway:vm': ({ ctx }) => launchWith(ctx, 'vm'),
  'build:docker:supervisor': ({ ctx }) => planImage(ctx, 'supervisor', []),
  'build:docker:gateway': ({ ctx }) => planImage(ctx, 'gateway', []),
  'build:docker:prebuilt': ({ ctx }) => planStaging(ctx, 'all'),
};

/** Whether a task can run: its own preflight says so, and the rows; that its own gateway is up is no fault. */
async function verdictOf(
  doctor: Doctor,
  task: DoctorTask,
  selected: readonly DriverName[],
  rows: readonly Row[],
): Promise<Verdict> {
  const named = (Object.keys(DRIVERS) as DriverName[]).filter((driver) => task === `gateway:${driver}`);
  const drivers = task === 'gateway' ? selected : named;
  const names: readonly string[] = [task, ...drivers.map((driver) => `gateway:${driver}`)];
  const ofRows = rows.filter(({ blocks }) => blocks.some((name) => names.includes(name))).map(({ text }) => text);
  const all = [...new Set([...(await problemsOf(() => PLANS[task](doctor))), ...ofRows])];
  const ups = await Promise.all(drivers.map((driver) => isUp(doctor.ctx, driver)));
  const problems = ups.includes(true) ? all.filter((problem) => !/ is in use\b/.test(problem)) : all;
  return { task, problems, isUp: problems.length < all.length };
}

async function problemsOf(body: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await body();
    return [];
  } catch (error) {
    return error instanceof PreflightError ? error.problems : [problemText(error)];
  }
}
