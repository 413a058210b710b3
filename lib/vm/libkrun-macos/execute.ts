// SPDX-License-Identifier: Apache-2.0

/** Building libkrun on macOS: its kernel comes as C from a build on Linux, and everything else is built here. */

import { existsSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark, refuseOrNote } from '../../cli/unknowns.ts';
import { failure, usageError } from '../../errors.ts';
import { copyWhole } from '../../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { namesIn } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import { whileBuilding, writeBuildRecord } from '../libkrun/build-record.ts';
import { type BuildHost, thisBuildHost } from '../libkrun/config.ts';
import { libkrunPlaces, OWN_FILES } from '../libkrun/plan.ts';
import { changesIn, checkOut } from '../libkrun/sources.ts';
import { refuseTargets } from '../libkrun/tools.ts';
import { EMBEDDED_ABI, type MacosConfig, resolveMacosConfig } from './config.ts';
import {
  foreignIn,
  listNeeded,
  type MacosFacts,
  type MacosPlan,
  macosFiles,
  neededIn,
  planMacos,
  portableCommands,
} from './plan.ts';
import { macosDryRunLines, macosReportLines } from './report.ts';

const PROBE_TIMEOUT_MS = 20_000;
const DEFAULT_BREW = '/opt/homebrew';
/** What Apple's command line tools have. */
const APPLE_TOOLS = ['cc', 'git', 'make', 'otool', 'install_name_tool', 'codesign'] as const;

/** The flags of the task. */
export interface MacosFlags {
  readonly kernelDirectory: string | undefined;
  readonly isStrict: boolean;
}

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
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const plan = await prepareMacos(ctx, resolveMacosConfig(env, root, startDirectory, host, flags));
  if (isDryRun) return terminal.result(...macosDryRunLines(runner, plan));
  const commit = await executeMacos(ctx, plan);
  for (const line of macosReportLines(plan, commit)) terminal.say(line);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(...plan.libraries.map((name) => join(plan.config.directory, name)));
}

/**
 * Looks for the tools, and plans.
 * @throws usageError where some are missing, or a place cannot be written
 */
export async function prepareMacos(ctx: RunnerContext, config: MacosConfig): Promise<MacosPlan> {
  const facts = await macosFacts(ctx, config.root);
  await findOrMark(ctx.unknowns, async () => {
    for (const name of APPLE_TOOLS) requireProgram(name, ctx.env, "install Apple's tools: xcode-select --install");
  });
  const has = (name: string) => findProgram(name, ctx.env) !== undefined;
  const wanted = {
    rust: has('cargo'),
    lld: has('ld.lld') || findProgram(join(facts.brew, 'opt/llvm/bin/ld.lld'), ctx.env) !== undefined,
    dtc: has('dtc'),
  };
  const missing = Object.entries(wanted).flatMap(([name, isThere]) => (isThere ? [] : [name]));
  if (missing.length > 0) {
    const text = `${missing.join(', ')} are missing; run: brew install ${missing.join(' ')}`;
    refuseOrNote(ctx.unknowns, usageError(text));
  }
  const plan = planMacos(config, facts);
  await refuseTargets(ctx, plan.build, []);
  verifyPlaces(ctx.terminal, libkrunPlaces(config.directory, macosFiles(plan)));
  if (config.abi !== EMBEDDED_ABI) {
    ctx.terminal.warn(
      `the ABI of the kernel is ${config.abi}, and the VM driver embeds libkrunfw.${EMBEDDED_ABI}.dylib`,
    );
  }
  return plan;
}

async function macosFacts({ env, runner }: RunnerContext, root: string): Promise<MacosFacts> {
  const isThere = findProgram('brew', env) !== undefined;
  const result = isThere ? await runner.probe(cmd({ cwd: root })`brew --prefix`, PROBE_TIMEOUT_MS) : undefined;
  const brew = result?.ok === true && result.output !== '' ? result.output : DEFAULT_BREW;
  return { brew, hasLlvm: existsSync(join(brew, 'opt/llvm')) };
}

/**
 * Builds the libraries, makes them portable, and puts them in place together.
 * @returns the commit of libkrun
 * @throws TaskError: the status of a program, or 1 for what is not as it has to be
 */
export async function executeMacos(ctx: RunnerContext, plan: MacosPlan): Promise<string> {
  const { directory } = plan.config;
  return whileBuilding(ctx, directory, async () => {
    await ctx.terminal.section('libkrunfw', () => compileFirmware(ctx, plan));
    const commit = await ctx.terminal.section('libkrun sources', () => checkOut(ctx, plan.config.library, directory));
    await ctx.terminal.section('libkrun', () => buildLibrary(ctx, plan));
    await ctx.terminal.section('portability', () => makePortable(ctx, plan));
    putInPlace(plan, commit);
    return commit;
  });
}

async function compileFirmware({ runner }: RunnerContext, { compile, libraries, work }: MacosPlan): Promise<void> {
  const [, plain = '', versioned = ''] = libraries;
  makeDirectory(work);
  await runner.run(compile);
  copyWhole(verified(join(work, versioned), 'cc'), join(work, plain), 0o755);
}

async function buildLibrary({ runner }: RunnerContext, plan: MacosPlan): Promise<void> {
  const { build, built, clean, config, libraries, work } = plan;
  await runner.run(clean);
  removeBuilt(built);
  await runner.run(build);
  if ((await changesIn(runner, config.library, 'Cargo.lock')).length > 0) {
    throw failure(
      `the build has changed ${join(config.library.directory, 'Cargo.lock')}: libkrun was built with other crates than ` +
        'its commit names; remove its directory, and set LIBKRUN_REF to a commit with a complete lock file',
    );
  }
  copyWhole(verified(built, 'make'), join(work, libraries[0] ?? ''), 0o755);
}

/** Whatever cleaning has left: make would take it, or a copy of it with a version in its name, for what it builds. */
function removeBuilt(built: string): void {
  const directory = dirname(built);
  const stem = basename(built, extname(built));
  const stale = namesIn(directory).filter((name) => name.startsWith(stem) && name.endsWith(extname(built)));
  for (const name of stale) asOwner(directory, () => rmSync(join(directory, name), { force: true }));
}

function verified(path: string, program: string): string {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) return path;
  throw failure(`${program} has ended, and has left no ${path}; look at what it says`);
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
  asOwner(directory, () => rmSync(place(OWN_FILES.record), { force: true }));
  for (const name of libraries) copyWhole(join(work, name), place(name), 0o755);
  const stale = namesIn(directory).filter((name) => /^libkrunfw\.\d+\.dylib$/.test(name) && !libraries.includes(name));
  for (const name of stale) asOwner(directory, () => rmSync(place(name), { force: true }));
  const record = { libkrun: { ref: library.ref, commit }, abi, files: libraries };
  writeBuildRecord(directory, record);
}
