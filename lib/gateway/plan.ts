// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch, its steps in their order, the same for every driver: what the driver puts first, the build,
 * credentials, what the driver does with the build, the configuration. A dry run prints them.
 */

import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import type { Toolchain } from '../cargo/toolchain.ts';
import type { DevBuild } from '../dev-build/artifacts.ts';
import { devBuildLines, executeDevBuild } from '../dev-build/execute.ts';
import type { DevBuildPlan } from '../dev-build/plan.ts';
import { type Command, cmd } from '../process/command.ts';
import type { Config } from './config.ts';
import { gatewayConfig, writeGatewayConfig } from './config-file.ts';
import type { BuiltStep, DriverRecord, OpenedDriver, Preparation, Step } from './drivers/types.ts';
import { configPath, gatewayEnvironment } from './exec.ts';

/** A launch that is decided: nothing but probes has been started. */
export interface LaunchPlan {
  readonly record: DriverRecord;
  readonly config: Config;
  readonly driver: OpenedDriver;
  readonly preparation: Preparation;
  readonly build: DevBuildPlan;
  readonly toolchain: Toolchain;
}

/** The steps of a launch. */
export interface LaunchSteps {
  readonly before: readonly Step[];
  readonly build: Omit<Step, 'run'> & { run(): Promise<DevBuild> };
  /** What takes the finished build. */
  readonly after: readonly BuiltStep[];
}

/** The steps in their order. */
export function launchSteps(ctx: RunnerContext, plan: LaunchPlan): LaunchSteps {
  const { build, config, driver, preparation } = plan;
  return {
    before: preparation.before,
    build: {
      name: 'build',
      title: build.config.withSupervisor ? 'gateway and supervisor' : 'gateway',
      lines: devBuildLines(ctx.runner, build),
      run: () => executeDevBuild(ctx, build),
    },
    after: [credentialsStep(ctx, config, driver), ...preparation.after, configStep(plan)],
  };
}

/** `generate-certs` keeps what is complete, and makes what is missing. */
function credentialsStep({ env, runner }: RunnerContext, config: Config, driver: OpenedDriver): BuiltStep {
  const names = ['127.0.0.1', 'localhost', 'host.openshell.internal'].flatMap((name) => ['--server-san', name]);
  const options = {
    cwd: config.root,
    env: {
      ...gatewayEnvironment(env, driver),
      // It also writes client certificates for an installed gateway into the CLI's directory, which are not ours.
      XDG_CONFIG_HOME: join(config.stateDirectory, 'certgen-config'),
    },
    asInvoker: true,
  };
  const generate = (gateway: string): Command =>
    cmd(options)`${gateway} generate-certs --output-dir ${tlsDirectory(config)} ${names}`;
  return {
    name: 'credentials',
    title: 'credentials',
    lines: [runner.describe(generate('<openshell-gateway>'))],
    run: async ({ gateway }) => {
      await runner.read(generate(gateway));
    },
  };
}

function configStep({ config, driver, preparation, record }: LaunchPlan): BuiltStep {
  const path = configPath(config);
  return {
    name: 'config',
    title: 'configuration',
    lines: [`# writes ${path} (0600)`],
    run: async (build) => {
      const parts = {
        driver: record.name,
        name: config.name,
        tlsDirectory: tlsDirectory(config),
        defaultImage: driver.defaultImage,
        driverTable: preparation.table(build),
      };
      await writeGatewayConfig(path, gatewayConfig(parts));
    },
  };
}

function tlsDirectory(config: Config): string {
  return join(config.stateDirectory, 'tls');
}
