// SPDX-License-Identifier: Apache-2.0

/** Whether a task can run: its own preflight says so, as in its dry run, with nothing started but probes. */

import type { RunnerContext } from '../build-env.ts';
import { PreflightError } from '../cli/problems.ts';
import type { LaunchEngine } from '../engine/types.ts';
import type { DriverName } from '../gateway/declarations.ts';
import { DRIVERS } from '../gateway/drivers/records.ts';
import { LOOKING, launchContext, planLaunch } from '../gateway/execute.ts';
import { planImage } from '../image/execute.ts';
import type { DoctorTask } from '../product.ts';
import { planStaging } from '../stage/execute.ts';
import { type Doctor, problemText, type Row } from './check.ts';

export interface Verdict {
  readonly task: DoctorTask;
  /** What is wrong, each once; empty where the task can run. */
  readonly problems: readonly string[];
  /** Whether its gateway is up already, which is all that is in the way of another one. */
  readonly isUp: boolean;
}

function launchWith({ driver, engine }: { readonly driver: DriverName; readonly engine?: LaunchEngine }) {
  return (ctx: RunnerContext) => planLaunch(launchContext(ctx, LOOKING, engine), DRIVERS[driver]);
}

type Plan = (ctx: RunnerContext, selection: Doctor['selection']) => Promise<unknown>;

const PLANS: Readonly<Record<DoctorTask, Plan>> = {
  gateway: async (ctx, selection) => launchWith(await selection)(ctx),
  'gateway:docker': launchWith({ driver: 'docker' }),
  'gateway:podman': launchWith({ driver: 'podman' }),
  'gateway:vm': launchWith({ driver: 'vm' }),
  'build:docker:supervisor': (ctx) => planImage(ctx, 'supervisor', []),
  'build:docker:gateway': (ctx) => planImage(ctx, 'gateway', []),
  'build:docker:prebuilt': (ctx) => planStaging(ctx, 'all'),
};

/**
 * @param names the task, and for `gateway` that of its driver, too
 * @param rows what has been looked at before
 */
export async function verdictOf(
  { ctx, selection }: Doctor,
  names: readonly [DoctorTask, ...string[]],
  rows: readonly Row[],
): Promise<Verdict> {
  const own = await problemsOf(() => PLANS[names[0]](ctx, selection));
  const ofTask = rows.filter(({ blocks }) => blocks.some((name) => names.includes(name)));
  const all = new Set([...own, ...ofTask.map(({ expected, text }) => expected ?? text)]);
  const problems = [...all].filter((problem) => !ofTask.some(({ expected }) => expected === problem));
  return { task: names[0], problems, isUp: problems.length < all.size };
}

async function problemsOf(body: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await body();
    return [];
  } catch (error) {
    return error instanceof PreflightError ? error.problems : [problemText(error)];
  }
}
