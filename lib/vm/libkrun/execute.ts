// SPDX-License-Identifier: Apache-2.0

/** Building libkrunfw (the kernel) and libkrun on Linux, from the commits that the checkout pins. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark } from '../../cli/unknowns.ts';
import { textIn } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { type BuildRecord, builtLibrary, putInPlace } from './artifacts.ts';
import { whileBuilding } from './build-record.ts';
import { type LibkrunConfig, resolveLibkrunConfig, thisBuildHost } from './config.ts';
import { buildFirmware, librariesIn } from './kernel.ts';
import { missingPackages } from './packages.ts';
import { hasInitRule, LINUX_FILES, libkrunPlaces, libraryCommands, type PreparedLibkrun } from './plan.ts';
import { libkrunDryRunLines, libkrunReportLines } from './report.ts';
import { checkOut } from './sources.ts';
import { findTools } from './tools.ts';

/**
 * Builds both, or prints the plan.
 * @throws TaskError: 2 before anything is built, the status of git, make or cargo, or 1 for what is not as it has to be
 */
export async function buildLibkrun(ctx: RunnerContext, installDeps: boolean, isDryRun: boolean): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveLibkrunConfig(env, root, startDirectory, thisBuildHost(), installDeps);
  const prepared = await prepareLibkrun(ctx, config);
  if (isDryRun) return terminal.result(...libkrunDryRunLines(runner, prepared));
  const record = await executeLibkrun(ctx, prepared);
  for (const line of libkrunReportLines(config, record)) terminal.say(line);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(...record.files.map((name) => join(config.directory, name)));
}

/**
 * Probes what the plan depends on, and plans. Nothing is installed.
 * @throws usageError where packages or tools are missing, or a place cannot be written
 */
export async function prepareLibkrun(ctx: RunnerContext, config: LibkrunConfig): Promise<PreparedLibkrun> {
  verifyPlaces(ctx.terminal, libkrunPlaces(config.directory, [...LINUX_FILES, ...librariesIn(config.directory)]));
  const installs = await missingPackages(ctx, config);
  const search = () => findTools({ ...ctx, unknowns: undefined }, config);
  const tools = installs.length > 0 ? undefined : await findOrMark(ctx.unknowns, search);
  if (config.fragment === undefined) {
    ctx.terminal.warn("the checkout has no openshell.kconfig: the kernel gets libkrunfw's configuration alone");
  }
  return { config, installs, tools, path: ctx.env.PATH ?? '' };
}

/**
 * Installs what is missing, and builds: one build at a time in a checkout.
 * @throws TaskError: the status of a program, or 1 for what is not as it has to be
 */
export async function executeLibkrun(ctx: RunnerContext, planned: PreparedLibkrun): Promise<BuildRecord> {
  const { config } = planned;
  const { directory } = config;
  for (const command of planned.installs) await ctx.runner.interactive(command);
  const prepared = { ...planned, tools: planned.tools ?? (await findTools(ctx, config)) };
  return whileBuilding(ctx, directory, async () => {
    const { firmware, library } = config;
    const commit = await ctx.terminal.section('libkrunfw sources', () => checkOut(ctx, firmware, directory));
    const built = await ctx.terminal.section('libkrunfw', () => buildFirmware(ctx, prepared, commit));
    const head = await ctx.terminal.section('libkrun sources', () => checkOut(ctx, library, directory));
    const found = await ctx.terminal.section('libkrun', () => buildLibrary(ctx, prepared));
    return putInPlace(config, built, { commit: head, path: found });
  });
}

/** @returns the path of the library */
async function buildLibrary({ runner }: RunnerContext, prepared: PreparedLibkrun): Promise<string> {
  const source = prepared.config.library;
  const { build, init } = libraryCommands(prepared);
  if (needsInit(source.directory)) await runner.run(init);
  return builtLibrary(source, prepared.config.arch, await runner.cargo(build));
}

/** Whether the program that libkrun starts in a guest is built by its own Makefile: since 1.18 cargo does it. */
function needsInit(directory: string): boolean {
  if (existsSync(join(directory, 'init/Makefile'))) return true;
  return hasInitRule(textIn(join(directory, 'Makefile')) ?? '');
}
