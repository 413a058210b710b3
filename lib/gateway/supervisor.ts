// SPDX-License-Identifier: Apache-2.0

/** The static supervisor of a local launch: built with the gateway, cross-built or staged; for podman in an image. */

import { hash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { missingTargets, verifyZigbuild, whyNoStaticLibc } from '../cargo/find-toolchain.ts';
import { featuresFor } from '../cargo/metadata.ts';
import { readVariable } from '../cli/env.ts';
import { type BuiltSupervisor, type DevBuild, installSupervisor, verifySupervisor } from '../dev-build/execute.ts';
import { crossTriple } from '../dev-build/plan.ts';
import { findEngine, serverArch } from '../engine/detect.ts';
import { forLaunch } from '../engine/gateway-engine.ts';
import type { Engine, EngineName, LaunchEngine } from '../engine/types.ts';
import { contentOf } from '../fs/paths.ts';
import type { Arch, Host } from '../host.ts';
import { cmd } from '../process/command.ts';
import { COMPONENTS, PRODUCT } from '../product.ts';
import { executeStage, type KnownTools, prepareStage } from '../stage/execute.ts';
import { type Artifact, artifactsOf, stagePlaces } from '../stage/plan.ts';
import { dryRunLines } from '../stage/report.ts';
import { stampOf } from '../stage/verify-built.ts';
import type { BuiltStep, Config, LaunchContext } from './config.ts';

const DOCKERFILE = 'deploy/docker/Dockerfile.supervisor';
const LABEL = 'com.nvidia.openshell.supervisor';
const PROBE_TIMEOUT_MS = 30_000;

export type Supervisor = NonNullable<Awaited<ReturnType<typeof prepareSupervisor>>>;

/** Probes the driver's engine and its API: its driver names it, whatever the environment says of engines. */
export function driverEngine(ctx: LaunchContext, name: EngineName): Promise<LaunchEngine> {
  if (ctx.engine !== undefined) return Promise.resolve(ctx.engine);
  const choice = { candidates: [name], reason: `the driver is ${name}` };
  return findEngine(ctx, ctx.root, choice, forLaunch(ctx, ctx.host.platform));
}

/** Chooses, with the reason for users; `noStatic` is why glibc cannot be linked statically here. Pure. */
export function chooseSupervisor(
  wanted: 'dev' | 'release' | undefined,
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

/** Probes the engine, and whether glibc can be linked statically; then plans. `undefined` where something is wrong. */
export async function prepareSupervisor(
  ctx: LaunchContext,
  config: Config,
  name: EngineName,
  known: Promise<KnownTools | undefined>,
) {
  const { env, host, problems, root, runner, terminal } = ctx;
  const own = problems.values({ profile: () => readVariable(env, 'OPENSHELL_SUPERVISOR_PROFILE') });
  const probeEngine = async () => {
    const engine = await driverEngine(ctx, name);
    return { engine, arch: serverArch(engine) };
  };
  const probeStatic = async () => {
    const tools = await known;
    const isProbed = tools !== undefined && host.platform === 'linux' && own.profile !== 'release';
    return isProbed ? whyNoStaticLibc(runner, root, host, tools.toolchain) : undefined;
  };
  const probes = [problems.attemptAsync(probeEngine), problems.attemptAsync(probeStatic), known] as const;
  const [found, noStatic, tools] = await Promise.all(probes);
  if (found === undefined || tools === undefined) return undefined;
  const { arch } = found;
  const { way, reason } = chooseSupervisor(own.profile, host, arch, noStatic);
  const description = `${way === 'staged' ? 'release' : 'dev'} profile, static (${reason})`;
  if (way === 'staged') return { ...found, description, ...(await staged(ctx, config, arch, tools)) };
  if (noStatic !== undefined && host.arch === arch) terminal.warn(noStatic);
  const rest = { ...found, description, steps: [], built: supervisorOf };
  if (way === 'with-gateway') return { ...rest, build: way };
  const { toolchain } = tools;
  const [missing] = await Promise.all([
    missingTargets(runner, toolchain, root, [crossTriple(arch)]),
    toolchain.hasZigbuild ? verifyZigbuild(runner, toolchain, root) : undefined,
  ]);
  return { ...rest, build: { arch, missing } };
}

function supervisorOf({ supervisor }: Pick<DevBuild, 'supervisor'>): BuiltSupervisor {
  if (supervisor === undefined) throw new TypeError('the launch has no supervisor');
  return supervisor;
}

/** What else staging would read is the business of image builds and releases. */
async function staged(ctx: LaunchContext, { build }: Config, arch: Arch, tools: KnownTools) {
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
  return { build: undefined, steps: [step], built: () => supervisorOf({ supervisor }) };
}

/** The image of a gateway. Under another name than the usual one it has a tag that no other one takes away. */
export function imageOf({ name }: Config): string {
  return `openshell/supervisor:dev${name === 'podman-dev' ? '' : `-${name}`}`;
}

/** The step that brings the image up to date. */
export function imageStep(ctx: LaunchContext, config: Config, supervisor: Supervisor): BuiltStep {
  const { problems, root, runner, terminal } = ctx;
  const { arch, description, engine } = supervisor;
  const image = imageOf(config);
  const dockerfile = join(root, DOCKERFILE);
  const recipe = problems.attempt(() => contentOf(dockerfile));
  // It holds nothing but this launch's binary: one in the dev profile stays out of the directory of release builds.
  const context = join(config.stateDirectory, 'image-context');
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
      const label = hash('sha256', `${description} ${stampOf(source.path)} ${recipe}`);
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

export function inspectImage({ root, runner }: LaunchContext, { program }: Engine, image: string) {
  return runner.probe(cmd({ cwd: root })`${program} image inspect -- ${image}`, PROBE_TIMEOUT_MS);
}
