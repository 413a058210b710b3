// SPDX-License-Identifier: Apache-2.0

/** `vm:setup --from-source`: the libraries are built as each platform does it, and that build is staged. */

import type { RunnerContext } from '../../build-env.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { buildDirectory, resolveLibkrunConfig, thisBuildHost } from '../libkrun/config.ts';
import { executeLibkrun, prepareLibkrun } from '../libkrun/execute.ts';
import { libkrunDryRunLines, libkrunReportLines } from '../libkrun/report.ts';
import { resolveMacosConfig } from '../libkrun-macos/config.ts';
import { executeMacos, prepareMacos } from '../libkrun-macos/execute.ts';
import { macosDryRunLines, macosReportLines } from '../libkrun-macos/report.ts';
import { PLATFORMS } from '../runtime-files.ts';
import { planBuild } from './build.ts';
import { resolveRuntimeConfig } from './config.ts';
import type { SetupFlags } from './present.ts';
import { planLines, runPlan } from './setup.ts';
import { runtimePlaces } from './stage.ts';

/** A build that is planned: nothing but probes has been started. */
interface LibraryBuild {
  /** What a dry run prints. */
  readonly lines: readonly string[];
  /** Builds; gives the report. */
  run(): Promise<string[]>;
}

/**
 * Builds the libraries, and stages them, whatever is there.
 * @throws TaskError: 2 for wrong values and what is missing or cannot be verified, the status of what failed
 */
export async function setUpFromSource(ctx: RunnerContext, flags: SetupFlags): Promise<void> {
  const { env, terminal } = ctx;
  const config = resolveRuntimeConfig(ctx);
  const prepare = PLATFORMS[config.platform].os === 'linux' ? prepareLinux : prepareDarwin;
  const planned = prepare(ctx, config.root, flags['install-deps']);
  const plan = planBuild(env, config, flags.force);
  const build = await planned();
  verifyPlaces(terminal, runtimePlaces(config.directory));
  if (flags['dry-run']) return terminal.result(...build.lines, ...planLines(plan));
  for (const line of await build.run()) terminal.say(line);
  await runPlan(ctx, plan, false);
}

/** @returns what probes the rest, and plans */
function prepareLinux(ctx: RunnerContext, root: string, installDeps: boolean): () => Promise<LibraryBuild> {
  const config = resolveLibkrunConfig(ctx.env, root, ctx.startDirectory, thisBuildHost(), installDeps);
  return async () => {
    const prepared = await prepareLibkrun(ctx, config);
    const run = async () => libkrunReportLines(config, await executeLibkrun(ctx, prepared));
    return { lines: libkrunDryRunLines(ctx.runner, prepared), run };
  };
}

function prepareDarwin(ctx: RunnerContext, root: string): () => Promise<LibraryBuild> {
  // The kernel is C that a build on Linux has left there.
  const flags = { kernelDirectory: buildDirectory(root), isStrict: false };
  const config = resolveMacosConfig(ctx.env, root, ctx.startDirectory, thisBuildHost(), flags);
  return async () => {
    const plan = await prepareMacos(ctx, config);
    const run = async () => macosReportLines(plan, await executeMacos(ctx, plan));
    return { lines: macosDryRunLines(ctx.runner, plan), run };
  };
}
