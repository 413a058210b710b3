// SPDX-License-Identifier: Apache-2.0

/** What a launch prints: the steps of a dry run, and the banner before the gateway replaces the task. */

import { relative } from 'node:path';
import { toolchainLines } from '../cargo/find-toolchain.ts';
import { shellQuote } from '../process/command.ts';
import { COMPILED_IN } from '../product.ts';
import type { LaunchContext } from './config.ts';
import { gatewayCommand, type LaunchPlan } from './plan.ts';
import { metadataPath } from './registration.ts';

/** The lines of the banner. */
export function bannerLines(
  { dotEnv, root, terminal }: LaunchContext,
  { config, preparation, record }: LaunchPlan,
): string[] {
  const names = dotEnv?.names ?? [];
  const state = relative(root, config.stateDirectory);
  const facts: (readonly [term: string, meaning: string])[] = [
    ['endpoint', config.endpoint],
    ['listens on', `${config.bindAddress} port ${config.port}`],
    ...preparation.banner,
    ...(names.length > 0 ? [['from .env', names.join(', ')] as const] : []),
    ['state', state.startsWith('..') ? config.stateDirectory : state],
    ['took', terminal.timings()],
  ];
  return [
    `starting the ${record.title} gateway ${config.name}`,
    ...facts.map(([term, meaning]) => `  ${term.padEnd(12)} ${meaning}`),
    config.isActivated
      ? 'the CLI talks to it as soon as it is up; to another one: openshell gateway select NAME'
      : `point the CLI at it: openshell --gateway ${config.name} status, or: openshell gateway select ${config.name}`,
  ];
}

/** The steps, ready to paste. */
export function dryRunLines(ctx: LaunchContext, plan: LaunchPlan): string[] {
  const { config, steps, toolchain } = plan;
  const names = ctx.dotEnv?.names ?? [];
  const once = toolchainLines(toolchain, ctx.root);
  const closed = COMPILED_IN.filter((name) => ctx.env[name] !== undefined);
  return [
    `cd ${shellQuote(ctx.root)}`,
    ...(names.length > 0 ? [`# with ${names.join(', ')} of .env`] : []),
    ...once,
    ...(closed.length === 0 ? [] : [`unset ${closed.join(' ')}`]),
    ...[...steps.before, steps.build, ...steps.after].flatMap(({ lines, name }) => [
      `# step ${name}`,
      ...lines.filter((line) => !once.includes(line)),
    ]),
    '# step exec',
    `# writes ${metadataPath(config.configHome, config.name)} (0600)`,
    ...(config.isActivated ? ['# makes it the active gateway once it responds'] : []),
    '# the gateway replaces the task',
    ctx.runner.describe(gatewayCommand(ctx, plan, '<openshell-gateway>')),
  ];
}
