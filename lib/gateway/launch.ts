// SPDX-License-Identifier: Apache-2.0

/**
 * A launch: flags and environment → settings → preflight → steps → hand-over, the same for every
 * driver. A dry run prints the steps that a run would carry out.
 */

import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { type Command, command, shellQuote } from '../command.ts';
import type { Engine } from '../engine/engine.ts';
import { usageError } from '../errors.ts';
import { binariesOf, resolveLaunchBuildConfig } from '../launch-build/config.ts';
import type { LaunchBuildPlan } from '../launch-build/plan.ts';
import { buildForLaunch, launchBuildLines, prepareLaunchBuild } from '../launch-build/run.ts';
import { holderText, type Lock, lockHolder, takeLock } from '../lock.ts';
import { invokerOf } from '../ownership.ts';
import { thisHost } from '../platform.ts';
import { Problems } from '../problems.ts';
import { COMPONENTS } from '../product.ts';
import type { Workbench } from '../task.ts';
import { findToolchain } from '../toolchain.ts';
import { bannerLines } from './banner.ts';
import type { DriverRecord, Made, OpenedDriver, Preparation, Step } from './driver.ts';
import { gatewayConfig, writeGatewayConfig } from './gateway-toml.ts';
import { configPath, gatewayCommand, gatewayEnvironment, handOver } from './hand-over.ts';
import { featuresFor, launchFeatures } from './launch-features.ts';
import { verifyPortFree } from './port.ts';
import { metadataPath } from './registration.ts';
import { LAUNCH_VARIABLES, type LaunchFlags, resolveSettings, type Settings } from './settings.ts';
import { makePrivateFolder } from './state-folder.ts';

/** A launch that is decided: nothing but questions has been started. */
interface LaunchPlan {
  readonly record: DriverRecord;
  readonly settings: Settings;
  readonly driver: OpenedDriver;
  readonly preparation: Preparation;
  readonly steps: readonly Step[];
}

/**
 * Starts a gateway with a driver: builds it, and lets it take this process's place.
 *
 * @param engine the engine that has answered already, where the launcher was chosen by it
 * @throws TaskError: 2 with everything that is wrong before anything is built, else the status of what failed
 */
export async function launch(
  bench: Workbench,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: Engine,
): Promise<void> {
  const plan = await planLaunch(bench, record, flags, engine);
  if (flags['dry-run']) {
    for (const line of dryRunLines(bench, plan)) bench.terminal.result(line);
    return;
  }
  const { settings } = plan;
  makePrivateFolder(settings.stateSource, settings.stateDirectory, settings.owners);
  const lock = await lockState(settings, record);
  try {
    process.exitCode = await carryOut(bench, plan);
  } finally {
    await lock.release();
  }
}

async function planLaunch(
  bench: Workbench,
  record: DriverRecord,
  flags: LaunchFlags,
  engine: Engine | undefined,
): Promise<LaunchPlan> {
  const { env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const platform = process.platform;
  const source = { env, startDirectory, root, platform, invoker: invokerOf(env), flags, problems };
  const settings = resolveSettings(record, source);
  const driver = record.open(source, settings, engine);
  problems.attempt(() => refuseHeld(settings), undefined);
  const [preparation] = await Promise.all([
    prepareBuild(bench, driver, root, problems),
    problems.ask(() => verifyPortFree(LAUNCH_VARIABLES.port, settings.bindAddress, settings.port)),
  ]);
  problems.throwIfAny(terminal);
  const { decided, build } = preparation as NonNullable<typeof preparation>;
  return {
    record,
    settings,
    driver,
    preparation: decided,
    steps: allSteps(bench, record, settings, driver, decided, build),
  };
}

/**
 * Asks the tools, the driver's engine and cargo's configuration, in the order in which they need
 * each other; whatever one of them lacks, the next is asked too.
 *
 * @returns `undefined` where something is missing
 */
async function prepareBuild(bench: Workbench, driver: OpenedDriver, root: string, problems: Problems) {
  const { door, env, startDirectory } = bench;
  const toolchain = await problems.ask(() => findToolchain(door, env, root, startDirectory, false));
  const binaries = [COMPONENTS.gateway, ...driver.binaries];
  const known = toolchain && (await problems.ask(() => launchFeatures(door, env, root, toolchain, binaries)));
  const features = known ?? new Map();
  const decided = await problems.ask(() => driver.prepare(bench, features));
  if (toolchain === undefined || decided === undefined) return undefined;
  const config = resolveLaunchBuildConfig(env, root, startDirectory, thisHost(), decided.build);
  // The tag of an image that is published has nothing to do with a launch, and cargo would bake it in.
  const closed = env.IMAGE_TAG === undefined ? {} : { IMAGE_TAG: undefined };
  const own = { ...config, features: featuresFor(features, binariesOf(config)), env: { ...closed, ...config.env } };
  const build = await problems.ask(() => prepareLaunchBuild(bench, own, toolchain));
  return build && { decided, build };
}

/** The pipeline: what comes before, the build, credentials, what comes after, the configuration. */
function allSteps(
  bench: Workbench,
  record: DriverRecord,
  settings: Settings,
  driver: OpenedDriver,
  preparation: Preparation,
  build: LaunchBuildPlan,
): Step[] {
  return [
    ...preparation.before,
    buildStep(bench, build),
    credentialsStep(bench, settings, driver),
    ...preparation.after,
    configStep(record, settings, driver, preparation),
  ];
}

function buildStep(bench: Workbench, plan: LaunchBuildPlan): Step {
  return {
    name: 'build',
    title: plan.config.withSupervisor ? 'gateway and supervisor' : 'gateway',
    lines: launchBuildLines(bench.door, plan),
    run: async (made) => {
      Object.assign(made, await buildForLaunch(bench, plan));
    },
  };
}

/** `generate-certs` keeps what is complete, and makes what is missing. */
function credentialsStep(bench: Workbench, settings: Settings, driver: OpenedDriver): Step {
  const folder = tlsFolder(settings);
  const names = ['127.0.0.1', 'localhost', 'host.openshell.internal'];
  const generate = (gateway: string): Command =>
    command([gateway, 'generate-certs', '--output-dir', folder, ...names.flatMap((name) => ['--server-san', name])], {
      cwd: settings.root,
      env: {
        ...gatewayEnvironment(bench.env, driver),
        // It also writes client certificates for an installed gateway into the CLI's folder, which are not ours.
        XDG_CONFIG_HOME: join(settings.stateDirectory, 'certgen-config'),
      },
      asInvoker: true,
    });
  return {
    name: 'credentials',
    title: 'credentials',
    lines: [bench.door.describe(generate('<openshell-gateway>'))],
    run: async (made) => {
      await bench.door.read(generate(made.gateway ?? ''));
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
        tlsFolder: tlsFolder(settings),
        defaultImage: driver.defaultImage,
        driverTable: preparation.table(made),
      };
      await writeGatewayConfig(path, gatewayConfig(parts));
    },
  };
}

function tlsFolder(settings: Settings): string {
  return join(settings.stateDirectory, 'tls');
}

async function carryOut(bench: Workbench, plan: LaunchPlan): Promise<number> {
  const { terminal, env, startDirectory } = bench;
  const { record, settings, driver, preparation } = plan;
  const made: Made = {};
  for (const step of plan.steps) await terminal.section(step.name, () => step.run(made), step.title);
  const gateway = gatewayCommand(made.gateway ?? '', record, settings, gatewayEnvironment(env, driver), startDirectory);
  for (const line of bannerLines(record, settings, preparation, terminal.timings())) terminal.say(line);
  return handOver(bench, settings, driver, gateway);
}

function dryRunLines(bench: Workbench, { record, settings, driver, steps }: LaunchPlan): string[] {
  const env = gatewayEnvironment(bench.env, driver);
  const gateway = gatewayCommand('<openshell-gateway>', record, settings, env, bench.startDirectory);
  return [
    `cd ${shellQuote(settings.root)}`,
    ...steps.flatMap((step) => [`# step ${step.name}`, ...step.lines]),
    '# step hand-over',
    `# writes ${metadataPath(settings.configHome, settings.name)} (0600)`,
    ...(settings.isActivated ? ['# makes it the active gateway once it answers'] : []),
    '# the task becomes the gateway',
    bench.door.describe(gateway),
  ];
}

function lockPath(settings: Settings): string {
  return join(settings.stateDirectory, '.launch.lock');
}

function refuseHeld(settings: Settings): void {
  const holder = lockHolder(lockPath(settings));
  if (holder === undefined) return;
  throw usageError(
    `${settings.stateDirectory} is in use by ${holderText(holder)}; stop that gateway, or set ${settings.stateSource} to another folder`,
  );
}

/** The gateway keeps the lock: it runs as this very process. */
async function lockState(settings: Settings, record: DriverRecord): Promise<Lock> {
  const taken = await takeLock(lockPath(settings), `gateway ${settings.name} with ${record.name}`);
  if ('release' in taken) return taken;
  refuseHeld(settings);
  return lockState(settings, record);
}
