// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; runtime and supervisor are embedded in the driver. */

import { accessSync, constants, lchownSync, lstatSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { featuresFor } from '../../cargo/metadata.ts';
import { type Environment, parseCount, readPath, readVariable, textOf } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/execute.ts';
import { inspectExecutable } from '../../elf/verify.ts';
import { describeError, shown, usageError } from '../../errors.ts';
import type { Invoker } from '../../fs/ownership.ts';
import { contentOf } from '../../fs/paths.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/writable-places.ts';
import type { Host } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import type { KnownTools } from '../../stage/execute.ts';
import { executeBundle, prepareBundle } from '../../vm/bundle/execute.ts';
import {
  type BundleConfig,
  bundleDryRunLines,
  bundlePlaces,
  dayOf,
  resolveBundleConfig,
} from '../../vm/bundle/plan.ts';
import { machODefect } from '../../vm/mach-o.ts';
import { defectsText, distrustOf, runtimeDefects, verifyEmbedded, vmPlatformOf } from '../../vm/runtime-files.ts';
import type { BuiltStep, Config, DriverRecord, LaunchContext, Step } from '../config.ts';

const DRIVER_VARIABLE = 'OPENSHELL_DRIVER_DIR';
const ENTITLEMENTS = 'crates/openshell-driver-vm/entitlements.plist';
const STATE_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_DIR';

/** Where the driver's socket is, below its state. */
const SOCKET = ['run', 'compute-driver.sock'] as const;

export const VM: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  binaries: [COMPONENTS.supervisor, DRIVER],
  ignored: ['OPENSHELL_SANDBOX_NAMESPACE', 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY'],
  async prepare(ctx, config, known) {
    const { env, host, problems, root, runner, startDirectory, terminal } = ctx;
    const own = problems.values({
      state: () => {
        const directory = driverState(env, startDirectory, config.name);
        verifySocketPath(directory, host.platform);
        verifyPrivateDirectory(STATE_VARIABLE, directory, ownersOf(runner.invoker?.uid));
        return directory;
      },
      bundle: () => resolveBundleConfig(env, root, startDirectory, host),
    });
    const gatewayEnv = gpuEnvironment(ctx);
    const image =
      textOf(env, 'OPENSHELL_SANDBOX_IMAGE') ?? readVariable(env, 'COMMUNITY_SANDBOX_IMAGE') ?? config.sandboxImage;
    // Written even where it is empty: the driver has a rule of its own then.
    const bootstrapImage = env.OPENSHELL_VM_BOOTSTRAP_IMAGE ?? '';
    const hostGateway = readVariable(env, 'OPENSHELL_VM_HOST_GATEWAY');
    const tools = await known;
    const noVm = whyNoVm(host.platform);
    if (noVm !== undefined) terminal.warn(noVm);
    const source = await findDriver(ctx, config, own.bundle, tools);
    if (source === undefined) return undefined;
    const { before, description, directory, ...rest } = source;
    const { state } = own;
    return {
      ...rest,
      before: [stateStep(state, description, runner.invoker), ...before],
      gatewayEnv,
      metadata: { vm_driver_state_dir: state },
      table: (build) => ({
        default_image: image,
        bootstrap_image: bootstrapImage,
        grpc_endpoint: config.grpcEndpoint ?? `http://${hostGateway}:${config.port}`,
        driver_dir: directory(build),
        state_dir: state,
      }),
      banner: [
        ['driver', description],
        ['driver state', state],
      ],
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
      return (given === undefined ? readVariable(env, variable) : parseCount(`--${flag}`, given, 1))?.toString();
    };
  return problems.values({
    OPENSHELL_VM_GPU: () => (flags.gpu === true || readVariable(env, 'OPENSHELL_VM_GPU') ? 'true' : undefined),
    OPENSHELL_VM_GPU_MEM_MIB: count('OPENSHELL_VM_GPU_MEM_MIB', 'gpu-mem-mib'),
    OPENSHELL_VM_GPU_VCPUS: count('OPENSHELL_VM_GPU_VCPUS', 'gpu-vcpus'),
  });
}

/** Where the driver keeps sandbox disks and its socket, absolute: it is the same after a restart. */
export function driverState(env: Environment, startDirectory: string, name: string): string {
  const root = readPath(env, 'OPENSHELL_VM_DRIVER_STATE_ROOT', startDirectory);
  const label = `${textOf(env, 'USER') ?? 'user'}-${name}`.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  return readPath(env, STATE_VARIABLE, startDirectory) ?? join(root, `openshell-vm-driver-${label}`);
}

/** @throws usageError where the driver's socket would have a path that is too long */
export function verifySocketPath(directory: string, platform: NodeJS.Platform): void {
  // Without the end mark: unix(4) on macOS, unix(7).
  const max = platform === 'darwin' ? 103 : 107;
  const length = Buffer.byteLength(join(directory, ...SOCKET));
  if (length <= max) return;
  throw usageError(
    `${STATE_VARIABLE} is ${shown(directory)}: its socket's path would have ${length} bytes, and ${max} are allowed; ` +
      'set it to a shorter one',
  );
}

/** The driver takes no directory of another user than its own: under sudo what is the user's becomes root's. */
function stateStep(state: string, description: string, invoker: Invoker | undefined): Step {
  return {
    name: 'driver-state',
    lines: [`# creates ${state} (0700)`, `# driver: ${description}`],
    writes: [{ kind: 'directory', path: state, remedy: `set ${STATE_VARIABLE} to another directory` }],
    run: () => {
      makePrivateDirectory(STATE_VARIABLE, state, ownersOf(invoker?.uid));
      for (const path of [state, join(state, SOCKET[0]), join(state, ...SOCKET)]) {
        const found = lstatSync(path, { throwIfNoEntry: false });
        if (found !== undefined && found.uid === invoker?.uid) lchownSync(path, 0, 0);
      }
    },
  };
}

/**
 * Decides, and checks a driver that the user names; `undefined` where something is wrong.
 * @throws usageError for a driver that cannot run here, or where this machine cannot build what goes into one
 */
async function findDriver(ctx: LaunchContext, { build }: Config, bundle: BundleConfig, tools: KnownTools | undefined) {
  const given = readPath(ctx.env, DRIVER_VARIABLE, ctx.startDirectory);
  // Who names cargo's own directory means the one that is built.
  const target = build.targetDirectory ?? tools?.toolchain.settings.targetDirectory ?? join(ctx.root, 'target');
  if (given === undefined || resolve(given) === join(target, 'debug')) return toBuild(ctx, bundle, tools);
  const path = join(given, DRIVER.binary);
  verifyDriver(given, path, ctx.host);
  return {
    before: [],
    description: `${path} of ${dayOf(statSync(path).mtime)} (${DRIVER_VARIABLE})`,
    directory: () => given,
  };
}

/** @throws usageError saying why this machine cannot run the driver */
export function verifyDriver(directory: string, path: string, host: Host): void {
  const reason = whyNotRunnable(path, host);
  if (reason === undefined) return;
  throw usageError(`${DRIVER_VARIABLE} is ${shown(directory)}: ${reason}; set it to another directory, or unset it`);
}

function whyNotRunnable(path: string, host: Host): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return `it has no file ${DRIVER.binary}`;
  if (!isExecutable(path)) return `${path} is not executable`;
  if (host.platform === 'linux') {
    const verdict = inspectExecutable(path, { machine: host.arch });
    return verdict.ok ? undefined : verdict.reasons.join('; ');
  }
  const defect = host.arch && machODefect(contentOf(path), host.arch, false);
  return defect && `${path} is ${defect}`;
}

async function toBuild(ctx: LaunchContext, bundle: BundleConfig, tools: KnownTools | undefined) {
  const { host, problems, root, runner } = ctx;
  const { directory } = bundle;
  const runtime = await problems.attemptAsync(() => runtimeStep(ctx, directory));
  if (tools === undefined) return undefined;
  // A driver with a stub in it fails only when a sandbox is started.
  const embedded: BuiltStep = {
    name: 'embedded',
    lines: [`# verifies that the driver has what is in ${directory} in it`],
    run: (build) => verifyEmbedded(driverPath(build), directory, vmPlatformOf(host)),
  };
  const sign: BuiltStep = {
    name: 'sign',
    lines: [runner.describe(signDriver(root, `<${DRIVER.binary}>`))],
    run: (build) => runner.run(signDriver(root, driverPath(build))),
  };
  return {
    before: [...(runtime ?? []), await bundleStep(ctx, bundle, tools)],
    wishes: { others: [DRIVER], env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory } },
    after: host.platform === 'darwin' ? [embedded, sign] : [embedded],
    description: 'built with the gateway',
    directory: (build: DevBuild) => dirname(driverPath(build)),
  };
}

/**
 * The step that downloads the runtime, as `vm:setup` does; where it is complete and not verified, one that warns.
 * @throws usageError for a machine without a VM driver, or where the runtime is to be built, which takes too long
 */
async function runtimeStep(ctx: LaunchContext, directory: string): Promise<Step[]> {
  const platform = vmPlatformOf(ctx.host);
  const defects = runtimeDefects(directory, platform);
  if (defects.length === 0) {
    const text = distrustOf(directory, platform);
    if (text === undefined) return [];
    return [{ name: 'runtime', title: 'VM runtime', lines: [`# ${text}`], run: () => ctx.terminal.warn(text) }];
  }
  const title = `VM runtime: ${defectsText(defects)}`;
  if (readVariable(ctx.env, 'FROM_SOURCE')) {
    throw usageError(`${title}, and FROM_SOURCE is set; build it first: mise run vm:setup -- --from-source`);
  }
  const { prepareRelease } = await import('../../vm/runtime/setup.ts');
  return [{ name: 'runtime', title, ...prepareRelease(ctx) }];
}

async function bundleStep(ctx: LaunchContext, config: BundleConfig, tools: KnownTools): Promise<Step> {
  const { build, components } = config.stage;
  const own = { ...build, features: featuresFor(tools.features, components) };
  const prepared = await prepareBundle(ctx, { ...config, stage: { ...config.stage, build: own } }, tools);
  return {
    name: 'bundle',
    title: `supervisor for the guest (linux/${prepared.config.artifact.arch})`,
    lines: bundleDryRunLines(ctx.runner, prepared),
    writes: bundlePlaces(prepared),
    run: () => executeBundle(ctx, prepared),
  };
}

function driverPath({ others }: DevBuild): string {
  const path = others.get(DRIVER.name);
  if (path === undefined) throw new TypeError('the launch has not built the VM driver');
  return path;
}

/** macOS lets only a signed program with the entitlement use its hypervisor. */
export function signDriver(root: string, path: string): Command {
  return cmd({ cwd: root })`codesign --entitlements ${join(root, ENTITLEMENTS)} --force -s - ${path}`;
}
