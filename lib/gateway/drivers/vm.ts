// SPDX-License-Identifier: Apache-2.0

/** The gateway whose sandboxes are small virtual machines; runtime and supervisor are embedded in the driver. */

import { accessSync, constants, lchownSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, parseCount, readPath, readVariable, textOf } from '../../cli/env.ts';
import { describeError, shown, usageError } from '../../errors.ts';
import type { Invoker } from '../../fs/ownership.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/private-directory.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { resolveBundleConfig } from '../../vm/bundle/config.ts';
import type { DriverRecord, LaunchContext, Step } from '../config.ts';
import { findDriver } from './vm-driver-source.ts';

const STATE_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_DIR';

/** The most bytes in the path of a Unix socket, the end mark not counted (unix(7); unix(4) on macOS). */
const SOCKET_PATH_MAX = { darwin: 103, other: 107 } as const;

/** Where the driver's socket is, below its state. */
const SOCKET = ['run', 'compute-driver.sock'] as const;

export const VM_DRIVER: DriverRecord = {
  name: 'vm',
  title: 'VM',
  port: 18_081,
  isActivated: true,
  binaries: [COMPONENTS.supervisor, DRIVER],
  ignored: ['OPENSHELL_SANDBOX_NAMESPACE', 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY'],
  open(ctx, config) {
    const { env, host, invoker, problems, root, startDirectory, terminal } = ctx;
    const own = problems.values({
      state: () => verifyDriverState(driverState(env, startDirectory, config.name), host.platform, invoker),
      bundle: () => resolveBundleConfig(env, root, startDirectory, host),
    });
    const gatewayEnv = gpuEnvironment(ctx);
    const image =
      textOf(env, 'OPENSHELL_SANDBOX_IMAGE') ?? readVariable(env, 'COMMUNITY_SANDBOX_IMAGE') ?? config.sandboxImage;
    return async (tools) => {
      const noVm = whyNoVm(host.platform);
      if (noVm !== undefined) terminal.warn(noVm);
      const source = await findDriver(ctx, config, own.bundle, tools);
      if (source === undefined) return undefined;
      const { before, description, directory, ...rest } = source;
      const { state } = own;
      return {
        ...rest,
        before: [stateStep(state, description, invoker), ...before],
        gatewayEnv,
        metadata: { vm_driver_state_dir: state },
        table: (build) => ({
          default_image: image,
          // Written even where it is empty: the driver has a rule of its own then.
          bootstrap_image: env.OPENSHELL_VM_BOOTSTRAP_IMAGE ?? '',
          grpc_endpoint:
            config.grpcEndpoint ?? `http://${readVariable(env, 'OPENSHELL_VM_HOST_GATEWAY')}:${config.port}`,
          driver_dir: directory(build),
          state_dir: state,
        }),
        banner: [
          ['driver', description],
          ['driver state', state],
        ],
      };
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

/** @throws usageError where the driver cannot use or create the directory */
function verifyDriverState(directory: string, platform: NodeJS.Platform, invoker: Invoker | undefined): string {
  verifySocketPath(directory, platform);
  verifyPrivateDirectory(STATE_VARIABLE, directory, ownersOf(invoker?.uid));
  return directory;
}

/** @throws usageError where the driver's socket would have a path that is too long */
export function verifySocketPath(directory: string, platform: NodeJS.Platform): void {
  const max = SOCKET_PATH_MAX[platform === 'darwin' ? 'darwin' : 'other'];
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
    title: "the driver's state directory",
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
