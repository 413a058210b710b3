// SPDX-License-Identifier: Apache-2.0

/**
 * A task that builds for a launch as it is told: `node launch-driver.ts '{"root": "..", "withSupervisor": true}'`. It
 * lets tests and the benchmark run the module with real tools, in a process of its own. On stdout: what was built, as JSON.
 */

import { join } from 'node:path';
import { Runner } from '../../lib/build-env.ts';
import { findToolchain } from '../../lib/cargo/toolchain.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import { type LaunchBuildOptions, resolveLaunchBuildConfig } from '../../lib/dev-build/config.ts';
import { buildForLaunch, launchBuildLines, prepareLaunchBuild } from '../../lib/dev-build/execute.ts';
import { whyNoStaticLibc } from '../../lib/dev-build/static-libc.ts';
import { installSupervisor } from '../../lib/dev-build/supervisor.ts';
import { describeError, TaskError } from '../../lib/errors.ts';
import { thisHost } from '../../lib/host.ts';
import { Signals } from '../../lib/process/signals.ts';

/** What the driver is told. */
export interface LaunchOrder extends LaunchBuildOptions {
  readonly root: string;
  readonly isDryRun?: boolean;
  /** Where the supervisor is put, below the checkout. */
  readonly install?: string;
}

const order = JSON.parse(process.argv.at(-1) ?? '{}') as LaunchOrder;
const env = { ...process.env };
const terminal = new Terminal(process.stdout, process.stderr, env);
const signals = new Signals();
const runner = new Runner(env, terminal, signals);
signals.listen();
try {
  const config = resolveLaunchBuildConfig(env, order.root, process.cwd(), thisHost(), order);
  const lack = order.withSupervisor ? await whyNoStaticLibc(runner, env, config) : undefined;
  if (lack !== undefined) {
    terminal.result(JSON.stringify({ lack }));
  } else {
    const toolchain = await findToolchain(runner, env, order.root, process.cwd(), false);
    const plan = await prepareLaunchBuild({ runner, env }, config, toolchain);
    if (order.isDryRun === true) {
      for (const line of launchBuildLines(runner, plan)) terminal.result(line);
    } else {
      const built = await buildForLaunch({ runner, terminal }, plan);
      const installed =
        built.supervisor === undefined || order.install === undefined
          ? undefined
          : await installSupervisor(built.supervisor, join(order.root, order.install));
      terminal.result(JSON.stringify({ ...built, installed }));
    }
  }
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  terminal.error(describeError(error));
  process.exitCode = error.exitCode;
} finally {
  signals.stop();
}
