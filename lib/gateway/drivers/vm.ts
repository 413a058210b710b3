// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; the driver carries runtime and supervisor inside. */

import { dirname, join } from 'node:path';
import { featuresFor, type LaunchFeatures } from '../../cargo/features.ts';
import { booleanOf, type Environment, textOf, wholeNumberOf } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import type { Problems } from '../../cli/validation.ts';
import { shown } from '../../errors.ts';
import { absolutePath } from '../../fs/paths.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/private-directory.ts';
import { thisHost } from '../../host.ts';
import { meanwhile } from '../../meanwhile.ts';
import { command } from '../../process/command.ts';
import { COMPONENTS } from '../../product.ts';
import { resolveBundleConfig } from '../../vm/config.ts';
import { prepareBundle } from '../../vm/execute.ts';
import { bundleDryRunLines } from '../../vm/plan.ts';
import { LAUNCH_VARIABLES, type Settings, type SettingsSource } from '../config.ts';
import { type DriverRecord, loopback, type Made, type Preparation, type Step } from './types.ts';
import { runtimeStep } from './vm-runtime.ts';
import { driverStateDirectory, verifySocketPath } from './vm-state.ts';

const DRIVER = { name: 'driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' } as const;
const ENTITLEMENTS = 'crates/openshell-driver-vm/entitlements.plist';

const VARIABLES = {
  communityImage: 'COMMUNITY_SANDBOX_IMAGE',
  bootstrapImage: 'OPENSHELL_VM_BOOTSTRAP_IMAGE',
  hostGateway: 'OPENSHELL_VM_HOST_GATEWAY',
  driverDirectory: 'OPENSHELL_DRIVER_DIR',
  gpu: 'OPENSHELL_VM_GPU',
  gpuMemory: 'OPENSHELL_VM_GPU_MEM_MIB',
  gpuCpus: 'OPENSHELL_VM_GPU_VCPUS',
  runtimeDirectory: 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR',
} as const;

interface VmSettings {
  readonly image: string;
  readonly bootstrapImage: string;
  readonly grpcEndpoint: string;
  /** Where the gateway looks for the driver; `undefined` for where cargo makes it. */
  readonly driverDirectory: string | undefined;
  /** The driver's own state, absolute, and what named it. */
  readonly stateDirectory: string;
  readonly stateSource: string;
}

export const VM_DRIVER: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  variables: { name: ['OPENSHELL_VM_GATEWAY_NAME'], stateDirectory: ['OPENSHELL_VM_GATEWAY_STATE_DIR'] },
  bind: loopback,
  open(source, settings) {
    const own = resolve(source, settings);
    return {
      defaultImage: undefined,
      binaries: [COMPONENTS.supervisor, DRIVER],
      gatewayEnv: gpuEnvironment(source),
      metadata: { vm_driver_state_dir: own.stateDirectory },
      prepare: (ctx, features) => prepare(ctx, features, settings, own, source.problems),
    };
  },
};

function resolve(source: SettingsSource, settings: Settings): VmSettings {
  const { env, startDirectory, platform, problems } = source;
  const [stateSource, stateDirectory] = driverStateDirectory(env, startDirectory, settings.name);
  problems.attempt(() => verifySocketPath(stateSource, stateDirectory, platform), undefined);
  problems.attempt(() => verifyPrivateDirectory(stateSource, stateDirectory, ownersOf(undefined)), undefined);
  const host = textOf(env, VARIABLES.hostGateway) ?? 'host.containers.internal';
  const directory = textOf(env, VARIABLES.driverDirectory);
  return {
    image: textOf(env, LAUNCH_VARIABLES.sandboxImage) ?? textOf(env, VARIABLES.communityImage) ?? settings.sandboxImage,
    // Written even where it is empty: the driver has a rule of its own then.
    bootstrapImage: env[VARIABLES.bootstrapImage] ?? '',
    grpcEndpoint: settings.grpcEndpoint ?? `http://${host}:${settings.port}`,
    driverDirectory: directory === undefined ? undefined : absolutePath(startDirectory, directory),
    stateDirectory,
    stateSource,
  };
}

/** The gateway hands its environment on to the driver, which reads only `true` and whole numbers. */
function gpuEnvironment({ env, flags, problems }: SettingsSource): Environment {
  const isOn = flags.gpu === true || problems.attempt(() => booleanOf(env, VARIABLES.gpu, false), false);
  const number = (variable: string, flag: string, given: string | undefined) =>
    problems.attempt(
      () => (given === undefined ? wholeNumberOf(env, variable, 1) : wholeNumberOf({ [flag]: given }, flag, 1)),
      undefined,
    );
  const memory = number(VARIABLES.gpuMemory, '--gpu-mem-mib', flags['gpu-mem-mib']);
  const cpus = number(VARIABLES.gpuCpus, '--gpu-vcpus', flags['gpu-vcpus']);
  return {
    ...(isOn || env[VARIABLES.gpu] !== undefined ? { [VARIABLES.gpu]: isOn ? 'true' : undefined } : {}),
    ...(memory === undefined ? {} : { [VARIABLES.gpuMemory]: String(memory) }),
    ...(cpus === undefined ? {} : { [VARIABLES.gpuCpus]: String(cpus) }),
  };
}

async function prepare(
  ctx: TaskContext,
  features: LaunchFeatures,
  settings: Settings,
  own: VmSettings,
  problems: Problems,
): Promise<Preparation> {
  const { env, startDirectory, terminal } = ctx;
  for (const name of [LAUNCH_VARIABLES.namespace, LAUNCH_VARIABLES.pullPolicy]) {
    if (textOf(env, name) !== undefined) terminal.warn(`${name} has no effect: the vm driver does not read it`);
  }
  const host = thisHost();
  const config = resolveBundleConfig(env, settings.root, startDirectory, host);
  const bundle = { ...config, build: { ...config.build, features: featuresFor(features, [COMPONENTS.supervisor]) } };
  const runtime = problems.attempt(() => runtimeStep(ctx, settings.root, bundle.directory, host.platform), []);
  const [prepared, { executeBundle }] = await Promise.all([
    prepareBundle(ctx, bundle),
    meanwhile(() => import('../../vm/execute.ts')),
  ]);
  return {
    before: [
      ...runtime,
      {
        name: 'bundle',
        title: `supervisor for the guest (linux/${bundle.arch})`,
        lines: bundleDryRunLines(ctx.runner, prepared),
        run: async () => {
          await executeBundle(ctx, prepared);
        },
      },
    ],
    build: {
      withSupervisor: false,
      others: [DRIVER],
      env: { [VARIABLES.runtimeDirectory]: bundle.directory },
    },
    after: [...signStep(ctx, settings, host.platform), stateStep(ctx, own)],
    table: (made) => ({
      default_image: own.image,
      bootstrap_image: own.bootstrapImage,
      grpc_endpoint: own.grpcEndpoint,
      driver_dir: own.driverDirectory ?? dirname(driverPath(made)),
      state_dir: own.stateDirectory,
    }),
    banner: [['driver state', own.stateDirectory]],
  };
}

function driverPath(made: Made): string {
  return made.others?.[DRIVER.name] ?? '';
}

/** macOS lets only a signed program with the entitlement use its hypervisor. What was built is signed, wherever it is. */
function signStep(ctx: TaskContext, settings: Settings, platform: NodeJS.Platform): Step[] {
  if (platform !== 'darwin') return [];
  const sign = (path: string) =>
    command(['codesign', '--entitlements', join(settings.root, ENTITLEMENTS), '--force', '-s', '-', path], {
      cwd: settings.root,
    });
  return [
    {
      name: 'sign',
      title: 'signature of the driver',
      lines: [ctx.runner.describe(sign(`<${DRIVER.binary}>`))],
      run: (made) => ctx.runner.run(sign(driverPath(made))),
    },
  ];
}

function stateStep({ terminal }: TaskContext, own: VmSettings): Step {
  return {
    name: 'driver-state',
    title: "the driver's state directory",
    lines: [`# makes ${own.stateDirectory} (0700)`],
    run: async (made) => {
      // The gateway's user: the driver takes no directory of anybody else.
      makePrivateDirectory(own.stateSource, own.stateDirectory, ownersOf(undefined));
      const built = dirname(driverPath(made));
      if (own.driverDirectory === undefined || own.driverDirectory === built) return;
      terminal.warn(
        `${VARIABLES.driverDirectory} is ${shown(own.driverDirectory)}; the driver of this build is in ${built}`,
      );
    },
  };
}
