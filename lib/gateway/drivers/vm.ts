// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; runtime and supervisor are embedded in the driver. */

import { accessSync, constants } from 'node:fs';
import { type Environment, parseCount, readVariable, textOf } from '../../cli/env.ts';
import { describeError } from '../../errors.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { resolveBundleConfig } from '../../vm/bundle/plan.ts';
import type { Config, LaunchContext } from '../config.ts';
import { takeDirectory, verifyUnused } from '../state-lock.ts';
import type { DriverRecord, Preparation, Step } from './types.ts';
import { type DriverSource, findDriver } from './vm-driver-source.ts';
import { driverState, makeDriverState, STATE_LOCK, verifyDataHome, verifyDriverState } from './vm-state.ts';

const IGNORED = ['OPENSHELL_SANDBOX_NAMESPACE', 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY'] as const;

export const VM_DRIVER: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  binaries: [COMPONENTS.supervisor, DRIVER],
  open(ctx, config) {
    const { env, host, invoker, problems, root, startDirectory, terminal } = ctx;
    problems.attempt(() => verifyDataHome(env));
    const own = problems.values({
      state: () => verifyDriverState(driverState(env, startDirectory, config.name), host.platform, invoker),
      bundle: () => resolveBundleConfig(env, root, startDirectory, host),
      gatewayEnv: () => gpuEnvironment(ctx),
    });
    return async (tools) => {
      await problems.attemptAsync(async () => verifyUnused({ path: own.state, ...STATE_LOCK }));
      for (const name of IGNORED) {
        if (textOf(env, name) !== undefined) terminal.warn(`${name} has no effect: the vm driver does not read it`);
      }
      const noVm = whyNoVm(host.platform);
      if (noVm !== undefined) terminal.warn(noVm);
      const source = await findDriver(ctx, config, own.bundle, tools);
      return source && { gatewayEnv: own.gatewayEnv, ...prepared(ctx, config, own.state, source) };
    };
  },
};

/** Why no VM can be started here, where Linux has the device for that; `undefined` where one can. */
export function whyNoVm(platform: NodeJS.Platform, device = '/dev/kvm'): string | undefined {
  if (platform !== 'linux') return undefined;
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `no sandbox will start: ${describeError(error)}; load the module kvm, or join the group of ${device}`;
  }
}

/** The driver gets the gateway's environment, and reads only `true` and whole numbers. */
function gpuEnvironment({ env, flags, problems }: LaunchContext): Environment {
  const count =
    (variable: 'OPENSHELL_VM_GPU_MEM_MIB' | 'OPENSHELL_VM_GPU_VCPUS', flag: 'gpu-mem-mib' | 'gpu-vcpus') => () => {
      const given = flags[flag];
      return given === undefined ? readVariable(env, variable) : parseCount(`--${flag}`, given, 1);
    };
  const gpu = problems.values({
    isOn: () => flags.gpu === true || readVariable(env, 'OPENSHELL_VM_GPU'),
    memory: count('OPENSHELL_VM_GPU_MEM_MIB', 'gpu-mem-mib'),
    cpus: count('OPENSHELL_VM_GPU_VCPUS', 'gpu-vcpus'),
  });
  return {
    OPENSHELL_VM_GPU: gpu.isOn ? 'true' : undefined,
    OPENSHELL_VM_GPU_MEM_MIB: gpu.memory?.toString(),
    OPENSHELL_VM_GPU_VCPUS: gpu.cpus?.toString(),
  };
}

function prepared(
  ctx: LaunchContext,
  config: Config,
  state: string,
  { before = [], directory, description, ...source }: DriverSource,
): Omit<Preparation, 'gatewayEnv'> {
  const { env, invoker } = ctx;
  const image =
    textOf(env, 'OPENSHELL_SANDBOX_IMAGE') ?? readVariable(env, 'COMMUNITY_SANDBOX_IMAGE') ?? config.sandboxImage;
  const host = readVariable(env, 'OPENSHELL_VM_HOST_GATEWAY');
  // Written even where it is empty: the driver has a rule of its own then.
  const bootstrapImage = env.OPENSHELL_VM_BOOTSTRAP_IMAGE ?? '';
  const stateStep: Step = {
    name: 'driver-state',
    title: "the driver's state directory",
    lines: [`# creates ${state} (0700)`, `# driver: ${description}`],
    writes: [{ kind: 'directory', path: state, remedy: `set ${STATE_LOCK.source} to another directory` }],
    run: () => {
      makeDriverState(state, invoker);
      return takeDirectory(ctx, { path: state, ...STATE_LOCK }, `gateway ${config.name} with vm`);
    },
  };
  return {
    ...source,
    before: [stateStep, ...before],
    metadata: { vm_driver_state_dir: state },
    table: (build) => ({
      default_image: image,
      bootstrap_image: bootstrapImage,
      grpc_endpoint: config.grpcEndpoint ?? `http://${host}:${config.port}`,
      driver_dir: directory(build),
      state_dir: state,
    }),
    banner: [
      ['driver', description],
      ['driver state', state],
    ],
  };
}
