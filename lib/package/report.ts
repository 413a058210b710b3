// SPDX-License-Identifier: Apache-2.0

/** What a packaging and an installation print: the plans of dry runs, and the closing report. */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner } from '../build-env.ts';
import { toolchainLines } from '../cargo/find-toolchain.ts';
import { megabytes } from '../cli/terminal.ts';
import { devBuildLines } from '../dev-build/execute.ts';
import type { Change } from '../fs/atomic-write.ts';
import { filesOfEntry } from '../gateway/registration.ts';
import { shellQuote } from '../process/command.ts';
import { DEB } from '../product.ts';
import type { InstallPlan } from './install/plan.ts';
import type { PackagePlan } from './plan.ts';

/** Every file of a package with its mode, and the commands, ready to paste. */
export function packageLines(runner: Runner, plan: PackagePlan): string[] {
  const staged = plan.files.map(({ from, mode, path }) => {
    const content = typeof from === 'string' ? `a copy of ${from}` : `${from.length} bytes`;
    return `# in ${join(plan.stage, path)} (0${mode.toString(8)}): ${content}`;
  });
  const commands = plan.commands.map((command) => runner.describe(command));
  const root = `cd ${shellQuote(plan.config.root)}`;
  return [root, `# creates ${plan.scratch}`, ...staged, ...commands, `# writes ${plan.target}`];
}

/** The plan of an installation; the programs are where cargo says. */
export function installLines(runner: Runner, plan: InstallPlan): string[] {
  const { build, commands, configHome, facts, runtime, toolchain } = plan;
  const { root } = build.config;
  const describe = runner.describe.bind(runner);
  const seconds = facts.waitMs / 1000;
  return [
    `cd ${shellQuote(root)}`,
    ...toolchainLines(toolchain, root),
    ...devBuildLines(runner, build),
    ...(runtime === undefined ? [] : [`# verifies that the VM driver has what is in ${runtime} in it`]),
    ...packageLines(runner, plan.package),
    `cd ${shellQuote(commands.install.cwd)}`,
    ...[commands.install, ...commands.versions, commands.reload, commands.enable].map(describe),
    `# where the service runs already: ${describe(commands.restart)}`,
    `# waits ${seconds} s at most until the service is active and ${DEB.address}:${facts.port} responds`,
    ...filesOfEntry(configHome, DEB.gateway).map((path) => `# removes ${path}`),
    describe(commands.register),
  ];
}

/** The closing report: `packaged: /x/openshell_1.2.3_amd64.deb (1.2.3 for amd64, 12.3 MB)`. */
export function packageReportLine({ config, target }: PackagePlan, change: Change): string {
  const what = change === 'written' ? 'packaged' : 'unchanged';
  return `${what}: ${target} (${config.version} for ${config.arch}, ${megabytes(lstatSync(target).size)})`;
}
