// SPDX-License-Identifier: Apache-2.0

/**
 * Where the supervisor of a local launch comes from. On native Linux it is built with the gateway, in one cargo run,
 * static, in the dev profile; for another machine, or where that is wanted, or where glibc's static archive is missing,
 * it is the staged release build.
 */

import { featuresFor } from '../../cargo/features.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
import { type BuiltSupervisor, digestOf, installSupervisor } from '../../dev-build/install-supervisor.ts';
import { whyNoStaticLibc } from '../../dev-build/static-libc-probe.ts';
import { serverArch } from '../../engine/detect.ts';
import type { EngineName, LaunchEngine } from '../../engine/types.ts';
import { copyWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import type { Arch, Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { verifyArtifact } from '../../stage/artifacts.ts';
import { executeStage, type KnownTools, prepareStage } from '../../stage/execute.ts';
import { type Artifact, artifactsOf, stagePlaces } from '../../stage/plan.ts';
import { dryRunLines } from '../../stage/report.ts';
import type { Config, LaunchContext } from '../config.ts';
import { driverEngine } from '../drivers/driver-engine.ts';
import type { Step } from '../drivers/types.ts';

type Profile = 'dev' | 'release';

/** A supervisor that is decided on. */
export interface Supervisor {
  readonly engine: LaunchEngine;
  readonly arch: Arch;
  readonly profile: Profile;
  /** What it is and why, for users. */
  readonly description: string;
  /** The steps that build it; empty where it is built with the gateway. */
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
 * @returns the reason for users, and as advice what else they should know
 */
export function chooseSupervisor(
  wanted: Profile | undefined,
  host: Host,
  arch: Arch,
  noStatic: string | undefined,
): { readonly profile: Profile; readonly reason: string; readonly advice: string | undefined } {
  const variable = 'OPENSHELL_SUPERVISOR_PROFILE';
  const staged = { profile: 'release', advice: undefined } as const;
  if (host.platform !== 'linux' || host.arch !== arch) {
    const advice = wanted === 'dev' ? `${variable}=dev has no effect for linux/${arch} here` : undefined;
    return { ...staged, reason: `cross-built for linux/${arch}`, advice };
  }
  if (wanted === 'release') return { ...staged, reason: `${variable}=release` };
  if (noStatic !== undefined) return { ...staged, reason: "glibc's static archive is missing", advice: noStatic };
  return { profile: 'dev', reason: 'built with the gateway', advice: undefined };
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
    return isProbed ? whyNoStaticLibc(runner, root, host) : undefined;
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
  const { profile, reason, advice } = chooseSupervisor(own.profile, host, arch, noStatic);
  if (advice !== undefined) terminal.warn(advice);
  const source = profile === 'dev' ? WITH_GATEWAY : await staged(ctx, config, arch, tools);
  return { engine, arch, profile, description: `${profile} profile, static (${reason})`, ...source };
}

type Source = Pick<Supervisor, 'steps' | 'install' | 'digest'>;

const WITH_GATEWAY: Source = {
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
  const step = {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(runner, prepared),
    writes: stagePlaces(prepared.plan),
    run: () => executeStage(ctx, prepared),
  };
  return {
    steps: [step],
    install: async (_, path) => {
      sweepTemporary(path);
      copyWhole(artifact.path, path, 0o755, (copy) => verifyArtifact(artifact, copy));
    },
    digest: () => digestOf(artifact.path),
  };
}
