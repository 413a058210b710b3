// SPDX-License-Identifier: Apache-2.0

/** `vm:setup --from-source`: the libraries are built as each platform does it, and that build is staged. */

import type { RunnerContext } from '../../build-env.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { resolveLibkrunConfig } from '../libkrun/config.ts';
import { prepareLibkrun } from '../libkrun/execute.ts';
import { prepareMacos } from '../libkrun-macos/execute.ts';
import { resolveMacosConfig } from '../libkrun-macos/plan.ts';
import { buildDirectory, type LibraryBuild } from '../local-build.ts';
import { PLATFORMS } from '../runtime-files.ts';
import { resolveRuntimeConfig } from './config.ts';
import { planBuild } from './from-build.ts';
import type { SetupFlags } from './present.ts';
import { planLines, runPlan } from './setup.ts';
import { runtimePlaces } from './stage.ts';

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
  terminal.say((await build.run()).report);
  await runPlan(ctx, plan, false);
}

/** @returns what probes the rest, and plans */
function prepareLinux(ctx: RunnerContext, root: string, installDeps: boolean): () => Promise<LibraryBuild> {
  const config = resolveLibkrunConfig(ctx.env, root, ctx.startDirectory, thisHost(), installDeps);
  return () => prepareLibkrun(ctx, config);
}

function prepareDarwin(ctx: RunnerContext, root: string): () => Promise<LibraryBuild> {
  // The kernel is C that a build on Linux has left there.
  const flags = { kernelDirectory: buildDirectory(root), isStrict: false };
  const config = resolveMacosConfig(ctx.env, root, ctx.startDirectory, thisHost(), flags);
  return () => prepareMacos(ctx, config);
}
