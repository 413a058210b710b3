// SPDX-License-Identifier: Apache-2.0

/** What compiles: the Rust tools, zig, the C compiler, and the open files that a build gets. */

import { uptime } from 'node:os';
import {
  addTargets,
  askMise,
  findToolchain,
  missingTargets,
  type Toolchain,
  verifyZigbuild,
  whyNoStaticLibc,
  zigOf,
} from '../cargo/find-toolchain.ts';
import { isSccache } from '../cargo/sccache-recovery.ts';
import { refuseMissing } from '../cargo/settings.ts';
import { type Environment, textOf } from '../cli/env.ts';
import { oneLine, usageError } from '../errors.ts';
import { listenerPid } from '../gateway/port.ts';
import { linuxTriple } from '../host.ts';
import {
  Guard,
  limitPrefix,
  nofileRequest,
  planNofile,
  REQUIRED_MIN,
  wrapperOf,
  ZIGBUILD_RAISES,
} from '../nofile/guard.ts';
import { argvText, type Command, cmd } from '../process/command.ts';
import { limitsOfProcess, statOf } from '../process/identity.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { DOCTOR_TASKS } from '../product.ts';
import type { Check, Doctor, Finding } from './check.ts';

const VERSION_TIMEOUT_MS = 30_000;
const C_COMPILER = 'run: apt-get install gcc libc6-dev (Fedora: dnf install gcc; macOS: xcode-select --install)';
const NOT_THERE = { note: 'not on PATH' };
const SCCACHE_PORT = '4226';
/** Clock ticks of `/proc` (USER_HZ), the same on every Linux that the tasks run on. */
const TICKS_PER_SECOND = 100;
const STAGING = ['build:docker:supervisor', 'build:docker:gateway', 'build:docker:prebuilt'];

export function toolChecks(doctor: Doctor): Check[] {
  const { ctx, root } = doctor;
  // What is wrong with ZIG is said in the row of zig.
  const found = findToolchain({ ...ctx, env: { ...ctx.env, ZIG: undefined } }, root, true);
  const withTools = (look: (doctor: Doctor, tools: Toolchain) => Finding | Promise<Finding>) => async () => {
    const tools = await found.catch(() => undefined);
    return tools === undefined ? { note: 'not looked at: there is no cargo' } : look(doctor, tools);
  };
  return [
    ['mise', [], () => miseFinding(doctor)],
    ['cargo', DOCTOR_TASKS, async () => cargoFinding(doctor, await found)],
    ['Rust target', [], withTools(targetFinding)],
    ['zig', STAGING, withTools(zigFinding)],
    ['cargo-zigbuild', [], withTools(zigbuildFinding)],
    ['C compiler', DOCTOR_TASKS, () => compilerFinding(doctor)],
    ['static glibc', [], withTools(glibcFinding)],
    ['compiler wrapper', DOCTOR_TASKS, withTools(wrapperFinding)],
    ['sccache server', [], withTools(serverFinding)],
    ['open files', DOCTOR_TASKS, () => limitsFinding(doctor)],
  ];
}

async function miseFinding({ ctx, root }: Doctor): Promise<Finding> {
  const path = findProgram('mise', ctx.env);
  if (path === undefined) return { note: 'not on PATH; only mise run needs it (https://mise.jdx.dev)' };
  const result = await askMise(ctx, root);
  if ('problem' in result) throw usageError(result.problem);
  return path;
}

function asUser({ root }: Doctor, { env: base }: Toolchain) {
  return cmd({ cwd: root, base, asInvoker: true });
}

async function versionOf({ ctx }: Doctor, command: Command): Promise<string> {
  const result = await ctx.runner.probe(command, VERSION_TIMEOUT_MS);
  if (result.ok) return oneLine(result.output) || 'unknown version';
  throw usageError(`${argvText(command)} fails: ${oneLine(result.reason)}; correct that, or install it again`);
}

async function cargoFinding(doctor: Doctor, tools: Toolchain): Promise<Finding> {
  if (tools.rustc === undefined) throw usageError('cargo finds no rustc; install Rust (https://rustup.rs)');
  const command = asUser(doctor, tools);
  const path = findProgram('cargo', environmentOf(doctor, tools));
  return `${path}${tools.isFromMise ? ' (mise)' : ''}, ${await versionOf(doctor, command`${tools.rustc} --version`)}`;
}

/** A C compiler that has the C library's files to link with, which are a package of their own on Linux. */
async function compilerFinding({ ctx, host, root }: Doctor): Promise<Finding> {
  const path = requireProgram('cc', ctx.env, C_COMPILER);
  const result = await ctx.runner.probe(cmd({ cwd: root })`cc -print-file-name=crti.o`, VERSION_TIMEOUT_MS);
  // Without the file, the compiler prints the bare name.
  if (host.platform !== 'linux' || !result.ok || result.output !== 'crti.o') return path;
  throw usageError(`${path} has no C library to link with; ${C_COMPILER}`);
}

/** That of supervisors, which only a build with the native static glibc does without. */
async function targetFinding({ ctx, host, root }: Doctor, tools: Toolchain): Promise<Finding> {
  if (tools.rustc === undefined) return { note: 'not known without a rustc' };
  const wanted = host.arch === undefined ? [] : [linuxTriple(host.arch, 'musl')];
  const missing = await missingTargets(ctx.runner, tools, root, wanted);
  if (missing.length === 0) return wanted.join('');
  const command = argvText(addTargets(tools, root, missing));
  throw usageError(`${missing} is missing, and the first build that needs it downloads it; run: ${command}`);
}

async function zigFinding(doctor: Doctor, tools: Toolchain): Promise<Finding> {
  const { ctx, root } = doctor;
  const zig = zigOf(ctx.env, ctx.startDirectory) ?? tools.zig;
  if (tools.hasZigbuild) await verifyZigbuild(ctx.runner, tools, root);
  if (zig !== undefined) return `${zig}, ${await versionOf(doctor, asUser(doctor, tools)`${zig} version`)}`;
  return tools.hasZigbuild ? { note: "not on PATH; cargo-zigbuild has one, the gateway's image needs ZIG" } : NOT_THERE;
}

async function zigbuildFinding(doctor: Doctor, tools: Toolchain): Promise<Finding> {
  if (!tools.hasZigbuild) return NOT_THERE;
  const version = await versionOf(doctor, asUser(doctor, tools)`cargo-zigbuild --version`);
  const raises = version.replace(/^\D*/, '').localeCompare(ZIGBUILD_RAISES, 'en', { numeric: true }) >= 0;
  return `${version}, ${raises ? 'raises' : 'does not raise'} the open-file limit by itself on macOS`;
}

async function glibcFinding({ ctx, host, root }: Doctor, tools: Toolchain): Promise<Finding> {
  const note = await whyNoStaticLibc(ctx.runner, root, host, tools);
  return note === undefined ? 'libc.a is there' : { note };
}

/** What a build gets, and where that comes from. */
function limitsFinding({ ctx: { env }, machine, root }: Doctor): Finding {
  const command = cmd({ cwd: root })`cargo zigbuild`;
  const plan = new Guard(env, machine).plan(command, env);
  const given = plan.kind === 'raise' ? plan.to : machine.limits.soft;
  if (given !== undefined && given < REQUIRED_MIN) {
    const facts = { platform: machine.platform, zigbuild: true, wrapper: false, ...machine.limits };
    // What the guard would say were it on is true all the same.
    const wouldBe = planNofile({ ...nofileRequest(env), mode: 'on' }, facts);
    const remedy = wouldBe.kind === 'refuse' ? wouldBe.message : 'run: export OPENSHELL_BUILD_NOFILE_GUARD=on';
    return { note: `a build gets ${given} open files, which may be too few; ${remedy}` };
  }
  const source = nofileRequest(env).source ?? 'the default of the tasks';
  const why = plan.kind === 'raise' ? `raised: ${source}` : 'what Node has made of it';
  const limits = [given, machine.shellLimit, machine.limits.hard];
  const [all, soft, hard] = limits.map((limit) => String(limit ?? 'unknown').replace('Infinity', 'unlimited'));
  return `a build gets ${all} (${why}); your shell has ${soft}, and ${hard} at most`;
}

/** @throws usageError for a wrapper that is not there */
function wrapperFinding(doctor: Doctor, tools: Toolchain): Finding {
  refuseMissing(tools.missingPrograms);
  return wrapperOf(environmentOf(doctor, tools)) ?? 'none is set';
}

function environmentOf(doctor: Doctor, tools: Toolchain): Environment {
  return doctor.ctx.runner.environmentOf(asUser(doctor, tools)`cargo`);
}

/** @throws usageError for one with too low a limit, whose failure a build recovers from */
function serverFinding(doctor: Doctor, tools: Toolchain): Finding {
  const { host, machine } = doctor;
  const env = environmentOf(doctor, tools);
  const wrapper = wrapperOf(env);
  if (wrapper === undefined || !isSccache(wrapper) || tools.missingPrograms.length > 0) return 'not used';
  if (host.platform !== 'linux' || textOf(env, 'SCCACHE_SERVER_UDS') !== undefined) {
    return { note: `whether the server of ${wrapper} runs is not known here; check: ${wrapper} --show-stats` };
  }
  const pid = listenerPid(Number(textOf(env, 'SCCACHE_SERVER_PORT') ?? SCCACHE_PORT));
  if (pid === undefined) return 'none of yours runs, the first build starts one';
  const { soft = 0 } = limitsOfProcess(pid);
  const age = uptime() - Number(statOf(Number(pid))?.startTicks ?? 0) / TICKS_PER_SECOND;
  const since = new Date(Date.now() - age * 1000).toLocaleString('en-CA', { hourCycle: 'h23' });
  const server = `the server of ${wrapper} (pid ${pid}, since ${since}) may open ${soft} files`;
  if (soft >= REQUIRED_MIN) return server;
  const restart = `${limitPrefix(new Guard(env, machine).serverLimit)} ${wrapper} --start-server`;
  throw usageError(`${server}, and builds need ${REQUIRED_MIN}; run: ${wrapper} --stop-server; (${restart})`);
}
