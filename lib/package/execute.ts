// SPDX-License-Identifier: Apache-2.0

/** Packing binaries that exist into a Debian package: the same ones give the same bytes, and all of it or nothing. */

import { chmodSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { failure, naming, usageError } from '../errors.ts';
import { type Change, copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { isLeftover, newRunName, removeScratch } from '../fs/scratch.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces, type Place } from '../fs/writable-places.ts';
import { type Arch, thisHost } from '../host.ts';
import { cmd } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import {
  AUTHORED,
  type PackageConfig,
  packageArch,
  resolveBinaries,
  resolvePackageConfig,
  verifyAuthored,
} from './config.ts';
import { type PackagePlan, planPackage, SCRATCH_PREFIX } from './plan.ts';
import { packageLines, packageReportLine } from './report.ts';

const PROBE_TIMEOUT_MS = 15_000;

export interface PackageFlags {
  readonly 'any-machine': boolean;
  readonly 'dry-run': boolean;
}

/**
 * Packs, or prints the plan.
 * @throws TaskError: 2 with everything that is wrong before anything is written, or dpkg-deb's own status
 */
export async function packageDeb(ctx: RunnerContext, flags: PackageFlags): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const printed = textOf(env, 'OPENSHELL_DEB_ARCH') === undefined ? await probeArch(ctx, root) : undefined;
  const config = resolvePackageConfig(problems, ctx, root, () => packageArch(env, printed, thisHost()));
  const binaries = resolveBinaries(problems, env, startDirectory);
  const scratch = preparePackaging(problems, ctx, root);
  for (const name of ['cli', 'gateway', 'driver'] as const) {
    problems.attempt(() => verifyProgram(ctx, binaries[name], config.arch, flags['any-machine']));
  }
  const plan = problems.attempt(() => planPackage(config, binaries, scratch));
  notePlaces(problems, [packagePlace(config, plan)]);
  problems.throwIfAny(terminal);
  if (plan === undefined) throw new TypeError('a package that is not planned has a problem');
  if (flags['dry-run']) return terminal.result(...packageLines(ctx.runner, plan));
  const change = await makePackage(ctx, plan, flags['any-machine']);
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
export function preparePackaging(problems: Problems, { env }: Pick<RunnerContext, 'env'>, root: string): string {
  problems.attempt(() => requireProgram('dpkg-deb', env, 'install dpkg (apt-get install dpkg, brew install dpkg)'));
  for (const name of AUTHORED) problems.attempt(() => verifyAuthored(root, name));
  return join(problems.attempt(temporaryRoot) ?? '/', `${SCRATCH_PREFIX}${newRunName()}`);
}

/** What is written; without a plan, the directory. */
export function packagePlace(config: PackageConfig, plan: PackagePlan | undefined): Place {
  const remedy = 'set OPENSHELL_OUTPUT_DIR to another directory';
  if (plan === undefined) return { kind: 'directory', path: config.outputDirectory, remedy };
  return { kind: 'file', path: plan.target, remedy };
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
 * @param isAnyMachine whether programs may be for another machine
 * @throws TaskError: dpkg-deb's own status, or 1 for a program that has been replaced by another kind of file
 */
export async function makePackage(ctx: RunnerContext, plan: PackagePlan, isAnyMachine = false): Promise<Change> {
  const { scratch, target } = plan;
  const warn = (reason: string) => ctx.terminal.warn(`what a packaging has left cannot be removed: ${reason}`);
  removeScratch(scratch, SCRATCH_PREFIX, isLeftover, warn);
  try {
    asOwner(dirname(scratch), () => mkdirSync(scratch, { mode: 0o700 }));
    stageFiles(plan, isAnyMachine);
    for (const command of plan.commands) await ctx.runner.run(command);
    sweepTemporary(target, (pid) => isSameProcess({ pid }));
    return copyWhole(plan.built, target, 0o644);
  } finally {
    removeScratch(scratch, SCRATCH_PREFIX, (name) => name === basename(scratch), warn);
  }
}

/** Modes and times are given, so that neither the umask nor the day of the copy counts. */
function stageFiles({ config, files, scratch, stage }: PackagePlan, isAnyMachine: boolean): void {
  const verifyCopy = (copy: string) => {
    const verdict = inspectExecutable(copy, { machine: config.arch });
    if (!verdict.ok) throw failure(`a program was replaced while it was packaged: ${verdict.reasons.join('; ')}`);
  };
  for (const { from, isProgram, mode, path: name } of files) {
    const path = join(stage, name);
    asOwner(scratch, () => mkdirSync(dirname(path), { recursive: true }));
    if (typeof from === 'string') copyWhole(from, path, mode, isProgram && !isAnyMachine ? verifyCopy : undefined);
    else naming(path, () => asOwner(scratch, () => writeFileSync(path, from, { flag: 'wx' })));
  }
  const modes = new Map(files.map(({ mode, path }) => [join(stage, path), mode]));
  const all = readdirSync(stage, { recursive: true, encoding: 'utf8' }).map((name) => join(stage, name));
  asOwner(scratch, () => {
    for (const path of [stage, ...all]) {
      chmodSync(path, modes.get(path) ?? 0o755);
      utimesSync(path, config.time, config.time);
    }
  });
}
