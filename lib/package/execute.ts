// SPDX-License-Identifier: Apache-2.0

/** Packing binaries that exist into a Debian package: the same ones give the same bytes, and all of it or nothing. */

import { chmodSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { findOrMark } from '../cli/unknowns.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { naming, usageError } from '../errors.ts';
import { type Change, copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { isLeftover, newRunName, removeScratch, temporaryRoot } from '../fs/temporary-directory.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { type Arch, thisHost } from '../host.ts';
import { cmd } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { packageArch, resolveBinaries, resolvePackageConfig } from './config.ts';
import { type PackagePlan, planPackage, SCRATCH_PREFIX } from './plan.ts';
import { packageLines, packageReportLine } from './report.ts';

const PROBE_TIMEOUT_MS = 15_000;

/**
 * Packs, or prints the plan.
 * @param isAnyMachine whether programs may be for another machine than the package, or for none
 * @throws TaskError: 2 with everything that is wrong before anything is written, or dpkg-deb's own status
 */
export async function packageDeb(ctx: RunnerContext, isAnyMachine: boolean, isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const printed = textOf(env, 'OPENSHELL_DEB_ARCH') === undefined ? await probeArch(ctx, root) : undefined;
  const config = resolvePackageConfig(problems, ctx, root, () => packageArch(env, printed, thisHost()));
  const binaries = resolveBinaries(problems, env, startDirectory);
  const scratch = await preparePackaging(problems, ctx);
  for (const name of ['cli', 'gateway', 'driver'] as const) {
    problems.attempt(() => verifyProgram(ctx, binaries[name], config.arch, isAnyMachine));
  }
  const plan = problems.attempt(() => planPackage(config, binaries, scratch));
  notePlaces(problems, plan === undefined ? [] : files(plan.target));
  problems.throwIfAny(terminal);
  if (plan === undefined) throw new TypeError('a package that is not planned has a problem');
  if (isDryRun) return terminal.result(...packageLines(ctx.runner, plan));
  const change = await makePackage(ctx, plan);
  terminal.say(packageReportLine(plan, change));
  terminal.result(plan.target);
}

/** What dpkg says its architecture is; `undefined` without dpkg. */
export async function probeArch({ env, runner }: RunnerContext, cwd: string): Promise<ProbeResult | undefined> {
  if (findProgram('dpkg', env) === undefined) return undefined;
  return runner.probe(cmd({ cwd })`dpkg --print-architecture`, PROBE_TIMEOUT_MS);
}

/**
 * Checks what every packaging needs, whatever it packs.
 * @returns the directory of this run for temporary files, which does not exist yet
 */
export async function preparePackaging(problems: Problems, { env, unknowns }: RunnerContext): Promise<string> {
  const hint = 'install dpkg (apt-get install dpkg, brew install dpkg)';
  await problems.attemptAsync(() => findOrMark(unknowns, async () => requireProgram('dpkg-deb', env, hint)));
  return join(problems.attempt(temporaryRoot) ?? '/', `${SCRATCH_PREFIX}${newRunName()}`);
}

/** Refuses a program for another machine, or warns of it where any may be packaged. */
function verifyProgram({ terminal }: RunnerContext, path: string, arch: Arch, isAnyMachine: boolean): void {
  const verdict = inspectExecutable(path, { machine: arch });
  if (verdict.ok) return;
  if (!isAnyMachine) throw usageError(`${verdict.reasons.join('; ')}; or package it as it is: --any-machine`);
  for (const reason of verdict.reasons) terminal.warn(`packaged as it is: ${reason}`);
}

/**
 * Puts the package together, and in its place when it is whole.
 * @throws TaskError: dpkg-deb's own status
 */
export async function makePackage(ctx: RunnerContext, plan: PackagePlan): Promise<Change> {
  const { scratch, target } = plan;
  const warn = (reason: string) => ctx.terminal.warn(`what a packaging has left cannot be removed: ${reason}`);
  removeScratch(scratch, SCRATCH_PREFIX, isLeftover, warn);
  try {
    asOwner(dirname(scratch), () => mkdirSync(scratch, { mode: 0o700 }));
    stageFiles(plan);
    for (const command of plan.commands) await ctx.runner.run(command);
    sweepTemporary(target, (pid) => isSameProcess({ pid }));
    return copyWhole(plan.built, target, 0o644);
  } finally {
    removeScratch(scratch, SCRATCH_PREFIX, (name) => name === basename(scratch), warn);
  }
}

/** Modes and times are given, so that neither the umask nor the day of the copy counts. */
function stageFiles({ config: { time }, files, scratch, stage }: PackagePlan): void {
  for (const { from, mode, path: name } of files) {
    const path = join(stage, name);
    asOwner(scratch, () => mkdirSync(dirname(path), { recursive: true }));
    if (typeof from === 'string') copyWhole(from, path, mode);
    else naming(path, () => asOwner(scratch, () => writeFileSync(path, from, { flag: 'wx' })));
  }
  const modes = new Map(files.map(({ mode, path }) => [join(stage, path), mode]));
  const all = readdirSync(stage, { recursive: true, encoding: 'utf8' }).map((name) => join(stage, name));
  asOwner(scratch, () => {
    for (const path of [stage, ...all]) {
      chmodSync(path, modes.get(path) ?? 0o755);
      utimesSync(path, time, time);
    }
  });
}
