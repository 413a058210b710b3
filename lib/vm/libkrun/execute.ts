// SPDX-License-Identifier: Apache-2.0

/** Building libkrunfw (the kernel) and libkrun on Linux. A build that fails leaves the files of the one before. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { artifactsOfCargo } from '../../cargo/metadata.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark, mark } from '../../cli/dry-run-marks.ts';
import { inspectLibrary } from '../../elf/verify.ts';
import { failure } from '../../errors.ts';
import { sweepTemporary, writeWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { namesIn, textIn } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { type LibraryBuild, putInPlace, runBuild } from '../local-build.ts';
import { type LibkrunConfig, resolveLibkrunConfig } from './config.ts';
import { buildFirmware, LIBRARY, verifyOutput } from './kernel.ts';
import {
  buildLock,
  hasInitRule,
  LINUX_FILES,
  libkrunDryRunLines,
  libkrunPlaces,
  libraryCommands,
  type PreparedLibkrun,
  SHIM,
  STAMP_FILE,
} from './plan.ts';
import { checkOut } from './sources.ts';
import { findTools, missingPackages } from './tools.ts';

/** Stand for what is found once the packages are there. */
const MARKS = { python: 'python3', libclang: mark('libclang', 'not found'), cargo: {} };

/** Builds both, or prints the plan. @throws TaskError: 2 before anything is built, a program's status, or 1 */
export async function buildLibkrun(ctx: RunnerContext, installDeps: boolean, isDryRun: boolean): Promise<void> {
  const { env, startDirectory } = ctx;
  const config = resolveLibkrunConfig(env, findCheckout(env, startDirectory), startDirectory, thisHost(), installDeps);
  await runBuild(ctx, await prepareLibkrun(ctx, config), isDryRun);
}

/** Probes and plans. @throws usageError where packages or tools are missing, or a place cannot be written */
export async function prepareLibkrun(ctx: RunnerContext, config: LibkrunConfig): Promise<LibraryBuild> {
  const { runner, terminal, unknowns } = ctx;
  const libraries = namesIn(config.directory).filter((name) => LIBRARY.test(name));
  verifyPlaces(terminal, libkrunPlaces(config.directory, [...LINUX_FILES, ...libraries]));
  const installs = await missingPackages(ctx, config);
  if (installs.length > 0) unknowns?.note('packages are missing');
  const search = () => findTools({ ...ctx, unknowns: undefined }, config);
  const tools = installs.length > 0 ? MARKS : await findOrMark(unknowns, search, MARKS);
  if (config.fragment === undefined) {
    terminal.warn("the checkout has no openshell.kconfig: the kernel gets libkrunfw's configuration alone");
  }
  const prepared = { config, installs, tools };
  return { lines: libkrunDryRunLines(runner, prepared), run: () => executeLibkrun(ctx, prepared) };
}

/** Installs what is missing, and builds: one build at a time in a checkout. */
async function executeLibkrun(ctx: RunnerContext, planned: PreparedLibkrun) {
  const { runner, terminal } = ctx;
  const { config, installs } = planned;
  const { directory, firmware, library } = config;
  for (const command of installs) await runner.interactive(command);
  const prepared = installs.length > 0 ? { ...planned, tools: await findTools(ctx, config) } : planned;
  return whileLocked(ctx, buildLock(directory), async () => {
    const head = await terminal.section('libkrunfw sources', () => checkOut(ctx, firmware));
    const commit = await terminal.section('libkrun sources', () => checkOut(ctx, library));
    const { abi, files, kernel } = await terminal.section('libkrunfw', () => buildFirmware(ctx, prepared, head));
    const path = await terminal.section('libkrun', () => buildLibrary(ctx, prepared));
    const abiFile = join(directory, 'ABI_VERSION');
    for (const one of [abiFile, ...[STAMP_FILE, SHIM].map((name) => join(directory, name))]) sweepTemporary(one);
    writeWhole(abiFile, `${abi}\n`, 0o644);
    const record = { libkrunfw: { commit: head }, libkrun: { commit }, kernel };
    const placed = putInPlace(directory, [path, ...files], LIBRARY, record);
    return { files: [...placed, abiFile], report: `built: libkrunfw ${head} with ${kernel}, libkrun ${commit}` };
  });
}

/** @returns the path of the library */
async function buildLibrary({ runner }: RunnerContext, prepared: PreparedLibkrun): Promise<string> {
  const { arch, library } = prepared.config;
  const { build, init } = libraryCommands(prepared);
  const place = (path: string) => join(library.directory, path);
  // Since 1.18 cargo builds the program that libkrun starts in a guest.
  if (existsSync(place('init/Makefile')) || hasInitRule(textIn(place('Makefile')) ?? '')) await runner.run(init);
  const built = artifactsOfCargo(await runner.cargo(build)).filter((path) => path.endsWith('/libkrun.so'));
  const path = verifyOutput(built.at(-1) ?? place('target/release/libkrun.so'), 'cargo');
  const verdict = inspectLibrary(path, { machine: arch });
  if (!verdict.ok) throw failure(`cargo has built another library than is wanted: ${verdict.reasons.join('; ')}`);
  return path;
}
