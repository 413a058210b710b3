// SPDX-License-Identifier: Apache-2.0

/**
 * Where the VM driver comes from: it is built with the gateway, with runtime and supervisor in it, or the user has one
 * that is used as it is.
 */

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { featuresFor } from '../../cargo/metadata.ts';
import { readPath } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/verify-built.ts';
import { inspectExecutable } from '../../elf/verify.ts';
import { shown, usageError } from '../../errors.ts';
import type { Host } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { DRIVER } from '../../product.ts';
import type { KnownTools } from '../../stage/execute.ts';
import type { BundleConfig } from '../../vm/config.ts';
import { verifyEmbedded } from '../../vm/embedded.ts';
import { executeBundle, prepareBundle } from '../../vm/execute.ts';
import { bundlePlaces } from '../../vm/plan.ts';
import { bundleDryRunLines, dayOf } from '../../vm/report.ts';
import { digestsOf } from '../../vm/runtime/record.ts';
import { BUNDLE_FILE } from '../../vm/runtime-files.ts';
import type { Config, LaunchContext } from '../config.ts';
import { MACH_O_HEAD_BYTES, machOArches } from './mach-o.ts';
import type { BuiltStep, Preparation, Step } from './types.ts';
import { runtimeStep } from './vm-runtime.ts';

const VARIABLE = 'OPENSHELL_DRIVER_DIR';
const ENTITLEMENTS = 'crates/openshell-driver-vm/entitlements.plist';

/** A driver that is decided on: what the launch does for it. */
export interface DriverSource extends Pick<Preparation, 'before' | 'wishes' | 'after'> {
  /** What it is, for users. */
  readonly description: string;
  /** The directory that it is in, once the launch has built. */
  directory(build: DevBuild): string;
}

/**
 * Decides, and checks a driver that the user names.
 * @returns `undefined` where something is wrong
 * @throws usageError for a driver that cannot run here, or where this machine cannot build what goes into one
 */
export async function findDriver(
  ctx: LaunchContext,
  config: Config,
  bundle: BundleConfig,
  tools: KnownTools | undefined,
): Promise<DriverSource | undefined> {
  const given = readPath(ctx.env, VARIABLE, ctx.startDirectory);
  if (given === undefined || resolve(given) === outputDirectory(ctx, config, tools)) return toBuild(ctx, bundle, tools);
  const path = join(given, DRIVER.binary);
  verifyDriver(given, path, ctx.host);
  return { description: `${path} of ${dayOf(statSync(path).mtime)} (${VARIABLE})`, directory: () => given };
}

/** Where cargo puts the driver of this launch: who names that means the one that is built. */
function outputDirectory({ root }: LaunchContext, { build }: Config, tools: KnownTools | undefined): string {
  return join(build.targetDirectory ?? tools?.toolchain.settings.targetDirectory ?? join(root, 'target'), 'debug');
}

/**
 * Checks that this machine can run the driver.
 * @throws usageError saying why not
 */
export function verifyDriver(directory: string, path: string, host: Host): void {
  const reason = whyNotRunnable(path, host);
  if (reason === undefined) return;
  throw usageError(
    `${VARIABLE} is ${shown(directory)}: ${reason}; set it to another directory, or unset it to build one`,
  );
}

function whyNotRunnable(path: string, host: Host): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return `it has no file ${DRIVER.binary}`;
  if (!isExecutable(path)) return `${path} is not executable`;
  if (host.platform === 'linux') {
    const verdict = inspectExecutable(path, { machine: host.arch });
    return verdict.ok ? undefined : verdict.reasons.join('; ');
  }
  const arches = machOArches(headOf(path));
  if (host.arch === undefined || arches.includes(host.arch)) return undefined;
  return `${path} is for ${arches.join(' and ') || 'another system'}, wanted ${host.arch}`;
}

function headOf(path: string): Buffer {
  const head = Buffer.alloc(MACH_O_HEAD_BYTES);
  const file = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(file, head));
  } finally {
    closeSync(file);
  }
}

async function toBuild(
  ctx: LaunchContext,
  bundle: BundleConfig,
  tools: KnownTools | undefined,
): Promise<DriverSource | undefined> {
  const { directory } = bundle;
  const wanted: Record<string, string> = {};
  const runtime = ctx.problems.attempt(() => runtimeStep(ctx, directory, wanted));
  if (tools === undefined) return undefined;
  return {
    before: [...(runtime ?? []), await bundleStep(ctx, bundle, tools, wanted)],
    wishes: { others: [DRIVER], env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory } },
    after: [embeddedStep(directory, wanted), ...signStep(ctx)],
    description: 'built with the gateway',
    directory: (build) => dirname(driverPath(build)),
  };
}

async function bundleStep(
  ctx: LaunchContext,
  config: BundleConfig,
  tools: KnownTools,
  wanted: Record<string, string>,
): Promise<Step> {
  const { build, components } = config.stage;
  const own = { ...build, features: featuresFor(tools.features, components) };
  const prepared = await prepareBundle(ctx, { ...config, stage: { ...config.stage, build: own } }, tools);
  return {
    name: 'bundle',
    title: `supervisor for the guest (linux/${prepared.config.artifact.arch})`,
    lines: bundleDryRunLines(ctx.runner, prepared),
    writes: bundlePlaces(prepared),
    run: async () => {
      await executeBundle(ctx, prepared);
      Object.assign(wanted, digestsOf(config.directory, [BUNDLE_FILE]));
    },
  };
}

function driverPath({ others }: DevBuild): string {
  const path = others.get(DRIVER.name);
  if (path === undefined) throw new TypeError('the launch has not built the VM driver');
  return path;
}

/** A driver with a stub in it fails only when a sandbox is started. */
function embeddedStep(directory: string, wanted: Readonly<Record<string, string>>): BuiltStep {
  return {
    name: 'embedded',
    title: 'runtime and supervisor in the driver',
    lines: [`# verifies that the driver has what is in ${directory} in it`],
    run: async (build) => {
      verifyEmbedded(driverPath(build), directory, wanted);
    },
  };
}

/** macOS lets only a signed program with the entitlement use its hypervisor. */
export function signDriver(root: string, path: string): Command {
  return cmd({ cwd: root })`codesign --entitlements ${join(root, ENTITLEMENTS)} --force -s - ${path}`;
}

/** What was built is signed, wherever it is. */
function signStep({ host, root, runner }: LaunchContext): BuiltStep[] {
  if (host.platform !== 'darwin') return [];
  const sign = (path: string) => signDriver(root, path);
  return [
    {
      name: 'sign',
      title: 'signature of the driver',
      lines: [runner.describe(sign(`<${DRIVER.binary}>`))],
      run: (build) => runner.run(sign(driverPath(build))),
    },
  ];
}
