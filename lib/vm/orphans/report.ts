// SPDX-License-Identifier: Apache-2.0

/** What the smoke test prints: the plan of a dry run, and how each scenario ended. */

import { join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import type { Environment } from '../../cli/env.ts';
import { seconds } from '../../cli/terminal.ts';
import {
  cliCommands,
  gatewayCommand,
  type PreparedOrphans,
  SCENARIOS,
  type Scenario,
  scenarioPlaces,
  signCommands,
} from './plan.ts';
import { processText } from './processes.ts';
import type { Verdict } from './scenario.ts';

/** The plan: the commands of each scenario, ready to paste. */
export function orphansDryRunLines(runner: Runner, { build, config, programs }: PreparedOrphans, env: Environment) {
  const temporary = join(config.temporary, 'openshell-vm-orphan-XXXXXX');
  return [
    ...(build === undefined ? [] : [runner.describe(build)]),
    ...signCommands(config, programs).map((command) => runner.describe(command)),
    ...SCENARIOS.flatMap((scenario) => {
      const places = scenarioPlaces(temporary, scenario);
      const { add, create, select } = cliCommands(config, places, env);
      return [
        `# ${scenario.label}: writes ${places.config}, and waits for what each command starts`,
        `${runner.describe(gatewayCommand(config, programs, places, env))} &`,
        ...[add, select].map((command) => runner.describe(command)),
        `${runner.describe(create)} &`,
        `kill -${scenario.signal.slice('SIG'.length)} %1`,
      ];
    }),
  ];
}

/** How a scenario ended. */
export function verdictLines({ label }: Scenario, verdict: Verdict): string[] {
  if (verdict.isPassed) return [`PASS (${label}): everything was gone after ${seconds(verdict.ms)}`];
  return [`FAIL (${label}): ${verdict.reason}`, ...verdict.survivors.map((entry) => `  ${processText(entry)}`)];
}
