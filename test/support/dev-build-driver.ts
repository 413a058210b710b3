// SPDX-License-Identifier: Apache-2.0

/**
 * A task that builds for a launch as it is told: `node dev-build-driver.ts '{"root": "..", "supervisor": "with-gateway"}'`. It
 * lets tests and the benchmark run `lib/dev-build` with real tools, in a process of its own. On stdout: what was built,
 * as JSON.
 */

import { join } from 'node:path';
import { withRunner } from '../../lib/build-env.ts';
import { findToolchain, whyNoStaticLibc } from '../../lib/cargo/find-toolchain.ts';
import { featuresByComponent, readWorkspace } from '../../lib/cargo/metadata.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import { devBuildLines, executeDevBuild, installSupervisor } from '../../lib/dev-build/execute.ts';
import { binariesOf, type DevBuildConfig, type DevBuildWishes, planDevBuild } from '../../lib/dev-build/plan.ts';
import { describeError, TaskError } from '../../lib/errors.ts';
import { thisHost } from '../../lib/host.ts';
import { Signals } from '../../lib/process/signals.ts';
import { resolveBuildOptions } from '../../lib/stage/config.ts';

/** What the driver is told. */
export interface DevBuildOrder extends Partial<DevBuildWishes> {
  readonly root: string;
  readonly isDryRun?: boolean;
  /** Where the supervisor is put, below the checkout. */
  readonly install?: string;
}

const order = JSON.parse(process.argv.at(-1) ?? '{}') as DevBuildOrder;
const env = { ...process.env };
const terminal = new Terminal(process.stdout, process.stderr, env);
const signals = new Signals();
signals.listen();
try {
  await build();
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  terminal.error(describeError(error));
  process.exitCode = error.exitCode;
} finally {
  signals.stop();
}

async function build(): Promise<void> {
  const { root, supervisor, others = [] } = order;
  const ctx = await withRunner({ env, startDirectory: process.cwd(), terminal, signals });
  const options = resolveBuildOptions(env, process.cwd());
  const wishes = { supervisor, others, env: order.env ?? {} };
  const config: DevBuildConfig = { ...wishes, root, host: thisHost(), build: options };
  const toolchain = await findToolchain(ctx, root, false);
  const isJoint = supervisor === 'with-gateway';
  const reason = isJoint ? await whyNoStaticLibc(ctx.runner, root, config.host, toolchain) : undefined;
  if (reason !== undefined) return terminal.result(JSON.stringify({ reason }));
  const features =
    options.features.length === 0
      ? new Map<string, string[]>()
      : featuresByComponent(
          options.features,
          binariesOf(config),
          (await readWorkspace(ctx.runner, toolchain, root, undefined)).packages,
        );
  const plan = planDevBuild(config, toolchain, features);
  if (order.isDryRun === true) {
    for (const line of devBuildLines(ctx.runner, plan)) terminal.result(line);
    return;
  }
  const built = await executeDevBuild(ctx, plan);
  const installed =
    built.supervisor === undefined || order.install === undefined
      ? undefined
      : installSupervisor(built.supervisor, join(root, order.install));
  terminal.result(JSON.stringify({ ...built, others: Object.fromEntries(built.others), installed }));
}
