// SPDX-License-Identifier: Apache-2.0

/** Staging: the tools are probed, cargo runs, and what it has built is verified and put in place. */

import type { RunnerContext } from '../build-env.ts';
import {
  addTargets,
  findToolchain,
  installTargets,
  missingTargets,
  type Toolchain,
  verifyZigbuild,
  whyNoStaticLibc,
} from '../cargo/find-toolchain.ts';
import {
  type Features,
  featuresByComponent,
  readCargoMessages,
  readWorkspace,
  type Workspace,
} from '../cargo/metadata.ts';
import { refuseMissing, targetDirectoryOf } from '../cargo/settings.ts';
import { makeOverlay, planOverlay } from '../cargo/version-overlay.ts';
import { removeStaleCmakeCaches, writeZigWrapper } from '../cargo/zig-cc.ts';
import { findCheckout } from '../checkout.ts';
import { refuseOrNote } from '../cli/dry-run-marks.ts';
import { MissingTool } from '../errors.ts';
import { whileLocked } from '../fs/lock.ts';
import { verifyPlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { COMPONENTS, type STAGE_TARGETS } from '../product.ts';
import { resolveStageConfig, type StageConfig } from './config.ts';
import { type PreparedStage, planStage, stageLock, stagePlaces } from './plan.ts';
import { dryRunLines, reportLines } from './report.ts';
import { type Built, executableFor, putInPlace, verifyArtifact } from './verify-built.ts';

type StageTarget = (typeof STAGE_TARGETS)[number];

/** Stages what `target` names, or prints the plan. */
export async function stage(ctx: RunnerContext, target: StageTarget, isDryRun: boolean): Promise<void> {
  const { runner, terminal } = ctx;
  const prepared = await planStaging(ctx, target);
  const { root } = prepared.plan.config;
  if (isDryRun) return terminal.result(...dryRunLines(runner, prepared));
  const staged = await executeStage(ctx, prepared);
  for (const line of reportLines(root, staged)) terminal.say(line);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(...staged.map(({ artifact }) => artifact.path));
}

/** Plans a staging; nothing but probes is started. @throws TaskError where it cannot be executed */
export async function planStaging(ctx: RunnerContext, target: StageTarget): Promise<PreparedStage> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const prepared = await prepareStage(ctx, resolveStageConfig(target, env, root, startDirectory, thisHost()));
  verifyPlaces(terminal, stagePlaces(prepared.plan));
  return prepared;
}

/** What a launch knows already. */
export interface KnownTools {
  readonly toolchain: Toolchain;
  readonly workspace?: Workspace;
  readonly features: Features;
}

/**
 * Probes what the plan depends on, and plans. @param known what need not be probed again
 * @throws MissingTool, or usageError where this machine and its tools cannot build what was asked for
 */
export async function prepareStage(
  ctx: RunnerContext,
  config: StageConfig,
  known?: KnownTools,
): Promise<PreparedStage> {
  const { build, components, root } = config;
  const { features, targetDirectory, version } = build;
  const { runner } = ctx;
  const toolchain = known?.toolchain ?? (await findToolchain(ctx, root, components.includes(COMPONENTS.gateway)));
  // A launch collects what is wrong, and has looked.
  if (known === undefined) refuseMissing(toolchain.missingPrograms);
  // Cargo reads the workspace only where the plan depends on it.
  const isNeeded = version !== undefined || (known === undefined && features.length > 0);
  const workspace = isNeeded
    ? (known?.workspace ?? (await readWorkspace(runner, toolchain, root, targetDirectory)))
    : undefined;
  const extra = known?.features ?? featuresByComponent(features, components, workspace?.packages ?? []);
  const overlay =
    workspace && version !== undefined ? planOverlay(root, workspace.targetDirectory, version) : undefined;
  const plan = planStage(config, toolchain, extra, overlay);
  const isZigbuild = plan.runs.some(({ command }) => command.argv.includes('zigbuild'));
  const isStatic = build.libc === 'glibc-static' && components.includes(COMPONENTS.supervisor);
  const triples = plan.runs.flatMap((run) => run.artifacts.map(({ triple }) => triple));
  const [missing, noStatic] = await Promise.all([
    missingTargets(runner, toolchain, root, triples),
    isStatic ? whyNoStaticLibc(runner, root, config.host, toolchain) : undefined,
    isZigbuild && toolchain.hasZigbuild ? verifyZigbuild(runner, toolchain, root) : undefined,
  ]);
  if (noStatic !== undefined) {
    refuseOrNote(ctx.unknowns, new MissingTool(`SUPERVISOR_LIBC=glibc-static: ${noStatic}; or use musl`));
  }
  return { plan, toolchain, missing };
}

/** Executes a plan, one staging at a time in a checkout. @throws TaskError as `buildAll` */
export async function executeStage(ctx: RunnerContext, prepared: PreparedStage) {
  const { components, root } = prepared.plan.config;
  const task = `stage ${components.map(({ name }) => name).join(' ')}`;
  const remedy = 'set OPENSHELL_ROOT to a checkout on another file system';
  const place = { path: stageLock(root), remedy, task, other: 'another staging in this checkout' };
  return whileLocked(ctx, place, async (lock) => {
    // Everything is built and verified before anything is staged: `all` never leaves one new and one old.
    const built = await buildAll(ctx, prepared);
    lock.verifyHeld();
    return ctx.terminal.section('staging', async () => {
      return built.map((one) => ({ ...one, change: putInPlace(one.artifact, one.source, one.artifact.path) }));
    });
  });
}

/** Builds and verifies. @throws TaskError: cargo's status, 1 for what fails verification, MissingTool for a Rust target */
export async function buildAll(ctx: RunnerContext, prepared: PreparedStage): Promise<Built[]> {
  const { plan, toolchain, missing } = prepared;
  const { runner, terminal } = ctx;
  const target = targetDirectoryOf(plan.config.root, plan.config.build.targetDirectory, toolchain.settings);
  if (missing.length > 0) {
    const add = addTargets(toolchain, plan.config.root, missing);
    await terminal.section('Rust targets', () => installTargets(runner, add));
  }
  if (plan.overlay !== undefined) await makeOverlay(ctx, plan.overlay);
  const built: Built[] = [];
  for (const run of plan.runs) {
    const { binary, name } = run.component;
    const build = async () => {
      for (const wrapper of run.wrappers) {
        writeZigWrapper(wrapper);
        removeStaleCmakeCaches(terminal, target, toolchain.settings, wrapper.triple);
      }
      const { executablesOf, compiled, total } = readCargoMessages(await runner.cargo(run.command));
      return run.artifacts.map((artifact) => {
        const source = executableFor(artifact.arch, binary, executablesOf(binary));
        return { artifact, source, ...verifyArtifact(artifact, source), compiled, total };
      });
    };
    const targets = run.artifacts.map(({ arch, triple }) => `linux/${arch} (${triple})`).join(', ');
    built.push(...(await terminal.section(name, build, `${binary} for ${targets}`)));
  }
  return built;
}
