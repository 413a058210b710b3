// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; runtime and supervisor are embedded in the driver. */

import { dirname, join } from 'node:path';
import { featuresFor } from '../../cargo/features.ts';
import { type Environment, parseCount, readPath, readVariable, textOf } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
import { shown } from '../../errors.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/private-directory.ts';
import { cmd } from '../../process/command.ts';
import { COMPONENTS } from '../../product.ts';
import type { KnownTools } from '../../stage/execute.ts';
import { type BundleConfig, resolveBundleConfig } from '../../vm/config.ts';
import { executeBundle, prepareBundle } from '../../vm/execute.ts';
import { bundleDryRunLines } from '../../vm/report.ts';
import type { Config, LaunchContext } from '../config.ts';
import type { BuiltStep, DriverRecord, Preparation, Step } from './types.ts';
import { runtimeStep } from './vm-runtime.ts';
import { driverState, STATE_VARIABLE, verifySocketPath } from './vm-state.ts';

const DRIVER = { name: 'driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' } as const;
const ENTITLEMENTS = 'crates/openshell-driver-vm/entitlements.plist';
const IGNORED = ['OPENSHELL_SANDBOX_NAMESPACE', 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY'] as const;

export const VM_DRIVER: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  binaries: [COMPONENTS.supervisor, DRIVER],
  open(ctx, config) {
    const { env, host, problems, root, startDirectory, terminal } = ctx;
    const state = driverState(env, startDirectory, config.name);
    problems.attempt(() => verifySocketPath(state, host.platform), undefined);
    problems.attempt(() => verifyPrivateDirectory(STATE_VARIABLE, state, ownersOf(undefined)), undefined);
    const bundle = problems.attempt(() => resolveBundleConfig(env, root, startDirectory, host), undefined);
    const gatewayEnv = gpuEnvironment(ctx);
    return async (tools) => {
      for (const name of IGNORED) {
        if (textOf(env, name) !== undefined) terminal.warn(`${name} has no effect: the vm driver does not read it`);
      }
      if (bundle === undefined) return undefined;
      const { directory } = bundle;
      const runtime = problems.attempt(() => runtimeStep(ctx, directory), []);
      if (tools === undefined) return undefined;
      return {
        before: [...runtime, await bundleStep(ctx, bundle, tools)],
        wishes: { others: [DRIVER], env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory } },
        gatewayEnv,
        metadata: { vm_driver_state_dir: state },
        ...withState(ctx, config, state),
      };
    };
  },
};

/** The driver gets the gateway's environment, and reads only `true` and whole numbers. */
function gpuEnvironment({ env, flags, problems }: LaunchContext): Environment {
  const isOn = flags.gpu === true || problems.attempt(() => readVariable(env, 'OPENSHELL_VM_GPU'), false);
  const count = (
    variable: 'OPENSHELL_VM_GPU_MEM_MIB' | 'OPENSHELL_VM_GPU_VCPUS',
    flag: 'gpu-mem-mib' | 'gpu-vcpus',
  ) => {
    const given = flags[flag];
    const read = () => (given === undefined ? readVariable(env, variable) : parseCount(`--${flag}`, given, 1));
    return problems.attempt(read, undefined)?.toString();
  };
  return {
    OPENSHELL_VM_GPU: isOn ? 'true' : undefined,
    OPENSHELL_VM_GPU_MEM_MIB: count('OPENSHELL_VM_GPU_MEM_MIB', 'gpu-mem-mib'),
    OPENSHELL_VM_GPU_VCPUS: count('OPENSHELL_VM_GPU_VCPUS', 'gpu-vcpus'),
  };
}

/** What depends on the state directory, and on where the driver is. */
function withState(ctx: LaunchContext, config: Config, state: string): Pick<Preparation, 'after' | 'table' | 'banner'> {
  const { env, startDirectory, terminal } = ctx;
  const given = readPath(env, 'OPENSHELL_DRIVER_DIR', startDirectory);
  const image =
    textOf(env, 'OPENSHELL_SANDBOX_IMAGE') ?? readVariable(env, 'COMMUNITY_SANDBOX_IMAGE') ?? config.sandboxImage;
  const host = readVariable(env, 'OPENSHELL_VM_HOST_GATEWAY');
  // Written even where it is empty: the driver has a rule of its own then.
  const bootstrapImage = env.OPENSHELL_VM_BOOTSTRAP_IMAGE ?? '';
  const step: BuiltStep = {
    name: 'driver-state',
    title: "the driver's state directory",
    lines: [`# creates ${state} (0700)`],
    run: async (build) => {
      // The gateway's user: the driver takes no directory of another user.
      makePrivateDirectory(STATE_VARIABLE, state, ownersOf(undefined));
      const built = dirname(driverPath(build));
      if (given === undefined || given === built) return;
      terminal.warn(`OPENSHELL_DRIVER_DIR is ${shown(given)}; the driver of this build is in ${built}`);
    },
  };
  return {
    after: [...signStep(ctx), step],
    table: (build) => ({
      default_image: image,
      bootstrap_image: bootstrapImage,
      grpc_endpoint: config.grpcEndpoint ?? `http://${host}:${config.port}`,
      driver_dir: given ?? dirname(driverPath(build)),
      state_dir: state,
    }),
    banner: [['driver state', state]],
  };
}

async function bundleStep(ctx: LaunchContext, config: BundleConfig, tools: KnownTools): Promise<Step> {
  const { build, components } = config.stage;
  const own = { ...build, features: featuresFor(tools.features, components) };
  const prepared = await prepareBundle(ctx, { ...config, stage: { ...config.stage, build: own } }, tools);
  return {
    name: 'bundle',
    title: `supervisor for the guest (linux/${prepared.config.artifact.arch})`,
    lines: bundleDryRunLines(ctx.runner, prepared),
    run: () => executeBundle(ctx, prepared),
  };
}

function driverPath({ others }: DevBuild): string {
  const path = others.get(DRIVER.name);
  if (path === undefined) throw new TypeError('the launch has not built the VM driver');
  return path;
}

/**
 * macOS lets only a signed program with the entitlement use its hypervisor. What was built is signed, wherever it is.
 */
function signStep({ host, root, runner }: LaunchContext): BuiltStep[] {
  if (host.platform !== 'darwin') return [];
  const entitlements = join(root, ENTITLEMENTS);
  const sign = (path: string) => cmd({ cwd: root })`codesign --entitlements ${entitlements} --force -s - ${path}`;
  return [
    {
      name: 'sign',
      title: 'signature of the driver',
      lines: [runner.describe(sign(`<${DRIVER.binary}>`))],
      run: (build) => runner.run(sign(driverPath(build))),
    },
  ];
}
