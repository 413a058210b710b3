// SPDX-License-Identifier: Apache-2.0

/** Packing binaries that exist into a Debian package: the same ones give the same bytes, and all of it or nothing. */

import { chmodSync, copyFileSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark } from '../cli/dry-run-marks.ts';
import { textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { naming, usageError } from '../errors.ts';
import { copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { temporaryRoot, withScratch } from '../fs/temporary-directory.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { cmd } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { type Binaries, type PackageConfig, packageArch, resolveBinaries, resolvePackageConfig } from './config.ts';
import { packageLines, planPackage, targetOf } from './plan.ts';

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
  const verifyProgram = (path: string) => {
    const verdict = inspectExecutable(path, { machine: config.arch });
    if (verdict.ok) return;
    const reasons = verdict.reasons.join('; ');
    if (!isAnyMachine) throw usageError(`${reasons}; or package it as it is: --any-machine`);
    terminal.warn(`packaged as it is: ${reasons}`);
  };
  for (const name of ['cli', 'gateway', 'driver'] as const) problems.attempt(() => verifyProgram(binaries[name]));
  problems.throwIfAny(terminal);
  if (isDryRun) return terminal.result(...plannedLines(ctx, config, binaries));
  terminal.result(await makePackage(ctx, config, binaries));
}

/** What dpkg says its architecture is; `undefined` where it does not, or the variable decides. */
export async function probeArch({ env, runner }: RunnerContext, cwd: string): Promise<string | undefined> {
  if (textOf(env, 'OPENSHELL_DEB_ARCH') !== undefined || findProgram('dpkg', env) === undefined) return undefined;
  const result = await runner.probe(cmd({ cwd })`dpkg --print-architecture`, PROBE_TIMEOUT_MS);
  return result.ok ? result.output : undefined;
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

/** Puts the package together, and in its place when it is whole. @returns where it is */
export async function makePackage(ctx: RunnerContext, config: PackageConfig, binaries: Binaries): Promise<string> {
  const target = targetOf(config);
  await withScratch(SCRATCH_PREFIX, async (scratch) => {
    const plan = planPackage(config, binaries, scratch);
    stageFiles(plan);
    for (const command of plan.commands) await ctx.runner.run(command);
    sweepTemporary(target, (pid) => isSameProcess({ pid }));
    const what = copyWhole(plan.built, target, 0o644) === 'written' ? 'packaged' : 'unchanged';
    ctx.terminal.say(`${what}: ${target} (${config.version} for ${config.arch})`);
  });
  return target;
}

/** Modes and times are given, so that neither the umask nor the day of the copy counts. */
function stageFiles({ config: { time }, files, stage }: ReturnType<typeof planPackage>): void {
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
