// SPDX-License-Identifier: Apache-2.0

/** Building libkrun on macOS: its kernel comes as C from a build on Linux, and everything else is built here. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/dry-run-marks.ts';
import { failure, usageError } from '../../errors.ts';
import { copyWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { makeDirectory } from '../../fs/ownership.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { type Host, thisHost } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { findProgram } from '../../process/which.ts';
import { verifyOutput } from '../libkrun/kernel.ts';
import { buildLock, libkrunPlaces } from '../libkrun/plan.ts';
import { checkOut } from '../libkrun/sources.ts';
import { type LibraryBuild, putInPlace, runBuild } from '../local-build.ts';
import {
  EMBEDDED_ABI,
  foreignIn,
  listNeeded,
  type MacosConfig,
  type MacosFlags,
  type MacosPlan,
  macosDryRunLines,
  neededIn,
  planMacos,
  portableCommands,
  resolveMacosConfig,
} from './plan.ts';

const PROBE_TIMEOUT_MS = 20_000;
const DEFAULT_BREW = '/opt/homebrew';

/** Builds the libraries, or prints the plan. @throws TaskError: 2 before anything is built, a program's status, or 1 */
export async function buildLibkrunMacos(
  ctx: RunnerContext,
  flags: MacosFlags,
  isDryRun: boolean,
  host: Host = thisHost(),
): Promise<void> {
  const { env, startDirectory } = ctx;
  const config = resolveMacosConfig(env, findCheckout(env, startDirectory), startDirectory, host, flags);
  await runBuild(ctx, await prepareMacos(ctx, config), isDryRun);
}

/** Looks for the tools, and plans. @throws usageError where some are missing, or a place cannot be written */
export async function prepareMacos(ctx: RunnerContext, config: MacosConfig): Promise<LibraryBuild> {
  const { env, runner, terminal, unknowns } = ctx;
  const has = (name: string) => findProgram(name, env) !== undefined;
  const prefix = cmd({ cwd: config.root })`brew --prefix`;
  const result = has('brew') ? await runner.probe(prefix, PROBE_TIMEOUT_MS) : undefined;
  const brew = (result?.ok === true && result.output) || DEFAULT_BREW;
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
  const { build, built, clean, compile, config, libraries, work } = plan;
  const { abi, directory, library } = config;
  const place = (name: string) => join(work, name);
  return whileLocked(ctx, buildLock(directory), async () => {
    await terminal.section('libkrunfw', async () => {
      makeDirectory(work);
      await runner.run(compile);
      copyWhole(verifyOutput(place(libraries[2]), 'cc'), place(libraries[1]), 0o755);
    });
    const commit = await terminal.section('libkrun sources', () => checkOut(ctx, library));
    await terminal.section('libkrun', async () => {
      await runner.run(clean);
      await runner.run(build);
      copyWhole(verifyOutput(built, 'make'), place(libraries[0]), 0o755);
    });
    await terminal.section('portability', () => makePortable(ctx, plan));
    const others = /^libkrunfw\.\d+\.dylib$/;
    const files = putInPlace(directory, libraries.map(place), others, { libkrun: { commit } });
    return { files, report: `built: libkrun ${commit}, libkrunfw with ABI ${abi}` };
  });
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
