// SPDX-License-Identifier: Apache-2.0

/** From source to a running service: build, pack, install, start, register. All that it needs is checked before. */

import { rmSync } from 'node:fs';
import type { RunnerContext } from '../../build-env.ts';
import { refuseMissing } from '../../cargo/named-programs.ts';
import { findCheckout } from '../../checkout.ts';
import { Problems } from '../../cli/problems.ts';
import { findOrMark } from '../../cli/unknowns.ts';
import { closedToolchain, executeDevBuild, knownTools } from '../../dev-build/execute.ts';
import { type DevBuildWishes, planDevBuild } from '../../dev-build/plan.ts';
import { MissingTool, oneLine, usageError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { files, notePlaces } from '../../fs/writable-places.ts';
import { configHome, filesOfEntry, metadataPath } from '../../gateway/registration.ts';
import { type Arch, type Host, thisHost } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { requireProgram } from '../../process/which.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../../product.ts';
import { resolveBuildOptions } from '../../stage/config.ts';
import {
  bundleDefects,
  defectsText,
  distrustOf,
  runtimeDefects,
  runtimeDirectory,
  verifyEmbedded,
  vmPlatformOf,
} from '../../vm/runtime-files.ts';
import { type Binaries, packageArch, resolvePackageConfig } from '../config.ts';
import { makePackage, preparePackaging, probeArch } from '../execute.ts';
import { planPackage } from '../plan.ts';
import { installLines, packageReportLine } from '../report.ts';
import { type InstallFacts, type InstallPlan, installCommands } from './plan.ts';
import { isServiceRunning, waitForService } from './service.ts';

const PROBE_TIMEOUT_MS = 15_000;
/** Cargo says where they are. */
const UNBUILT = { cli: '<openshell>', gateway: '<openshell-gateway>', driver: '<openshell-driver-vm>' };

function thisInstallFacts(): InstallFacts {
  return {
    host: thisHost(),
    isRoot: process.geteuid?.() === 0,
    hasTerminal: process.stdin.isTTY === true,
    programs: '/usr/bin',
    port: DEB.port,
    waitMs: 60_000,
  };
}

/**
 * Builds, packs, installs, starts and registers, or prints the plan.
 * @throws TaskError: 2 with everything that is wrong before anything is built, else the status of what failed
 */
export async function installDeb(ctx: RunnerContext, isDryRun: boolean, facts = thisInstallFacts()): Promise<void> {
  const { runner, startDirectory, terminal } = ctx;
  const plan = await planInstall(ctx, findCheckout(ctx.env, startDirectory), facts);
  const { commands, warning } = plan;
  if (warning !== undefined) terminal.warn(warning);
  if (isDryRun) return terminal.result(...installLines(runner, plan));
  const binaries = await terminal.section('build', () => buildBinaries(ctx, plan), 'release binaries');
  const pack = planPackage(plan.package.config, binaries, plan.package.scratch);
  const change = await terminal.section('package', () => makePackage(ctx, pack), 'Debian package');
  terminal.say(packageReportLine(pack, change));
  const install = async () => {
    await runner.interactive(commands.install);
    for (const command of commands.versions) await runner.run(command);
  };
  await terminal.section('installation', install, `installation of ${pack.target}`);
  const start = async () => {
    await runner.run(commands.reload);
    // The compile has taken a while: somebody may have started it.
    const isRunning = await isServiceRunning(ctx, facts.port);
    for (const command of [commands.enable, ...(isRunning ? [commands.restart] : [])]) await runner.run(command);
    await waitForService(ctx, facts);
  };
  await terminal.section('service', start, `user service ${DEB.service}`);
  const register = async () => {
    for (const path of filesOfEntry(plan.configHome, DEB.gateway)) {
      terminal.say(`removing the earlier registration: ${path}`);
      asOwner(path, () => rmSync(path));
    }
    await runner.run(commands.register);
  };
  await terminal.section('registration', register, `registration of ${DEB.gateway} with the CLI`);
  if (warning !== undefined) terminal.warn(warning);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(pack.target);
}

async function buildBinaries(ctx: RunnerContext, { build, facts, runtime }: InstallPlan): Promise<Binaries> {
  const { gateway, others } = await executeDevBuild(ctx, build);
  const [cli, driver] = [CLI, DRIVER].map(({ name }) => others.get(name) ?? '') as [string, string];
  if (runtime !== undefined) verifyEmbedded(driver, runtime, vmPlatformOf(facts.host));
  return { cli, driver, gateway };
}

/** Whatever one of the checks misses, the next is made too. */
async function planInstall(ctx: RunnerContext, root: string, facts: InstallFacts): Promise<InstallPlan> {
  const { env, runner, startDirectory, terminal } = ctx;
  const { platform } = facts.host;
  if (platform !== 'linux') throw usageError(`this is ${platform}, and the package is for Debian; start this there`);
  if (runner.invoker !== undefined) {
    throw usageError("the service is the user's own; start this without sudo, which it calls for dpkg alone");
  }
  const problems = new Problems();
  const look = <T>(search: () => Promise<T>) => problems.attemptAsync(() => findOrMark(ctx.unknowns, search));
  await look(async () => requireProgram('dpkg', env, 'the package is for Debian and Ubuntu; start this there'));
  const [printed, tools] = await Promise.all([
    probeArch(ctx, root),
    problems.attemptAsync(() => prepareBuild(ctx, root, facts, problems)),
    look(() => isServiceRunning(ctx, facts.port)),
    look(() => verifySudo(ctx, root, facts)),
  ]);
  const arch = () => verifyNative(packageArch(env, printed, facts.host), facts.host);
  const config = resolvePackageConfig(problems, ctx, root, arch, '0.0.0-local');
  const scratch = await preparePackaging(problems, ctx);
  const pack = problems.attempt(() => planPackage(config, UNBUILT, scratch));
  const home = problems.attempt(() => configHome(env, startDirectory, runner.invoker));
  const written = [pack?.target, home && metadataPath(home, DEB.gateway)].filter((path) => path !== undefined);
  notePlaces(problems, files(...written));
  problems.throwIfAny(terminal);
  if (tools === undefined || pack === undefined || home === undefined) {
    throw new TypeError('an installation that is not planned has a problem');
  }
  const commands = installCommands(facts, startDirectory, pack.target);
  return { facts, ...tools, package: pack, configHome: home, commands };
}

/** Cargo builds for this machine. */
function verifyNative(arch: Arch, host: Host): Arch {
  if (arch === host.arch) return arch;
  throw usageError(`the package would be for ${arch}, and this machine is ${host.arch}; unset OPENSHELL_DEB_ARCH`);
}

/** Sudo asks when everything has been built, and without a terminal it cannot. */
async function verifySudo({ env, runner }: RunnerContext, cwd: string, facts: InstallFacts): Promise<void> {
  if (facts.isRoot) return;
  requireProgram('sudo', env, 'install it, or start this as root');
  if (facts.hasTerminal) return;
  const result = await runner.probe(cmd({ cwd })`sudo -n true`, PROBE_TIMEOUT_MS);
  if (result.ok) return;
  throw new MissingTool(
    `sudo needs a password and cannot ask for it: ${oneLine(result.reason)}; start this in a terminal`,
  );
}

async function prepareBuild(
  ctx: RunnerContext,
  root: string,
  { host }: InstallFacts,
  problems: Problems,
): Promise<Pick<InstallPlan, 'build' | 'toolchain' | 'runtime' | 'warning'>> {
  const { env, startDirectory } = ctx;
  const build = resolveBuildOptions(env, root, startDirectory, ['OPENSHELL_CARGO_VERSION', 'SUPERVISOR_LIBC']);
  const toolchain = await closedToolchain(ctx, root);
  problems.attempt(() => refuseMissing(toolchain.missingPrograms));
  const others = [CLI, DRIVER];
  const { features } = await knownTools(ctx, root, build, [COMPONENTS.gateway, ...others], toolchain);
  const { runtime, warning } = findRuntime(ctx, root, host);
  const wanted = { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime };
  const wishes: DevBuildWishes = { isRelease: true, supervisor: undefined, others, env: wanted };
  return { build: planDevBuild({ ...wishes, root, host, build }, toolchain, features), toolchain, runtime, warning };
}

/** The runtime where all of it is there, and what users have to know. Without one, only the start of a VM fails. */
function findRuntime(ctx: RunnerContext, root: string, host: Host) {
  const directory = runtimeDirectory(ctx.env, root, ctx.startDirectory);
  const platform = vmPlatformOf(host);
  const defects = [...runtimeDefects(directory, platform), ...bundleDefects(directory, platform)];
  if (defects.length === 0) return { runtime: directory, warning: distrustOf(directory, platform) };
  const remedy = 'for VM sandboxes run: mise run vm:setup && mise run vm:supervisor, and this again';
  const warning = `the VM driver is packaged WITHOUT its runtime, ${directory}: ${defectsText(defects)}; ${remedy}`;
  return { runtime: undefined, warning };
}
