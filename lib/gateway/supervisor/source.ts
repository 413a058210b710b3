// SPDX-License-Identifier: Apache-2.0

/**
 * Where the supervisor of a local launch comes from. On native Linux it is built with the gateway, in one cargo run,
 * static, in the dev profile; for another machine, or where that is wanted, or where glibc's static archive is missing,
 * it is the staged release build.
 */

import type { RunnerContext } from '../../build-env.ts';
import { featuresFor } from '../../cargo/features.ts';
import { type Environment, readVariable } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
import { type BuiltSupervisor, digestOf, installSupervisor } from '../../dev-build/supervisor.ts';
import { type Change, copyWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import type { Arch, Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { verifyArtifact } from '../../stage/artifacts.ts';
import { executeStage, type KnownTools, prepareStage } from '../../stage/execute.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../../stage/plan.ts';
import { dryRunLines } from '../../stage/report.ts';
import type { Config } from '../config.ts';
import type { Step } from '../drivers/types.ts';

export type Profile = 'dev' | 'release';

/** Where the supervisor comes from, and why, for users. */
export interface SupervisorChoice {
  readonly profile: Profile;
  readonly reason: string;
  /** Something that the user should know. */
  readonly advice: string | undefined;
}

/** A supervisor that is decided on. */
export interface SupervisorSource {
  readonly arch: Arch;
  readonly choice: SupervisorChoice;
  /** The steps that build it; none where it is built with the gateway. */
  readonly steps: readonly Step[];
  /** Puts it where sandboxes get it from, once the steps have run. Running sandboxes keep the file that they have. */
  install(build: DevBuild, path: string): Promise<Change>;
  /** Its SHA-256 in hexadecimal. */
  digest(build: DevBuild): Promise<string>;
}

/**
 * Reads the profile that the user asked for.
 * @throws usageError for a value that is not a profile
 */
export function resolveProfile(env: Environment): Profile | undefined {
  return readVariable(env, 'OPENSHELL_SUPERVISOR_PROFILE');
}

/**
 * Chooses. Pure.
 * @param wanted what the user asked for
 * @param arch the architecture that sandboxes run on
 * @param noStatic why glibc cannot be linked statically here; `undefined` where it can
 */
export function chooseSupervisor(
  wanted: Profile | undefined,
  host: Host,
  arch: Arch,
  noStatic: string | undefined,
): SupervisorChoice {
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
 * Chooses, and plans.
 * @throws usageError where this machine cannot build what was chosen
 */
export async function planSupervisor(
  ctx: RunnerContext,
  config: Config,
  tools: KnownTools,
  arch: Arch,
  profile: Profile | undefined,
  noStatic: string | undefined,
): Promise<SupervisorSource> {
  const choice = chooseSupervisor(profile, config.host, arch, noStatic);
  if (choice.advice !== undefined) ctx.terminal.warn(choice.advice);
  return choice.profile === 'dev' ? withGateway(arch, choice) : staged(ctx, config, tools, arch, choice);
}

function withGateway(arch: Arch, choice: SupervisorChoice): SupervisorSource {
  return {
    arch,
    choice,
    steps: [],
    install: (build, path) => installSupervisor(supervisorOf(build), path),
    digest: async (build) => supervisorOf(build).sha256,
  };
}

function supervisorOf({ supervisor }: DevBuild): BuiltSupervisor {
  if (supervisor === undefined) throw new TypeError('the launch has not built a supervisor');
  return supervisor;
}

/** What else staging would read is the business of image builds and releases. */
async function staged(
  ctx: RunnerContext,
  { build, host, root }: Config,
  tools: KnownTools,
  arch: Arch,
  choice: SupervisorChoice,
): Promise<SupervisorSource> {
  const components = [COMPONENTS.supervisor];
  const own = { ...build, features: featuresFor(tools.features, components) };
  const stage = { root, host, components, arches: [arch], build: own };
  const [artifact] = artifactsOf(stage) as [Artifact];
  const prepared = await prepareStage(ctx, stage, tools);
  return {
    arch,
    choice,
    steps: [stageStep(ctx, prepared)],
    install: async (_, path) => {
      sweepTemporary(path);
      return copyWhole(artifact.path, path, 0o755, (copy) => verifyArtifact(artifact, copy));
    },
    digest: () => digestOf(artifact.path),
  };
}

function stageStep(ctx: RunnerContext, prepared: PreparedStage): Step {
  return {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(ctx.runner, prepared),
    run: async () => {
      await executeStage(ctx, prepared);
    },
  };
}
