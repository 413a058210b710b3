// SPDX-License-Identifier: Apache-2.0

/**
 * Where the supervisor of a local launch comes from. On native Linux it is built with the gateway,
 * in one cargo run, static, in the dev profile; for another machine, or where that is asked for, or
 * where glibc's static archive is missing, it is the staged release build.
 */
/** The supervisor of a launch from staging: release, static, for the architecture that sandboxes run on. */

import { featuresFor, type LaunchFeatures } from '../../cargo/features.ts';
import { choiceOf, type Environment } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { resolveLaunchBuildConfig } from '../../dev-build/config.ts';
import { whyNoStaticLibc } from '../../dev-build/static-libc.ts';
import { type BuiltSupervisor, digestOf } from '../../dev-build/supervisor.ts';
import { type Change, copyWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import type { Arch, Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { verifyArtifact } from '../../stage/artifacts.ts';
import { resolveStageConfig } from '../../stage/config.ts';
import { execute, prepareStage } from '../../stage/execute.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../../stage/plan.ts';
import { dryRunLines } from '../../stage/report.ts';
import type { Made, Step } from '../drivers/types.ts';

export const PROFILE_VARIABLE = 'OPENSHELL_SUPERVISOR_PROFILE';

export const PROFILES = ['dev', 'release'] as const;

export type Profile = (typeof PROFILES)[number];

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
  /** The steps that make it; none where it is built with the gateway. */
  readonly steps: readonly Step[];
  /** Puts it where sandboxes get it from, once the steps have run. Running sandboxes keep the file that they have. */
  install(made: Made, path: string): Promise<Change>;
  /** Its SHA-256 in hexadecimal. */
  digest(made: Made): Promise<string>;
}

/**
 * Reads the profile.
 *
 * @throws usageError for any other word
 */
export function profileOf(env: Environment): Profile | undefined {
  return choiceOf(env, PROFILE_VARIABLE, PROFILES);
}

/**
 * Chooses. Pure.
 *
 * @param wanted what the user asked for
 * @param arch the architecture that sandboxes run on
 * @param lack why glibc cannot be linked statically here; `undefined` where it can
 */
export function chooseSupervisor(
  wanted: Profile | undefined,
  host: Host,
  arch: Arch,
  lack: string | undefined,
): SupervisorChoice {
  const staged = { profile: 'release', advice: undefined } as const;
  if (host.platform !== 'linux' || host.arch !== arch) {
    const advice = wanted === 'dev' ? `${PROFILE_VARIABLE}=dev has no effect for linux/${arch} here` : undefined;
    return { ...staged, reason: `cross-built for linux/${arch}`, advice };
  }
  if (wanted === 'release') return { ...staged, reason: `${PROFILE_VARIABLE}=release` };
  if (lack !== undefined) return { ...staged, reason: "glibc's static archive is missing", advice: lack };
  return { profile: 'dev', reason: 'built with the gateway', advice: undefined };
}

/**
 * Why glibc cannot be linked statically here, asked only where the answer could matter. It does not
 * depend on the engine, which can be asked meanwhile.
 */
export async function probeStaticLibc({ runner, env, startDirectory }: TaskContext, root: string, host: Host) {
  if (host.platform !== 'linux' || profileOf(env) === 'release') return undefined;
  return whyNoStaticLibc(
    runner,
    env,
    resolveLaunchBuildConfig(env, root, startDirectory, host, { withSupervisor: true }),
  );
}

/**
 * Chooses, and plans.
 *
 * @param lack the answer of `probeStaticLibc`
 * @throws usageError where this machine cannot build what was chosen
 */
export async function planSupervisor(
  ctx: TaskContext,
  features: LaunchFeatures,
  root: string,
  host: Host,
  arch: Arch,
  lack: string | undefined,
): Promise<SupervisorSource> {
  const choice = chooseSupervisor(profileOf(ctx.env), host, arch, lack);
  if (choice.advice !== undefined) ctx.terminal.warn(choice.advice);
  if (choice.profile === 'dev') {
    const built = (made: Made) => made.supervisor as BuiltSupervisor;
    const install = async (made: Made, path: string) => {
      const { installSupervisor } = await import('../../dev-build/supervisor.ts');
      return installSupervisor(built(made), path);
    };
    return { arch, choice, steps: [], install, digest: async (made) => built(made).sha256 };
  }
  // Staging is a whole module, and most launches do not enter it.
  const { planStaged } = await import('./source.ts');
  return planStaged(ctx, features, root, host, arch, choice);
}

/**
 * Plans its staging.
 *
 * @throws usageError where this machine cannot build it
 */
export async function planStaged(
  ctx: TaskContext,
  features: LaunchFeatures,
  root: string,
  host: Host,
  arch: Arch,
  choice: SupervisorChoice,
): Promise<SupervisorSource> {
  const env = closedEnvironment(ctx.env);
  const config = resolveStageConfig(COMPONENTS.supervisor.name, env, root, ctx.startDirectory, host);
  const staging = { ...config, arches: [arch], features: featuresFor(features, [COMPONENTS.supervisor]) };
  const [artifact] = artifactsOf(staging) as [Artifact];
  const prepared = await prepareStage(ctx, staging);
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

/** What else staging would read is the business of image builds and releases. */
function closedEnvironment(env: Environment): Environment {
  return { ...env, PREBUILT_ARCH: undefined, DOCKER_PLATFORM: undefined, OPENSHELL_CARGO_VERSION: undefined };
}

function stageStep(ctx: TaskContext, prepared: PreparedStage): Step {
  return {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(ctx.runner, prepared),
    run: async () => {
      await execute(ctx, prepared);
    },
  };
}
