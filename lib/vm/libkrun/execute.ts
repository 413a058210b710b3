// SPDX-License-Identifier: Apache-2.0

/**
 * Building libkrunfw (the kernel) and libkrun on Linux, from the commits that the checkout pins. The files are put in
 * place together, when everything is built: a build that fails leaves those of the one before.
 */

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { artifactsOfCargo } from '../../cargo/metadata.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark } from '../../cli/dry-run-marks.ts';
import { inspectLibrary } from '../../elf/verify.ts';
import { failure } from '../../errors.ts';
import { copyWhole, sweepTemporary, writeWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner } from '../../fs/ownership.ts';
import { textIn } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { BUILD_RECORD, type LibraryBuild, runBuild, writeBuildRecord } from '../local-build.ts';
import { type LibkrunConfig, resolveLibkrunConfig, thisBuildHost } from './config.ts';
import { buildFirmware, librariesIn, verifyOutput } from './kernel.ts';
import { missingPackages } from './packages.ts';
import { buildLock, hasInitRule, LINUX_FILES, libkrunPlaces, libraryCommands, type PreparedLibkrun } from './plan.ts';
import { libkrunDryRunLines, libkrunReportLine } from './report.ts';
import { checkOut } from './sources.ts';
import { findTools } from './tools.ts';

/**
 * Builds both, or prints the plan.
 * @throws TaskError: 2 before anything is built, the status of git, make or cargo, or 1 for what is not as it has to be
 */
export async function buildLibkrun(ctx: RunnerContext, installDeps: boolean, isDryRun: boolean): Promise<void> {
  const { env, startDirectory } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveLibkrunConfig(env, root, startDirectory, thisBuildHost(), installDeps);
  await runBuild(ctx, await prepareLibkrun(ctx, config), isDryRun);
}

/**
 * Probes what the plan depends on, and plans. Nothing is installed.
 * @throws usageError where packages or tools are missing, or a place cannot be written
 */
export async function prepareLibkrun(ctx: RunnerContext, config: LibkrunConfig): Promise<LibraryBuild> {
  verifyPlaces(ctx.terminal, libkrunPlaces(config.directory, [...LINUX_FILES, ...librariesIn(config.directory)]));
  const installs = await missingPackages(ctx, config);
  const search = () => findTools({ ...ctx, unknowns: undefined }, config);
  const tools = installs.length > 0 ? undefined : await findOrMark(ctx.unknowns, search);
  if (config.fragment === undefined) {
    ctx.terminal.warn("the checkout has no openshell.kconfig: the kernel gets libkrunfw's configuration alone");
  }
  const prepared = { config, installs, tools, path: ctx.env.PATH ?? '' };
  return { lines: libkrunDryRunLines(ctx.runner, prepared), run: () => executeLibkrun(ctx, prepared) };
}

/** Installs what is missing, and builds: one build at a time in a checkout. */
async function executeLibkrun(ctx: RunnerContext, planned: PreparedLibkrun) {
  const { runner, terminal } = ctx;
  const { config } = planned;
  const { directory, firmware, library } = config;
  for (const command of planned.installs) await runner.interactive(command);
  const prepared = { ...planned, tools: planned.tools ?? (await findTools(ctx, config)) };
  return whileLocked(ctx, buildLock(directory), async () => {
    const head = await terminal.section('libkrunfw sources', () => checkOut(ctx, firmware));
    const { abi, kernel, libraries } = await terminal.section('libkrunfw', () => buildFirmware(ctx, prepared, head));
    const commit = await terminal.section('libkrun sources', () => checkOut(ctx, library));
    const path = await terminal.section('libkrun', () => buildLibrary(ctx, prepared));
    const record = {
      libkrunfw: { ref: firmware.ref, commit: head },
      libkrun: { ref: library.ref, commit },
      ...{ kernel, abi },
      files: ['libkrun.so', ...libraries, 'kernel.c', 'ABI_VERSION'],
    };
    putInPlace(config, record, libraries, path);
    const files = record.files.map((name) => join(directory, name));
    return { files, report: libkrunReportLine(config, head, kernel, commit) };
  });
}

/** @returns the path of the library */
async function buildLibrary({ runner }: RunnerContext, prepared: PreparedLibkrun): Promise<string> {
  const { arch, library } = prepared.config;
  const { build, init } = libraryCommands(prepared);
  const has = (path: string) => existsSync(join(library.directory, path));
  // Since 1.18 cargo builds the program that libkrun starts in a guest.
  const needsInit = has('init/Makefile') || hasInitRule(textIn(join(library.directory, 'Makefile')) ?? '');
  if (needsInit) await runner.run(init);
  const built = artifactsOfCargo(await runner.cargo(build)).filter((path) => path.endsWith('/libkrun.so'));
  const path = verifyOutput(built.at(-1) ?? join(library.directory, 'target/release/libkrun.so'), 'cargo');
  const verdict = inspectLibrary(path, { machine: arch });
  if (!verdict.ok) throw failure(`cargo has built another library than is wanted: ${verdict.reasons.join('; ')}`);
  return path;
}

/** Puts everything in place, and removes libraries of other versions. */
function putInPlace(
  { directory, firmware }: LibkrunConfig,
  record: { readonly abi: string; readonly files: readonly string[] },
  libraries: readonly string[],
  library: string,
): void {
  const place = (name: string) => join(directory, name);
  for (const name of [...record.files, ...LINUX_FILES, BUILD_RECORD]) sweepTemporary(place(name));
  const stale = librariesIn(directory).filter((name) => !libraries.includes(name));
  asOwner(directory, () => rmSync(place(BUILD_RECORD), { force: true }));
  for (const name of libraries) copyWhole(join(firmware.directory, name), place(name), 0o755);
  copyWhole(join(firmware.directory, 'kernel.c'), place('kernel.c'), 0o644);
  writeWhole(place('ABI_VERSION'), `${record.abi}\n`, 0o644);
  copyWhole(library, place('libkrun.so'), 0o755);
  for (const name of stale) asOwner(directory, () => rmSync(place(name), { force: true }));
  writeBuildRecord(directory, record);
}
