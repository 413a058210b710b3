// SPDX-License-Identifier: Apache-2.0

/**
 * Where the VM driver comes from: it is built with the gateway, with runtime and supervisor in it, or the user has one
 * that is used as it is.
 */

import { statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { featuresFor } from '../../cargo/metadata.ts';
import { readPath, readVariable } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/execute.ts';
import { inspectExecutable } from '../../elf/verify.ts';
import { shown, usageError } from '../../errors.ts';
import { contentOf } from '../../fs/paths.ts';
import type { Host } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { DRIVER } from '../../product.ts';
import type { KnownTools } from '../../stage/execute.ts';
import type { BundleConfig } from '../../vm/bundle/config.ts';
import { executeBundle, prepareBundle } from '../../vm/bundle/execute.ts';
import { bundleDryRunLines, bundlePlaces, dayOf } from '../../vm/bundle/plan.ts';
import { machODefect } from '../../vm/mach-o.ts';
import { defectsText, distrustOf, runtimeDefects, verifyEmbedded, vmPlatformOf } from '../../vm/runtime-files.ts';
import type { Config, LaunchContext } from '../config.ts';
import type { BuiltStep, Preparation, Step } from './types.ts';

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
  { build }: Config,
  bundle: BundleConfig,
  tools: KnownTools | undefined,
): Promise<DriverSource | undefined> {
  const given = readPath(ctx.env, VARIABLE, ctx.startDirectory);
  // Who names cargo's own directory means the one that is built.
  const target = build.targetDirectory ?? tools?.toolchain.settings.targetDirectory ?? join(ctx.root, 'target');
  if (given === undefined || resolve(given) === join(target, 'debug')) return toBuild(ctx, bundle, tools);
  const path = join(given, DRIVER.binary);
  verifyDriver(given, path, ctx.host);
  return { description: `${path} of ${dayOf(statSync(path).mtime)} (${VARIABLE})`, directory: () => given };
}

/**
 * Checks that this machine can run the driver.
 * @throws usageError saying why not
 */
export function verifyDriver(directory: string, path: string, host: Host): void {
  const reason = whyNotRunnable(path, host);
  if (reason === undefined) return;
  const remedy = 'set it to another directory, or unset it to build one';
  throw usageError(`${VARIABLE} is ${shown(directory)}: ${reason}; ${remedy}`);
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

async function toBuild(
  ctx: LaunchContext,
  bundle: BundleConfig,
  tools: KnownTools | undefined,
): Promise<DriverSource | undefined> {
  const { directory } = bundle;
  const runtime = await ctx.problems.attemptAsync(() => runtimeStep(ctx, directory));
  if (tools === undefined) return undefined;
  return {
    before: [...(runtime ?? []), await bundleStep(ctx, bundle, tools)],
    wishes: { others: [DRIVER], env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory } },
    after: [embeddedStep(ctx.host, directory), ...signStep(ctx)],
    description: 'built with the gateway',
    directory: (build) => dirname(driverPath(build)),
  };
}

/**
 * The step that downloads the runtime, as `vm:setup` does; where it is complete, one that warns if it was not verified:
 * it runs outside of any sandbox. A driver that is built with a part missing fails only when a sandbox is started, so
 * nothing is built before.
 * @throws usageError for a machine without a VM driver, a directory that cannot be used, or where the runtime is to be
 *   built, which takes too long for a launch
 */
async function runtimeStep(ctx: LaunchContext, directory: string): Promise<Step[]> {
  const platform = vmPlatformOf(ctx.host);
  const defects = runtimeDefects(directory, platform);
  if (defects.length === 0) {
    const text = distrustOf(directory, platform);
    const warn = async (line: string) => ctx.terminal.warn(line);
    if (text === undefined) return [];
    return [
      { name: 'runtime', title: 'VM runtime that nothing vouches for', lines: [`# ${text}`], run: () => warn(text) },
    ];
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

/** A driver with a stub in it fails only when a sandbox is started. */
function embeddedStep(host: Host, directory: string): BuiltStep {
  return {
    name: 'embedded',
    title: 'runtime and supervisor in the driver',
    lines: [`# verifies that the driver has what is in ${directory} in it`],
    run: async (build) => verifyEmbedded(driverPath(build), directory, vmPlatformOf(host)),
  };
}

/** macOS lets only a signed program with the entitlement use its hypervisor. */
export function signDriver(root: string, path: string): Command {
  return cmd({ cwd: root })`codesign --entitlements ${join(root, ENTITLEMENTS)} --force -s - ${path}`;
}

/** What was built is signed, wherever it is. */
function signStep({ host, root, runner }: LaunchContext): BuiltStep[] {
  if (host.platform !== 'darwin') return [];
  return [
    {
      name: 'sign',
      title: 'signature of the driver',
      lines: [runner.describe(signDriver(root, `<${DRIVER.binary}>`))],
      run: (build) => runner.run(signDriver(root, driverPath(build))),
    },
  ];
}
