// SPDX-License-Identifier: Apache-2.0

/** Building libkrun on macOS: its kernel comes as C from a build on Linux, and everything else is built here. */

import { existsSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark, refuseOrNote } from '../../cli/dry-run-marks.ts';
import { failure, usageError } from '../../errors.ts';
import { copyWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { namesIn } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import { type BuildHost, thisBuildHost } from '../libkrun/config.ts';
import { verifyOutput } from '../libkrun/kernel.ts';
import { buildLock, libkrunPlaces } from '../libkrun/plan.ts';
import { changesIn, checkOut } from '../libkrun/sources.ts';
import { BUILD_RECORD, type LibraryBuild, runBuild, writeBuildRecord } from '../local-build.ts';
import { EMBEDDED_ABI, type MacosConfig, type MacosFlags, resolveMacosConfig } from './config.ts';
import { foreignIn, listNeeded, type MacosPlan, neededIn, planMacos, portableCommands } from './plan.ts';
import { macosDryRunLines, macosReportLine } from './report.ts';

const PROBE_TIMEOUT_MS = 20_000;
const DEFAULT_BREW = '/opt/homebrew';
/** What Apple's command line tools have. */
const APPLE_TOOLS = ['cc', 'git', 'make', 'otool', 'install_name_tool', 'codesign'] as const;

/**
 * Builds the libraries, or prints the plan.
 * @param host another machine than this one
 * @throws TaskError: 2 before anything is built, the status of a program, or 1 for what is not as it has to be
 */
export async function buildLibkrunMacos(
  ctx: RunnerContext,
  flags: MacosFlags,
  isDryRun: boolean,
  host: BuildHost = thisBuildHost(),
): Promise<void> {
  const { env, startDirectory } = ctx;
  const config = resolveMacosConfig(env, findCheckout(env, startDirectory), startDirectory, host, flags);
  await runBuild(ctx, await prepareMacos(ctx, config), isDryRun);
}

/**
 * Looks for the tools, and plans.
 * @throws usageError where some are missing, or a place cannot be written
 */
export async function prepareMacos(ctx: RunnerContext, config: MacosConfig): Promise<LibraryBuild> {
  const { env, runner, terminal, unknowns } = ctx;
  const has = (name: string) => findProgram(name, env) !== undefined;
  const command = cmd({ cwd: config.root })`brew --prefix`;
  const result = has('brew') ? await runner.probe(command, PROBE_TIMEOUT_MS) : undefined;
  const brew = (result?.ok === true && result.output) || DEFAULT_BREW;
  await findOrMark(unknowns, async () => {
    for (const name of APPLE_TOOLS) requireProgram(name, env, "install Apple's tools: xcode-select --install");
  });
  const wanted = { rust: has('cargo'), lld: has('ld.lld') || has(join(brew, 'opt/llvm/bin/ld.lld')), dtc: has('dtc') };
  const missing = Object.entries(wanted).flatMap(([name, isThere]) => (isThere ? [] : [name]));
  if (missing.length > 0) {
    const text = `${missing.join(', ')} are missing; run: brew install ${missing.join(' ')}`;
    refuseOrNote(unknowns, usageError(text));
  }
  const plan = planMacos(config, brew, existsSync(join(brew, 'opt/llvm')));
  verifyPlaces(terminal, libkrunPlaces(config.directory, plan.libraries));
  if (config.abi !== EMBEDDED_ABI) {
    terminal.warn(`the ABI of the kernel is ${config.abi}, and the VM driver embeds libkrunfw.${EMBEDDED_ABI}.dylib`);
  }
  return { lines: macosDryRunLines(runner, plan), run: () => executeMacos(ctx, plan) };
}

/** Builds the libraries, makes them portable, and puts them in place together. */
async function executeMacos(ctx: RunnerContext, plan: MacosPlan) {
  const { runner, terminal } = ctx;
  const { compile, config, libraries, work } = plan;
  return whileLocked(ctx, buildLock(config.directory), async () => {
    await terminal.section('libkrunfw', async () => {
      makeDirectory(work);
      await runner.run(compile);
      copyWhole(verifyOutput(join(work, libraries[2]), 'cc'), join(work, libraries[1]), 0o755);
    });
    const commit = await terminal.section('libkrun sources', () => checkOut(ctx, config.library));
    await terminal.section('libkrun', () => buildLibrary(ctx, plan));
    await terminal.section('portability', () => makePortable(ctx, plan));
    putInPlace(plan, commit);
    const files = libraries.map((name) => join(config.directory, name));
    return { files, report: macosReportLine(plan, commit) };
  });
}

async function buildLibrary({ runner }: RunnerContext, plan: MacosPlan): Promise<void> {
  const { build, built, clean, config, libraries, work } = plan;
  await runner.run(clean);
  // Make would take what cleaning has left, or a copy of it with a version in its name, for what it builds.
  for (const name of globSync('libkrun*.dylib', { cwd: built })) asOwner(built, () => rmSync(join(built, name)));
  await runner.run(build);
  if ((await changesIn(runner, config.library, 'Cargo.lock')) !== '') {
    throw failure(
      `the build has changed ${join(config.library.directory, 'Cargo.lock')}: libkrun was built with other crates than ` +
        'its commit names; remove its directory, and set LIBKRUN_REF to a commit with a complete lock file',
    );
  }
  copyWhole(verifyOutput(join(built, libraries[0]), 'make'), join(work, libraries[0]), 0o755);
}

/** @throws failure where a library is not portable and has to be */
async function makePortable({ runner, terminal }: RunnerContext, plan: MacosPlan): Promise<void> {
  const foreign: string[] = [];
  for (const name of plan.libraries) {
    const before = neededIn(await runner.read(listNeeded(plan, name)));
    for (const command of portableCommands(plan, name, before)) await runner.run(command);
    const found = foreignIn(neededIn(await runner.read(listNeeded(plan, name))));
    terminal.say(found.length === 0 ? `portable: ${name}` : `not portable: ${name} needs ${found.join(', ')}`);
    if (found.length > 0) foreign.push(name);
  }
  if (foreign.length === 0) return;
  const text = `other Macs do not have what these libraries need: ${foreign.join(', ')}`;
  if (plan.config.isStrict) throw failure(`${text}; build without it, or leave out --strict`);
  terminal.warn(`${text}; --strict makes this an error`);
}

/** Puts everything in place, and removes libraries of other versions. */
function putInPlace({ config, libraries, work }: MacosPlan, commit: string): void {
  const { abi, directory, library } = config;
  const place = (name: string) => join(directory, name);
  const names: readonly string[] = libraries;
  const stale = namesIn(directory).filter((name) => /^libkrunfw\.\d+\.dylib$/.test(name) && !names.includes(name));
  asOwner(directory, () => rmSync(place(BUILD_RECORD), { force: true }));
  for (const name of libraries) copyWhole(join(work, name), place(name), 0o755);
  for (const name of stale) asOwner(directory, () => rmSync(place(name), { force: true }));
  const record = { libkrun: { ref: library.ref, commit }, abi, files: libraries };
  writeBuildRecord(directory, record);
}
