// SPDX-License-Identifier: Apache-2.0

/** From source to a running service: build, pack, install, start, register. All that it needs is checked before. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { toolchainLines } from '../../cargo/find-toolchain.ts';
import { refuseMissing } from '../../cargo/settings.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark } from '../../cli/dry-run-marks.ts';
import { Problems } from '../../cli/problems.ts';
import { closedToolchain, devBuildLines, executeDevBuild, knownTools } from '../../dev-build/execute.ts';
import { planDevBuild } from '../../dev-build/plan.ts';
import { failure, MissingTool, oneLine, usageError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { files, notePlaces } from '../../fs/writable-places.ts';
import { canConnect } from '../../gateway/port.ts';
import { configHome, filesOfEntry, metadataPath } from '../../gateway/registration.ts';
import { type Host, thisHost } from '../../host.ts';
import { cmd, shellQuote } from '../../process/command.ts';
import { poll } from '../../process/poll.ts';
import { requireProgram } from '../../process/which.ts';
import { CLI, COMPONENTS, DEB, DRIVER } from '../../product.ts';
import { resolveBuildOptions } from '../../stage/config.ts';
import {
  defectsText,
  distrustOf,
  embeddedDefects,
  runtimeDirectory,
  verifyEmbedded,
  vmPlatformOf,
} from '../../vm/runtime-files.ts';
import { packageArch, resolvePackageConfig } from '../config.ts';
import { checkPackaging, makePackage, plannedLines, probeArch, targetOf } from '../execute.ts';

const PROBE_TIMEOUT_MS = 15_000;
const POLL_MS = 250;
/** The states of a unit that has no process, and will not start one by itself. */
const ENDED = ['inactive', 'failed'];
/** Cargo says where they are. */
const UNBUILT = { cli: '<openshell>', gateway: '<openshell-gateway>', driver: '<openshell-driver-vm>' };

/** This machine, as values for tests. */
export type InstallFacts = ReturnType<typeof thisInstallFacts>;

function thisInstallFacts() {
  const isRoot = process.geteuid?.() === 0;
  const [hasTerminal, port] = [process.stdin.isTTY === true, DEB.port as number];
  return { host: thisHost(), isRoot, hasTerminal, programs: '/usr/bin', port, waitMs: 60_000 };
}

/** Builds, packs, installs, starts and registers, or prints the plan. */
export async function installDeb(ctx: RunnerContext, isDryRun: boolean, facts = thisInstallFacts()): Promise<void> {
  const { runner, startDirectory, terminal } = ctx;
  const plan = await planInstall(ctx, findCheckout(ctx.env, startDirectory), facts);
  const { commands, config, home, warning } = plan;
  if (warning !== undefined) terminal.warn(warning);
  if (isDryRun) return terminal.result(...installLines(ctx, plan, facts));
  const binaries = await terminal.section('build', () => buildBinaries(ctx, plan, facts.host), 'release binaries');
  const deb = await terminal.section('package', () => makePackage(ctx, config, binaries), 'Debian package');
  const install = async () => {
    await runner.interactive(commands.install);
    for (const command of commands.versions) await runner.run(command);
  };
  await terminal.section('installation', install, `installation of ${deb}`);
  const start = async () => {
    await runner.run(commands.reload);
    // The compile has taken a while: somebody may have started it.
    const isRunning = await isServiceRunning(ctx, facts.port);
    for (const command of [commands.enable, ...(isRunning ? [commands.restart] : [])]) await runner.run(command);
    await waitForService(ctx, facts);
  };
  await terminal.section('service', start, `user service ${DEB.service}`);
  const register = async () => {
    for (const path of filesOfEntry(home, DEB.gateway)) {
      terminal.say(`removing the earlier registration: ${path}`);
      asOwner(path, () => rmSync(path));
    }
    await runner.run(commands.register);
  };
  await terminal.section('registration', register, `registration of ${DEB.gateway} with the CLI`);
  if (warning !== undefined) terminal.warn(warning);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(deb);
}

type InstallPlan = Awaited<ReturnType<typeof planInstall>>;

async function buildBinaries(ctx: RunnerContext, { build, runtime }: InstallPlan, host: Host) {
  const { gateway, others } = await executeDevBuild(ctx, build);
  const [cli, driver] = [CLI, DRIVER].map(({ name }) => others.get(name) ?? '') as [string, string];
  if (runtime !== undefined) verifyEmbedded(driver, runtime, vmPlatformOf(host));
  return { cli, driver, gateway };
}

/** @param cwd where the user has started the task */
function installCommands({ isRoot, port, programs }: InstallFacts, cwd: string, deb: string) {
  const command = cmd({ cwd });
  // By their whole paths: PATH may have the development programs of a checkout first.
  const cli = join(programs, CLI.binary);
  return {
    install: command`${isRoot ? [] : ['sudo']} dpkg -i ${deb}`,
    versions: [command`${cli} --version`, command`${join(programs, COMPONENTS.gateway.binary)} --version`],
    reload: command`systemctl --user daemon-reload`,
    enable: command`systemctl --user enable --now ${DEB.service}`,
    /** A service that runs already keeps the program that it has. */
    restart: command`systemctl --user restart ${DEB.service}`,
    register: command`${cli} gateway add ${`https://${DEB.address}:${port}`} --local --name ${DEB.gateway}`,
  };
}

/** The plan of an installation; the programs are where cargo says. */
function installLines(ctx: RunnerContext, plan: InstallPlan, facts: InstallFacts): string[] {
  const { runner, startDirectory } = ctx;
  const { build, commands, config, home, runtime, toolchain } = plan;
  const describe = runner.describe.bind(runner);
  return [
    `cd ${shellQuote(config.root)}`,
    ...toolchainLines(toolchain, config.root),
    ...devBuildLines(runner, build),
    ...(runtime === undefined ? [] : [`# verifies that the VM driver has what is in ${runtime} in it`]),
    ...plannedLines(ctx, config, UNBUILT),
    `cd ${shellQuote(startDirectory)}`,
    ...[commands.install, ...commands.versions, commands.reload, commands.enable].map(describe),
    `# where the service runs already: ${describe(commands.restart)}`,
    `# waits ${facts.waitMs / 1000} s at most until the service is active and ${DEB.address}:${facts.port} responds`,
    ...filesOfEntry(home, DEB.gateway).map((path) => `# removes ${path}`),
    describe(commands.register),
  ];
}

/** Whatever one of the checks misses, the next is made too. */
async function planInstall(ctx: RunnerContext, root: string, facts: InstallFacts) {
  const { env, runner, startDirectory, terminal } = ctx;
  const { host } = facts;
  const problems = new Problems();
  const look = <T>(search: () => Promise<T>) => problems.attemptAsync(() => findOrMark(ctx.unknowns, search));
  await look(async () => requireProgram('dpkg', env, 'the package is for Debian and Ubuntu; start this there'));
  const [tools, printed] = await Promise.all([
    problems.attemptAsync(() => prepareBuild(ctx, root, host, problems)),
    probeArch(ctx, root),
    look(() => isServiceRunning(ctx, facts.port)),
    look(() => verifySudo(ctx, root, facts)),
  ]);
  const arch = () => {
    const found = packageArch(env, printed, host);
    // Cargo builds for this machine.
    if (found === host.arch) return found;
    throw usageError(`the package would be for ${found}, and this machine is ${host.arch}; unset OPENSHELL_DEB_ARCH`);
  };
  const config = resolvePackageConfig(problems, ctx, root, arch, '0.0.0-local');
  await checkPackaging(problems, ctx, config);
  const home = problems.attempt(() => configHome(env, startDirectory, runner.invoker));
  if (home !== undefined) notePlaces(problems, files(metadataPath(home, DEB.gateway)));
  problems.throwIfAny(terminal);
  if (tools === undefined || home === undefined) {
    throw new TypeError('an installation that is not planned has a problem');
  }
  return { ...tools, config, home, commands: installCommands(facts, startDirectory, targetOf(config)) };
}

/** Sudo asks when everything has been built, and without a terminal it cannot. */
async function verifySudo({ env, runner }: RunnerContext, cwd: string, { hasTerminal, isRoot }: InstallFacts) {
  if (isRoot) return;
  requireProgram('sudo', env, 'install it, or start this as root');
  const result = hasTerminal ? undefined : await runner.probe(cmd({ cwd })`sudo -n true`, PROBE_TIMEOUT_MS);
  if (result?.ok !== false) return;
  throw new MissingTool(`sudo cannot ask for a password: ${oneLine(result.reason)}; start this in a terminal`);
}

async function prepareBuild(ctx: RunnerContext, root: string, host: Host, problems: Problems) {
  const { env, startDirectory } = ctx;
  const build = resolveBuildOptions(env, startDirectory, ['OPENSHELL_CARGO_VERSION', 'SUPERVISOR_LIBC']);
  const toolchain = await closedToolchain(ctx, root);
  problems.attempt(() => refuseMissing(toolchain.missingPrograms));
  const others = [CLI, DRIVER];
  const { features } = await knownTools(ctx, root, build, [COMPONENTS.gateway, ...others], toolchain);
  const { runtime, warning } = findRuntime(ctx, root, host);
  const wanted = { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime };
  const wishes = { isRelease: true, supervisor: undefined, others, env: wanted };
  return { build: planDevBuild({ ...wishes, root, host, build }, toolchain, features), toolchain, runtime, warning };
}

/** The runtime where all of it is there, and what users have to know: without one no VM starts. */
function findRuntime(ctx: RunnerContext, root: string, host: Host) {
  const directory = runtimeDirectory(ctx.env, root, ctx.startDirectory);
  const platform = vmPlatformOf(host);
  const defects = embeddedDefects(directory, platform);
  if (defects.length === 0) return { runtime: directory, warning: distrustOf(directory, platform) };
  const remedy = 'for VM sandboxes run: mise run vm:setup && mise run vm:supervisor, and this again';
  const warning = `the VM driver is packaged WITHOUT its runtime, ${directory}: ${defectsText(defects)}; ${remedy}`;
  return { runtime: undefined, warning };
}

/** Probes the state of the service, one word. */
function probeState({ runner, startDirectory: cwd }: RunnerContext) {
  const command = cmd({ cwd })`systemctl --user show --property=ActiveState --value ${DEB.service}`;
  return runner.probe(command, PROBE_TIMEOUT_MS);
}

/** @throws MissingTool where no systemd of the user responds, usageError where another program has the port */
async function isServiceRunning(ctx: RunnerContext, port: number): Promise<boolean> {
  requireProgram('systemctl', ctx.env, 'the package runs its gateway as a systemd user service; install systemd');
  const state = await probeState(ctx);
  if (!state.ok) {
    throw new MissingTool(
      `the user's systemd does not respond: ${oneLine(state.reason)}; start this in a login session of your own ` +
        '(ssh or a desktop, not su or sudo), which sets XDG_RUNTIME_DIR',
    );
  }
  if (!ENDED.includes(state.output)) return true;
  if (!(await canConnect(DEB.address, port))) return false;
  throw usageError(`${DEB.address}:${port}, where ${DEB.service} listens, is in use by another program; stop it`);
}

/** @throws failure (1) where the service does not respond in time, after its log; InterruptedError for a signal */
async function waitForService(ctx: RunnerContext, { port, waitMs }: InstallFacts): Promise<void> {
  const { runner, signals, startDirectory, terminal } = ctx;
  let state = 'unknown';
  const attempt = async () => {
    const result = await probeState(ctx);
    state = oneLine(result.ok ? result.output : result.reason);
    if (state === 'failed') return false;
    return state === 'active' && (await canConnect(DEB.address, port)) ? true : undefined;
  };
  if (await poll(attempt, { intervalMs: POLL_MS, timeoutMs: waitMs, signal: signals.aborted })) return;
  const log = cmd({ cwd: startDirectory })`journalctl --user -u ${DEB.service} -n 50 --no-pager`;
  const journal = await runner.probe(log, PROBE_TIMEOUT_MS);
  for (const line of (journal.ok ? journal.output : journal.reason).split('\n')) terminal.say(line);
  throw failure(
    `${DEB.service} is installed, and does not respond at ${DEB.address}:${port}: its state is ${state}; its log is above`,
  );
}
