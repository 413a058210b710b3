// SPDX-License-Identifier: Apache-2.0

/** What an installation prints before it does anything: the plan of a dry run. */

import type { Runner } from '../../build-env.ts';
import { toolchainLines } from '../../cargo/find-toolchain.ts';
import { devBuildLines } from '../../dev-build/execute.ts';
import { shellQuote } from '../../process/command.ts';
import { DEB } from '../../product.ts';
import { packageLines } from '../report.ts';
import type { InstallPlan } from './plan.ts';

/** The plan, ready to paste; the programs are where cargo says. */
export function installLines(runner: Runner, cwd: string, plan: InstallPlan): string[] {
  const { build, commands, facts, registration, runtime, toolchain } = plan;
  const { root } = build.config;
  return [
    `cd ${shellQuote(root)}`,
    ...toolchainLines(toolchain, root),
    ...devBuildLines(runner, build),
    ...(runtime === undefined ? [] : [`# verifies that the VM driver has what is in ${runtime} in it`]),
    ...packageLines(runner, plan.package),
    `cd ${shellQuote(cwd)}`,
    ...[commands.install, ...commands.versions, ...commands.service].map((command) => runner.describe(command)),
    `# waits until the service is active and ${DEB.address}:${facts.port} responds, ${facts.waitMs / 1000} s at most`,
    ...registration.files.map((path) => `# removes ${path}`),
    runner.describe(commands.register),
  ];
}
