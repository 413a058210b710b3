// SPDX-License-Identifier: Apache-2.0

/**
 * The steps of a launch, the same for every driver: what the driver puts before, the build, credentials,
 * what the driver puts behind, the configuration, the exec. A dry run prints them.
 */

import { join } from 'node:path';
import type { TaskContext } from '../cli/task.ts';
import { buildForLaunch, launchBuildLines } from '../dev-build/execute.ts';
import type { LaunchBuildPlan } from '../dev-build/plan.ts';
import { type Command, command, shellQuote } from '../process/command.ts';
import type { Settings } from './config.ts';
import { gatewayConfig, writeGatewayConfig } from './config-file.ts';
import type { DriverRecord, Made, OpenedDriver, Preparation, Step } from './drivers/types.ts';
import { configPath, execGateway, gatewayCommand, gatewayEnvironment } from './exec.ts';
import { metadataPath } from './registration.ts';
import { bannerLines } from './report.ts';

/** A launch that is decided: nothing but questions has been started. */
export interface LaunchPlan {
  readonly record: DriverRecord;
  readonly settings: Settings;
  readonly driver: OpenedDriver;
  readonly preparation: Preparation;
  readonly build: LaunchBuildPlan;
}

/** The steps in their order. */
export function launchSteps(ctx: TaskContext, plan: LaunchPlan): Step[] {
  const { record, settings, driver, preparation, build } = plan;
  return [
    ...preparation.before,
    buildStep(ctx, build),
    credentialsStep(ctx, settings, driver),
    ...preparation.after,
    configStep(record, settings, driver, preparation),
  ];
}

function buildStep(ctx: TaskContext, plan: LaunchBuildPlan): Step {
  return {
    name: 'build',
    title: plan.config.withSupervisor ? 'gateway and supervisor' : 'gateway',
    lines: launchBuildLines(ctx.runner, plan),
    run: async (made) => {
      Object.assign(made, await buildForLaunch(ctx, plan));
    },
  };
}

/** `generate-certs` keeps what is complete, and makes what is missing. */
function credentialsStep(ctx: TaskContext, settings: Settings, driver: OpenedDriver): Step {
  const directory = tlsDirectory(settings);
  const names = ['127.0.0.1', 'localhost', 'host.openshell.internal'];
  const generate = (gateway: string): Command =>
    command(
      [gateway, 'generate-certs', '--output-dir', directory, ...names.flatMap((name) => ['--server-san', name])],
      {
        cwd: settings.root,
        env: {
          ...gatewayEnvironment(ctx.env, driver),
          // It also writes client certificates for an installed gateway into the CLI's directory, which are not ours.
          XDG_CONFIG_HOME: join(settings.stateDirectory, 'certgen-config'),
        },
        asInvoker: true,
      },
    );
  return {
    name: 'credentials',
    title: 'credentials',
    lines: [ctx.runner.describe(generate('<openshell-gateway>'))],
    run: async (made) => {
      await ctx.runner.read(generate(made.gateway ?? ''));
    },
  };
}

function configStep(record: DriverRecord, settings: Settings, driver: OpenedDriver, preparation: Preparation): Step {
  const path = configPath(settings);
  return {
    name: 'config',
    title: 'configuration',
    lines: [`# writes ${path} (0600)`],
    run: async (made) => {
      const parts = {
        driver: record.name,
        name: settings.name,
        tlsDirectory: tlsDirectory(settings),
        defaultImage: driver.defaultImage,
        driverTable: preparation.table(made),
      };
      await writeGatewayConfig(path, gatewayConfig(parts));
    },
  };
}

function tlsDirectory(settings: Settings): string {
  return join(settings.stateDirectory, 'tls');
}

/**
 * Executes the steps , and hands over.
 *
 * @returns the gateway's exit status, where the process could not be replaced
 */
export async function execute(ctx: TaskContext, plan: LaunchPlan, steps: readonly Step[]): Promise<number> {
  const { terminal, env, startDirectory } = ctx;
  const { record, settings, driver, preparation } = plan;
  const made: Made = {};
  for (const step of steps) await terminal.section(step.name, () => step.run(made), step.title);
  const gateway = gatewayCommand(made.gateway ?? '', record, settings, gatewayEnvironment(env, driver), startDirectory);
  for (const line of bannerLines(record, settings, preparation, terminal.timings())) terminal.say(line);
  return execGateway(ctx, settings, driver, gateway);
}

/** The steps, ready to paste. */
export function dryRunLines(ctx: TaskContext, plan: LaunchPlan, steps: readonly Step[]): string[] {
  const { record, settings, driver } = plan;
  const env = gatewayEnvironment(ctx.env, driver);
  const gateway = gatewayCommand('<openshell-gateway>', record, settings, env, ctx.startDirectory);
  return [
    `cd ${shellQuote(settings.root)}`,
    ...steps.flatMap((step) => [`# step ${step.name}`, ...step.lines]),
    '# step exec',
    `# writes ${metadataPath(settings.configHome, settings.name)} (0600)`,
    ...(settings.isActivated ? ['# makes it the active gateway once it answers'] : []),
    '# the task becomes the gateway',
    ctx.runner.describe(gateway),
  ];
}
