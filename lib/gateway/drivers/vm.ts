// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; the driver carries runtime and supervisor inside. */

import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { featuresFor } from '../../cargo/features.ts';
import { type Environment, parseCount, readPath, readVariable, textOf } from '../../cli/env.ts';
import type { Terminal } from '../../cli/terminal.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
import { shown } from '../../errors.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/private-directory.ts';
import { cmd } from '../../process/command.ts';
import { COMPONENTS } from '../../product.ts';
import { type BundleConfig, resolveBundleConfig } from '../../vm/config.ts';
import { executeBundle, prepareBundle } from '../../vm/execute.ts';
import type { PreparedBundle } from '../../vm/plan.ts';
import { bundleDryRunLines } from '../../vm/report.ts';
import { type Config, type ConfigSource, loopback } from '../config.ts';
import type { BuiltStep, DriverRecord, Preparation, PrepareFacts, Step } from './types.ts';
import { runtimeStep } from './vm-runtime.ts';
import { type DriverState, driverState, verifySocketPath } from './vm-state.ts';

const DRIVER = { name: 'driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' } as const;
const ENTITLEMENTS = 'crates/openshell-driver-vm/entitlements.plist';

interface VmConfig {
  readonly image: string;
  readonly bootstrapImage: string;
  readonly grpcEndpoint: string;
  /** Where the gateway looks for the driver; `undefined` for where cargo builds it. */
  readonly driverDirectory: string | undefined;
  readonly state: DriverState;
  /** `undefined` where it is among the problems. */
  readonly bundle: BundleConfig | undefined;
  /** Variables that are set and have no effect. */
  readonly ignored: readonly string[];
}

export const VM_DRIVER: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  variables: {
    name: ['OPENSHELL_VM_GATEWAY_NAME', 'OPENSHELL_GATEWAY_NAME'],
    stateDirectory: ['OPENSHELL_VM_GATEWAY_STATE_DIR', 'OPENSHELL_GATEWAY_STATE_DIR'],
  },
  bind: loopback,
  open(source, config) {
    const own = resolve(source, config);
    return {
      defaultImage: undefined,
      binaries: [COMPONENTS.supervisor, DRIVER],
      gatewayEnv: gpuEnvironment(source),
      metadata: { vm_driver_state_dir: own.state.directory },
      prepare: (ctx, facts) => prepare(ctx, facts, own, source),
    };
  },
};

function resolve({ env, startDirectory, root, host, problems }: ConfigSource, config: Config): VmConfig {
  const state = driverState(env, startDirectory, config.name);
  problems.attempt(() => verifySocketPath(state, host.platform), undefined);
  problems.attempt(() => verifyPrivateDirectory(state.source, state.directory, ownersOf(undefined)), undefined);
  return {
    image:
      textOf(env, 'OPENSHELL_SANDBOX_IMAGE') ?? readVariable(env, 'COMMUNITY_SANDBOX_IMAGE') ?? config.sandboxImage,
    // Written even where it is empty: the driver has a rule of its own then.
    bootstrapImage: env.OPENSHELL_VM_BOOTSTRAP_IMAGE ?? '',
    grpcEndpoint: config.grpcEndpoint ?? `http://${readVariable(env, 'OPENSHELL_VM_HOST_GATEWAY')}:${config.port}`,
    driverDirectory: readPath(env, 'OPENSHELL_DRIVER_DIR', startDirectory),
    state,
    bundle: problems.attempt(() => resolveBundleConfig(env, root, startDirectory, host), undefined),
    ignored: ['OPENSHELL_SANDBOX_NAMESPACE', 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY'].filter(
      (name) => textOf(env, name) !== undefined,
    ),
  };
}

/** The gateway hands its environment on to the driver, which reads only `true` and whole numbers. */
function gpuEnvironment({ env, flags, problems }: ConfigSource): Environment {
  const isOn = flags.gpu === true || problems.attempt(() => readVariable(env, 'OPENSHELL_VM_GPU'), false);
  const count = (
    variable: 'OPENSHELL_VM_GPU_MEM_MIB' | 'OPENSHELL_VM_GPU_VCPUS',
    flag: 'gpu-mem-mib' | 'gpu-vcpus',
  ) => {
    const given = flags[flag];
    const read = () => (given === undefined ? readVariable(env, variable) : parseCount(`--${flag}`, given, 1));
    const value = problems.attempt(read, undefined);
    return value === undefined ? {} : { [variable]: String(value) };
  };
  return {
    ...(isOn || env.OPENSHELL_VM_GPU !== undefined ? { OPENSHELL_VM_GPU: isOn ? 'true' : undefined } : {}),
    ...count('OPENSHELL_VM_GPU_MEM_MIB', 'gpu-mem-mib'),
    ...count('OPENSHELL_VM_GPU_VCPUS', 'gpu-vcpus'),
  };
}

async function prepare(
  ctx: RunnerContext,
  { config, tools }: PrepareFacts,
  own: VmConfig,
  { problems }: ConfigSource,
): Promise<Preparation | undefined> {
  for (const name of own.ignored) ctx.terminal.warn(`${name} has no effect: the vm driver does not read it`);
  if (own.bundle === undefined) return undefined;
  const { directory, stage } = own.bundle;
  const runtime = problems.attempt(() => runtimeStep(ctx, config, directory), []);
  if (tools === undefined) return undefined;
  const build = { ...stage.build, features: featuresFor(tools.features, stage.components) };
  const prepared = await prepareBundle(ctx, { ...own.bundle, stage: { ...stage, build } }, tools);
  return {
    before: [...runtime, bundleStep(ctx, prepared)],
    wishes: { withSupervisor: false, others: [DRIVER], env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory } },
    after: [...signStep(ctx, config), stateStep(ctx.terminal, own)],
    table: (built) => ({
      default_image: own.image,
      bootstrap_image: own.bootstrapImage,
      grpc_endpoint: own.grpcEndpoint,
      driver_dir: own.driverDirectory ?? dirname(driverPath(built)),
      state_dir: own.state.directory,
    }),
    banner: [['driver state', own.state.directory]],
  };
}

function bundleStep(ctx: RunnerContext, prepared: PreparedBundle): Step {
  return {
    name: 'bundle',
    title: `supervisor for the guest (linux/${prepared.config.artifact.arch})`,
    lines: bundleDryRunLines(ctx.runner, prepared),
    run: async () => {
      await executeBundle(ctx, prepared);
    },
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
function signStep({ runner }: RunnerContext, { host, root }: Config): BuiltStep[] {
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

function stateStep(terminal: Terminal, { driverDirectory, state }: VmConfig): BuiltStep {
  return {
    name: 'driver-state',
    title: "the driver's state directory",
    lines: [`# makes ${state.directory} (0700)`],
    run: async (build) => {
      // The gateway's user: the driver takes no directory of another user.
      makePrivateDirectory(state.source, state.directory, ownersOf(undefined));
      const built = dirname(driverPath(build));
      if (driverDirectory === undefined || driverDirectory === built) return;
      terminal.warn(`OPENSHELL_DRIVER_DIR is ${shown(driverDirectory)}; the driver of this build is in ${built}`);
    },
  };
}
