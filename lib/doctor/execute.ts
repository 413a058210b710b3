// SPDX-License-Identifier: Apache-2.0

/** Looking at everything that a first gateway and a first image need, by the preflight's own functions. */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Terminal } from '../cli/terminal.ts';
import { EXIT } from '../errors.ts';
import { selectDriver } from '../gateway/select-driver.ts';
import { type Machine, thisHost, thisMachine } from '../host.ts';
import { findProgram } from '../process/which.ts';
import { DOCTOR_MAIN_TASKS, DOCTOR_TASKS, type DoctorTask } from '../product.ts';
import { type Doctor, lookAt } from './check.ts';
import { engineChecks } from './engines.ts';
import { gatewayChecks } from './gateways.ts';
import { machineChecks, variableChecks } from './machine.ts';
import { ProbingRunner } from './probing-runner.ts';
import { printTable, reportJson } from './report.ts';
import { toolChecks } from './tools.ts';
import { type Verdict, verdictOf } from './verdicts.ts';

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
  const { ofGateway, rows } = await rowsOf(subject);
  const verdicts: Verdict[] = [];
  for (const task of DOCTOR_TASKS.filter((one) => named.length === 0 || named.includes(one))) {
    // One after the other: each tries its port.
    verdicts.push(await verdictOf(subject, task === 'gateway' ? [task, ...ofGateway] : [task], rows));
  }
  const isWell = verdicts.every(({ problems, task }) => problems.length === 0 || !tasks.includes(task));
  if (isJson) taskCtx.terminal.result(reportJson(isWell, rows, verdicts));
  else printTable(taskCtx.terminal, rows, verdicts);
  return isWell ? 0 : EXIT.usage;
}

async function rowsOf(subject: Doctor) {
  const { selection, tasks } = subject;
  // Where none can be selected, fixing either of those that are there helps.
  const present = (['docker', 'podman'] as const).filter((name) => findProgram(name, subject.ctx.env) !== undefined);
  const selected = selection.then(({ driver }) => [driver]).catch(() => present);
  const ofGateway = selected.then((drivers) => drivers.map((driver) => `gateway:${driver}`));
  const wanted = ofGateway.then((launches) => (tasks.includes('gateway') ? [...tasks, ...launches] : tasks));
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
  return { ofGateway: await ofGateway, rows: groups.flat() };
}
