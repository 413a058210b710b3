// SPDX-License-Identifier: Apache-2.0

/** What a launch prints: the steps of a dry run, and the banner before the gateway takes over. */

import { relative } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { toolchainLines } from '../cargo/toolchain.ts';
import { oneLine } from '../errors.ts';
import { shellQuote } from '../process/command.ts';
import { gatewayCommand } from './exec.ts';
import type { LaunchPlan, LaunchSteps } from './plan.ts';
import { metadataPath } from './registration.ts';

/** The lines of the banner. */
export function bannerLines({ config, preparation, record }: LaunchPlan, timings: string): string[] {
  const state = relative(config.root, config.stateDirectory);
  const facts: (readonly [string, string])[] = [
    ['endpoint', config.endpoint],
    ['listens on', `${config.bindAddress} port ${config.port}`],
    ...preparation.banner,
    ['state', state.startsWith('..') ? config.stateDirectory : state],
    ['took', timings],
  ];
  const pointers = config.isActivated
    ? ['the CLI talks to it as soon as it is up; to another one: openshell gateway select NAME']
    : [
        `point the CLI at it: openshell --gateway ${config.name} status`,
        `or for good: openshell gateway select ${config.name}`,
      ];
  return [
    `starting the ${record.title} gateway ${config.name}`,
    ...facts.map(([word, meaning]) => `  ${word.padEnd(12)} ${oneLine(meaning)}`),
    ...pointers,
  ];
}

/** The steps, ready to paste. */
export function dryRunLines(ctx: RunnerContext, plan: LaunchPlan, steps: LaunchSteps): string[] {
  const { config } = plan;
  const all = [...steps.before, steps.build, ...steps.after];
  const once = toolchainLines(plan.toolchain, config.root);
  return [
    `cd ${shellQuote(config.root)}`,
    ...once,
    ...all.flatMap((step) => [`# step ${step.name}`, ...step.lines.filter((line) => !once.includes(line))]),
    '# step exec',
    `# writes ${metadataPath(config.configHome, config.name)} (0600)`,
    ...(config.isActivated ? ['# makes it the active gateway once it responds'] : []),
    '# the gateway replaces the task',
    ctx.runner.describe(gatewayCommand('<openshell-gateway>', ctx, plan)),
  ];
}
