// SPDX-License-Identifier: Apache-2.0

/** Packing binaries that exist into a Debian package: the same ones give the same bytes, and all of it or nothing. */

import { chmodSync, copyFileSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
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
import { cmd, shellQuote } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../product.ts';
import { type Binaries, type PackageConfig, packageArch, resolveBinaries, resolvePackageConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 15_000;
const SCRATCH_PREFIX = 'openshell-deb-';

/** @param scratch the directory of this run for temporary files, absolute */
function planPackage(config: PackageConfig, binaries: Binaries, scratch: string) {
  const { root, time } = config;
  const [stage, built] = [join(scratch, 'stage'), join(scratch, 'package.deb')];
  // What dpkg-deb writes itself has the same time.
  const pack = cmd({ cwd: root, env: { SOURCE_DATE_EPOCH: String(time) } });
  const show = cmd({ cwd: root });
  const commands = [
    pack`dpkg-deb --build --root-owner-group ${stage} ${built}`,
    show`dpkg-deb --info ${built}`,
    show`dpkg-deb --contents ${built}`,
  ];
  return { time, files: filesOf(config, binaries), stage, built, commands };
}

/** Where the package is put. */
export function targetOf({ arch, outputDirectory, version }: PackageConfig): string {
  // An epoch is no part of a package's name.
  return join(outputDirectory, `${DEB.name}_${version.replace(/^[0-9]+:/, '')}_${arch}.deb`);
}

/** Every file, by its path from the root of the package; `from` is a content, or the path of what is copied. */
function filesOf(config: PackageConfig, { cli, driver, gateway }: Binaries) {
  const { arch, authored, licence, time, version } = config;
  const file = (path: string, mode: number, from: string | Buffer) => ({ path, mode, from });
  const program = (path: string, from: string) => file(path, 0o755, from);
  const text = (path: string, content: string, mode = 0o644) => file(path, mode, Buffer.from(content));
  const { 'control.in': control, 'openshell-gateway.service': unit } = authored;
  const documents = `usr/share/doc/${DEB.name}`;
  return [
    program(`usr/bin/${CLI.binary}`, cli),
    program(`usr/bin/${COMPONENTS.gateway.binary}`, gateway),
    program(`usr/libexec/${DEB.name}/${DRIVER.binary}`, driver),
    text(`usr/lib/systemd/user/${DEB.service}.service`, unit),
    text(`${documents}/copyright`, licence ?? `${DEB.licence}\n`),
    file(`${documents}/changelog.gz`, 0o644, gzipped(changelog(version, time))),
    text('DEBIAN/control', control.replaceAll('@VERSION@', version).replaceAll('@ARCH@', arch)),
    ...(['postinst', 'prerm', 'postrm'] as const).map((name) => text(`DEBIAN/${name}`, authored[`${name}.sh`], 0o755)),
  ];
}

/** @param time in seconds since 1970 */
function changelog(version: string, time: number): string {
  const date = new Date(time * 1000).toUTCString().replace('GMT', '+0000');
  const stanza = [`${DEB.name} (${version}) unstable; urgency=medium`, '  * Release build.'];
  return [...stanza, ` -- ${DEB.maintainer}  ${date}\n`].join('\n\n');
}

/** As `gzip -n -9` does it, on every system: byte 9 of the header names one, and 3 is Unix. */
function gzipped(text: string): Buffer {
  const bytes = gzipSync(text, { level: 9 });
  bytes[9] = 3;
  return bytes;
}

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

/** Every file of a package with its mode, and the commands, ready to paste. */
export function plannedLines({ runner }: RunnerContext, config: PackageConfig, binaries: Binaries): string[] {
  const scratch = join(temporaryRoot(), `${SCRATCH_PREFIX}XXXXXX`);
  const { commands, files, stage } = planPackage(config, binaries, scratch);
  return [
    `cd ${shellQuote(config.root)}`,
    `# creates ${scratch}`,
    ...files.map(({ mode, path }) => `# creates ${join(stage, path)} (0${mode.toString(8)})`),
    ...commands.map((command) => runner.describe(command)),
    `# writes ${targetOf(config)}`,
  ];
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
function stageFiles({ files, stage, time }: ReturnType<typeof planPackage>): void {
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
