// SPDX-License-Identifier: Apache-2.0

/** Packing binaries that exist into a Debian package: the same ones give the same bytes, and all of it or nothing. */

import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark } from '../cli/dry-run-marks.ts';
import { textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { megabytes } from '../cli/terminal.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { naming, usageError } from '../errors.ts';
import { copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { isLeftover, newRunName, removeScratch, temporaryRoot } from '../fs/temporary-directory.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { type Arch, thisHost } from '../host.ts';
import { cmd } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { type Binaries, type PackageConfig, packageArch, resolveBinaries, resolvePackageConfig } from './config.ts';
import { type PackagePlan, packageLines, planPackage, targetOf } from './plan.ts';

const PROBE_TIMEOUT_MS = 15_000;
const SCRATCH_PREFIX = 'openshell-deb-';

/** Packs, or prints the plan. @param isAnyMachine whether programs may be for another machine, or for none */
export async function packageDeb(ctx: RunnerContext, isAnyMachine: boolean, isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const printed = await probeArch(ctx, root);
  const config = resolvePackageConfig(problems, ctx, root, () => packageArch(env, printed, thisHost()));
  const binaries = resolveBinaries(problems, env, startDirectory);
  await checkPackaging(problems, ctx, config);
  for (const name of ['cli', 'gateway', 'driver'] as const) {
    problems.attempt(() => verifyProgram(ctx, binaries[name], config.arch, isAnyMachine));
  }
  problems.throwIfAny(terminal);
  if (isDryRun) return terminal.result(...plannedLines(ctx, config, binaries));
  terminal.result(await makePackage(ctx, config, binaries));
}

/** What dpkg says its architecture is; `undefined` without dpkg, or where the variable decides. */
export async function probeArch({ env, runner }: RunnerContext, cwd: string): Promise<ProbeResult | undefined> {
  if (textOf(env, 'OPENSHELL_DEB_ARCH') !== undefined || findProgram('dpkg', env) === undefined) return undefined;
  return runner.probe(cmd({ cwd })`dpkg --print-architecture`, PROBE_TIMEOUT_MS);
}

/** The plan of a packaging, ready to paste. */
export function plannedLines({ runner }: RunnerContext, config: PackageConfig, binaries: Binaries): string[] {
  return packageLines(runner, planPackage(config, binaries, join(temporaryRoot(), `${SCRATCH_PREFIX}XXXXXX`)));
}

/** Checks what every packaging needs, whatever it packs. */
export async function checkPackaging(problems: Problems, ctx: RunnerContext, config: PackageConfig): Promise<void> {
  const hint = 'install dpkg (apt-get install dpkg, brew install dpkg)';
  await problems.attemptAsync(() => findOrMark(ctx.unknowns, async () => requireProgram('dpkg-deb', ctx.env, hint)));
  problems.attempt(temporaryRoot);
  problems.attempt(() => notePlaces(problems, files(targetOf(config))));
}

/** Refuses a program for another machine, or warns of it where any may be packaged. */
function verifyProgram({ terminal }: RunnerContext, path: string, arch: Arch, isAnyMachine: boolean): void {
  const verdict = inspectExecutable(path, { machine: arch });
  if (verdict.ok) return;
  if (!isAnyMachine) throw usageError(`${verdict.reasons.join('; ')}; or package it as it is: --any-machine`);
  for (const reason of verdict.reasons) terminal.warn(`packaged as it is: ${reason}`);
}

/** Puts the package together, and in its place when it is whole. @returns where it is */
export async function makePackage(ctx: RunnerContext, config: PackageConfig, binaries: Binaries): Promise<string> {
  const target = targetOf(config);
  const scratch = join(temporaryRoot(), `${SCRATCH_PREFIX}${newRunName()}`);
  const warn = (reason: string) => ctx.terminal.warn(`what a packaging has left cannot be removed: ${reason}`);
  removeScratch(scratch, SCRATCH_PREFIX, isLeftover, warn);
  mkdirSync(scratch, { mode: 0o700 });
  try {
    const plan = planPackage(config, binaries, scratch);
    stageFiles(plan);
    for (const command of plan.commands) await ctx.runner.run(command);
    sweepTemporary(target, (pid) => isSameProcess({ pid }));
    const what = copyWhole(plan.built, target, 0o644) === 'written' ? 'packaged' : 'unchanged';
    const size = megabytes(statSync(target).size);
    ctx.terminal.say(`${what}: ${target} (${config.version} for ${config.arch}, ${size})`);
    return target;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Modes and times are given, so that neither the umask nor the day of the copy counts. */
function stageFiles({ config: { time }, files, stage }: PackagePlan): void {
  for (const { from, path: name } of files) {
    const path = join(stage, name);
    mkdirSync(dirname(path), { recursive: true });
    naming(path, () => (typeof from === 'string' ? copyFileSync(from, path) : writeFileSync(path, from)));
  }
  const modes = new Map(files.map(({ mode, path }) => [path, mode]));
  for (const name of ['', ...readdirSync(stage, { recursive: true, encoding: 'utf8' })]) {
    chmodSync(join(stage, name), modes.get(name) ?? 0o755);
    utimesSync(join(stage, name), time, time);
  }
}
