// SPDX-License-Identifier: Apache-2.0

/** What a dry run of the smoke test prints. */

import { join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import type { Environment } from '../../cli/env.ts';
import type { Command } from '../../process/command.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import type { OrphansConfig } from './config.ts';
import { planScenarios, signCommands } from './plan.ts';

/** The plan: the commands of each scenario; what cargo has built is in angle brackets. */
export function orphansDryRunLines(runner: Runner, config: OrphansConfig, build: Command, env: Environment): string[] {
  const programs = { gateway: `<${COMPONENTS.gateway.binary}>`, driverDirectory: `<directory of ${DRIVER.binary}>` };
  const describe = runner.describe.bind(runner);
  const scenarios = planScenarios(config, programs, join(config.temporary, 'openshell-vm-orphan-XXXXXX'), env);
  return [
    ...[build, ...signCommands(config, programs)].map(describe),
    ...scenarios.flatMap((scenario) => [
      `# ${scenario.label}: writes ${scenario.config.path}, and waits for what each command starts`,
      `${describe(scenario.gateway.command)} &`,
      ...scenario.setup.map(describe),
      `${describe(scenario.create.command)} &`,
      `kill -${scenario.signal.slice('SIG'.length)} %1`,
    ]),
  ];
}
