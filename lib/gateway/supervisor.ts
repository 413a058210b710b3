// SPDX-License-Identifier: Apache-2.0

/**
 * Where the supervisor of a local launch comes from: it is built in the dev profile, static. On native Linux that is one
 * cargo run with the gateway; for another machine, or where glibc's static archive is missing, it is a cross-build. Where
 * the release profile is wanted, it is the staged build.
 *
 * For podman it is put into an image. That is built from a context of its own that holds this launch's binary under the
 * path that the Dockerfile copies, so that a dev binary never gets into the directory of release builds.
 */

import { hash, randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { missingTargets, verifyZigbuild, whyNoStaticLibc } from '../cargo/find-toolchain.ts';
import { featuresFor } from '../cargo/metadata.ts';
import { type BuiltSupervisor, type DevBuild, installSupervisor, verifySupervisor } from '../dev-build/execute.ts';
import { type CrossSupervisor, crossTriple, type DevBuildWishes } from '../dev-build/plan.ts';
import { findEngine, serverArch } from '../engine/detect.ts';
import { forLaunch } from '../engine/gateway-engine.ts';
import type { Engine, EngineName, LaunchEngine } from '../engine/types.ts';
import { oneLine, usageError } from '../errors.ts';
import { isOfOther } from '../fs/ownership.ts';
import { contentOf } from '../fs/paths.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import type { Arch, Host } from '../host.ts';
import { cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';
import { executeStage, type KnownTools, prepareStage } from '../stage/execute.ts';
import { type Artifact, artifactsOf, stagePlaces } from '../stage/plan.ts';
import { dryRunLines } from '../stage/report.ts';
import { stampOf } from '../stage/verify-built.ts';
import type { Config, LaunchContext } from './config.ts';
import type { BuiltStep, Step } from './drivers/types.ts';

type Profile = 'dev' | 'release';

const DOCKERFILE = 'deploy/docker/Dockerfile.supervisor';
const LABEL = 'com.nvidia.openshell.supervisor';
const PROBE_TIMEOUT_MS = 30_000;
const TAG_MAX = 128;

export interface Supervisor {
  readonly engine: LaunchEngine;
  readonly arch: Arch;
  readonly profile: Profile;
  readonly description: string;
  /** How it is built for this launch; `undefined` where it is staged. */
  readonly build: DevBuildWishes['supervisor'];
  readonly steps: readonly Step[];
  /** What is to be installed, once the steps have run. */
  built(build: DevBuild): BuiltSupervisor;
}

/** Probes the driver's engine and its API: its driver names it, whatever the environment says of engines. */
export function driverEngine(ctx: LaunchContext, name: EngineName): Promise<LaunchEngine> {
  if (ctx.engine !== undefined) return Promise.resolve(ctx.engine);
  const choice = { candidates: [name], reason: `the driver is ${name}` };
  const engine = findEngine(ctx, ctx.root, choice, forLaunch(ctx, ctx.host.platform));
  // It is awaited when the tool chain is known, and may fail before.
  engine.catch(() => undefined);
  return engine;
}

/** Chooses, with the reason for users; `noStatic` is why glibc cannot be linked statically here. Pure. */
export function chooseSupervisor(
  wanted: Profile | undefined,
  host: Host,
  arch: Arch,
  noStatic: string | undefined,
): { readonly way: 'staged' | 'with-gateway' | 'cross'; readonly reason: string } {
  if (wanted === 'release') return { way: 'staged', reason: 'OPENSHELL_SUPERVISOR_PROFILE=release' };
  const isNative = host.platform === 'linux' && host.arch === arch;
  if (!isNative) return { way: 'cross', reason: `cross-built for linux/${arch}` };
  if (noStatic !== undefined) return { way: 'cross', reason: "glibc's static archive is missing" };
  return { way: 'with-gateway', reason: 'built with the gateway' };
}

/**
 * Probes the engine, and whether glibc can be linked statically; then chooses and plans. `undefined` where something is
 * wrong.
 * @throws usageError where this machine cannot build what was chosen
 */
export async function prepareSupervisor(
  ctx: LaunchContext,
  config: Config,
  engine: Promise<LaunchEngine>,
  own: { readonly profile: Profile | undefined },
  tools: KnownTools | undefined,
): Promise<Supervisor | undefined> {
  const { host, problems, root, runner, terminal } = ctx;
  const probeStatic = async () => {
    const isProbed = tools !== undefined && host.platform === 'linux' && own.profile !== 'release';
    return isProbed ? whyNoStaticLibc(runner, root, host, tools.toolchain) : undefined;
  };
  const [found, noStatic] = await Promise.all([
    problems.attemptAsync(async () => ({ engine: await engine, arch: serverArch(await engine) })),
    problems.attemptAsync(probeStatic),
  ]);
  if (found === undefined || tools === undefined) return undefined;
  const { arch } = found;
  const { way, reason } = chooseSupervisor(own.profile, host, arch, noStatic);
  if (way === 'staged')
    return { ...found, ...describe('release', reason), ...(await staged(ctx, config, arch, tools)) };
  if (noStatic !== undefined && host.arch === arch) terminal.warn(noStatic);
  const build = way === 'cross' ? await crossSupervisor(ctx, arch, tools) : way;
  return { ...found, ...describe('dev', reason), build, steps: [], built: supervisorOf };
}

function describe(profile: Profile, reason: string) {
  return { profile, description: `${profile} profile, static (${reason})` };
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

function supervisorOf({ supervisor }: DevBuild): BuiltSupervisor {
  if (supervisor === undefined) throw new TypeError('the launch has no supervisor');
  return supervisor;
}

/** What else staging would read is the business of image builds and releases. */
async function staged(
  ctx: LaunchContext,
  { build }: Config,
  arch: Arch,
  tools: KnownTools,
): Promise<Pick<Supervisor, 'build' | 'steps' | 'built'>> {
  const { host, root, runner } = ctx;
  const components = [COMPONENTS.supervisor];
  const own = { ...build, features: featuresFor(tools.features, components) };
  const stage = { root, host, components, arches: [arch], build: own };
  const [artifact] = artifactsOf(stage) as [Artifact];
  const prepared = await prepareStage(ctx, stage, tools);
  let supervisor: BuiltSupervisor | undefined;
  const step = {
    name: 'stage',
    title: 'supervisor, release',
    lines: dryRunLines(runner, prepared),
    writes: stagePlaces(prepared.plan),
    run: async () => {
      await executeStage(ctx, prepared);
      // While the gateway is built, another staging may replace it.
      supervisor = verifySupervisor(artifact.path, arch);
    },
  };
  return { build: undefined, steps: [step], built: (other) => supervisorOf({ ...other, supervisor }) };
}

/** @throws usageError where the engine does not have the image that a variable names */
export async function verifyImageExists(
  ctx: LaunchContext,
  engine: Engine,
  source: string,
  image: string,
): Promise<void> {
  if (engine.unknown !== undefined) return;
  const result = await inspectImage(ctx, engine, image);
  if (result.ok) return;
  throw usageError(
    `${source} is '${oneLine(image)}', which ${engine.program} does not have (${oneLine(result.reason)}); ` +
      `pull or build it, or unset ${source} to have it built`,
  );
}

/** The image of a gateway. Under another name than the usual one it has a tag that no other one takes away. */
export function imageOf({ name }: Config): string {
  return `openshell/supervisor:${`dev${name === 'podman-dev' ? '' : `-${name}`}`.slice(0, TAG_MAX)}`;
}

/** The step that brings the image up to date. */
export function imageStep(ctx: LaunchContext, config: Config, supervisor: Supervisor): BuiltStep {
  const { problems, root, runner, terminal } = ctx;
  const { arch, engine, profile } = supervisor;
  const image = imageOf(config);
  const dockerfile = join(root, DOCKERFILE);
  const recipe = problems.attempt(() => contentOf(dockerfile));
  const context = contextDirectory(config.stateDirectory);
  const binary = join(context, PRODUCT.prebuiltDirectory, arch, COMPONENTS.supervisor.binary);
  const build = (label: string) => {
    const [args = []] = engine.record.buildCommands({
      ...{ context, dockerfile, target: COMPONENTS.supervisor.name, tags: [image], platforms: [`linux/${arch}`] },
      ...{ builder: undefined, caches: [], secrets: [], output: { kind: 'load' } },
      extra: ['--label', `${LABEL}=${label}`],
    });
    return cmd({ cwd: root })`${engine.program} ${args}`;
  };
  const remove = () => rmSync(context, { recursive: true, force: true });
  return {
    name: 'image',
    title: `image ${image}`,
    lines: [`# puts the supervisor into ${binary}`, runner.describe(build('…'))],
    run: async (built) => {
      // What a killed launch has left stays nowhere, also where its image is whole.
      remove();
      const source = supervisor.built(built);
      const label = hash('sha256', `${profile} ${stampOf(source.path)} ${recipe}`);
      const existing = await inspectImage(ctx, engine, image);
      if (existing.ok && existing.output.includes(label)) return terminal.say(`${image} holds this supervisor already`);
      try {
        installSupervisor(source, binary);
        await runner.run(build(label));
      } finally {
        remove();
      }
    },
  };
}

/**
 * The directory of the build's context: in the state directory, where the next launch removes what a killed one has
 * left. For root in another user's directory it is among the temporary files: podman follows links in it as root.
 */
function contextDirectory(stateDirectory: string): string {
  const name = 'image-context';
  return isOfOther(stateDirectory)
    ? join(temporaryRoot(), `openshell-${name}-${randomBytes(8).toString('hex')}`)
    : join(stateDirectory, name);
}

function inspectImage({ root, runner }: LaunchContext, { program }: Engine, image: string): Promise<ProbeResult> {
  return runner.probe(cmd({ cwd: root })`${program} image inspect -- ${image}`, PROBE_TIMEOUT_MS);
}
