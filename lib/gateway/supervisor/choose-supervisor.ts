// SPDX-License-Identifier: Apache-2.0

/**
 * Where the supervisor of a local launch comes from: it is built in the dev profile, static. On native Linux that is one
 * cargo run with the gateway; for another machine, or where glibc's static archive is missing, it is a cross-build. Where
 * the release profile is wanted, it is the staged build.
 */

import { missingTargets, verifyZigbuild } from '../../cargo/find-toolchain.ts';
import { featuresFor } from '../../cargo/metadata.ts';
import { type BuiltSupervisor, digestOf, installSupervisor } from '../../dev-build/install-supervisor.ts';
import { type CrossSupervisor, crossTriple, type DevBuildWishes } from '../../dev-build/plan.ts';
import { whyNoStaticLibc } from '../../dev-build/static-libc-probe.ts';
import type { DevBuild } from '../../dev-build/verify-built.ts';
import { serverArch } from '../../engine/detect.ts';
import type { EngineName, LaunchEngine } from '../../engine/types.ts';
import type { Arch, Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { executeStage, type KnownTools, prepareStage } from '../../stage/execute.ts';
import { type Artifact, artifactsOf, stagePlaces } from '../../stage/plan.ts';
import { dryRunLines } from '../../stage/report.ts';
import type { Config, LaunchContext } from '../config.ts';
import { driverEngine } from '../drivers/driver-engine.ts';
import type { Step } from '../drivers/types.ts';

type Profile = 'dev' | 'release';

/** The longest tag of an image. */
const TAG_MAX = 128;

/** A supervisor that is decided on. */
export interface Supervisor {
  readonly engine: LaunchEngine;
  readonly arch: Arch;
  /** The image for podman. Under another name than the usual one a gateway has a tag that no other one takes away. */
  readonly image: string;
  readonly profile: Profile;
  /** What it is and why, for users. */
  readonly description: string;
  /** How it is built for this launch; `undefined` where it is staged. */
  readonly build: DevBuildWishes['supervisor'];
  /** The steps that stage it; empty where it is built for this launch. */
  readonly steps: readonly Step[];
  /** Puts it where sandboxes get it from, once the steps have run. Running sandboxes keep the file that they have. */
  install(build: DevBuild, path: string): Promise<unknown>;
  /** Its SHA-256 in hexadecimal. */
  digest(build: DevBuild): Promise<string>;
}

/**
 * Chooses. Pure.
 * @param wanted what the user asked for
 * @param arch the architecture that sandboxes run on
 * @param noStatic why glibc cannot be linked statically here; `undefined` where it can
 * @returns the way with its reason for users, and as advice what else they should know
 */
export function chooseSupervisor(
  wanted: Profile | undefined,
  host: Host,
  arch: Arch,
  noStatic: string | undefined,
): { readonly way: 'staged' | 'with-gateway' | 'cross'; readonly reason: string; readonly advice: string | undefined } {
  const advice = undefined;
  if (wanted === 'release') return { way: 'staged', reason: 'OPENSHELL_SUPERVISOR_PROFILE=release', advice };
  const isNative = host.platform === 'linux' && host.arch === arch;
  if (!isNative) return { way: 'cross', reason: `cross-built for linux/${arch}`, advice };
  if (noStatic !== undefined) return { way: 'cross', reason: "glibc's static archive is missing", advice: noStatic };
  return { way: 'with-gateway', reason: 'built with the gateway', advice };
}

/**
 * Probes the engine, and whether glibc can be linked statically; then chooses and plans.
 * @param own the profile that the user asked for
 * @returns `undefined` where something is wrong
 * @throws usageError where this machine cannot build what was chosen
 */
export async function prepareSupervisor(
  ctx: LaunchContext,
  config: Config,
  name: EngineName,
  own: { readonly profile: Profile | undefined },
  tools: KnownTools | undefined,
): Promise<Supervisor | undefined> {
  const { host, problems, root, runner, terminal } = ctx;
  const probeStatic = async () => {
    const isProbed = tools !== undefined && host.platform === 'linux' && own.profile !== 'release';
    return isProbed ? whyNoStaticLibc(runner, root, host, tools.toolchain) : undefined;
  };
  const [found, noStatic] = await Promise.all([
    problems.attemptAsync(async () => {
      const engine = await driverEngine(ctx, name);
      return { engine, arch: serverArch(engine) };
    }),
    problems.attemptAsync(probeStatic),
  ]);
  if (found === undefined || tools === undefined) return undefined;
  const { engine, arch } = found;
  const { way, reason, advice } = chooseSupervisor(own.profile, host, arch, noStatic);
  if (advice !== undefined) terminal.warn(advice);
  const tag = `dev${config.name === `${name}-dev` ? '' : `-${config.name}`}`.slice(0, TAG_MAX);
  const image = `openshell/supervisor:${tag}`;
  const described = (profile: Profile) => ({ image, profile, description: `${profile} profile, static (${reason})` });
  if (way === 'staged') return { engine, arch, ...described('release'), ...(await staged(ctx, config, arch, tools)) };
  const build = way === 'cross' ? await crossSupervisor(ctx, arch, tools) : way;
  return { engine, arch, ...described('dev'), build, ...BUILT };
}

async function crossSupervisor(
  { root, runner }: LaunchContext,
  arch: Arch,
  { toolchain }: KnownTools,
): Promise<CrossSupervisor> {
  const [missing] = await Promise.all([
    missingTargets(runner, toolchain, root, [crossTriple(arch)]),
    toolchain.hasZigbuild ? verifyZigbuild(runner, toolchain, root) : undefined,
  ]);
  return { arch, missing };
}

type Source = Pick<Supervisor, 'build' | 'steps' | 'install' | 'digest'>;

const BUILT: Omit<Source, 'build'> = {
  steps: [],
  install: (build, path) => installSupervisor(supervisorOf(build), path),
  digest: async (build) => supervisorOf(build).sha256,
};

function supervisorOf({ supervisor }: DevBuild): BuiltSupervisor {
  if (supervisor === undefined) throw new TypeError('the launch has not built a supervisor');
  return supervisor;
}

/** What else staging would read is the business of image builds and releases. */
async function staged(ctx: LaunchContext, { build }: Config, arch: Arch, tools: KnownTools): Promise<Source> {
  const { host, root, runner } = ctx;
  const components = [COMPONENTS.supervisor];
  const own = { ...build, features: featuresFor(tools.features, components) };
  const stage = { root, host, components, arches: [arch], build: own };
  const [artifact] = artifactsOf(stage) as [Artifact];
  const prepared = await prepareStage(ctx, stage, tools);
  let sha256 = '';
  const step = {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(runner, prepared),
    writes: stagePlaces(prepared.plan),
    run: async () => {
      await executeStage(ctx, prepared);
      // While the gateway is built, another staging may replace it.
      sha256 = await digestOf(artifact.path);
    },
  };
  return {
    build: undefined,
    steps: [step],
    install: (_, path) => installSupervisor({ path: artifact.path, sha256 }, path),
    digest: async () => sha256,
  };
}
