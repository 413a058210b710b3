// SPDX-License-Identifier: Apache-2.0

/**
 * Where the Rust tools come from: PATH first, which is also what `mise run` and an activated shell give; else what mise
 * has, in the environment that it gives. Mise is asked once in a run, whoever wants to know.
 */

import { existsSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Runner, RunnerContext } from '../build-env.ts';
import { isUnknown, mark, refuseOrNote } from '../cli/dry-run-marks.ts';
import { type Environment, textOf } from '../cli/env.ts';
import { describeError, InterruptedError, MissingTool, oneLine, shown, usageError } from '../errors.ts';
import { parseTable } from '../fs/parse-json.ts';
import { absolutePath, namesIn } from '../fs/paths.ts';
import type { Host } from '../host.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import { findProgram } from '../process/which.ts';
import { environmentInCargo, readCargoSettings } from './settings.ts';

const PROBE_MS = 30_000;
/** In this very call rustup may install the toolchain that the checkout pins. */
const RUSTUP_PROBE_MS = 600_000;
/** The files that a checkout may have for its mise configuration. */
export const CONFIG_FILES = ['mise.toml', '.mise.toml'] as const;

/** Of what OpenShell's mise configuration sets, the variables that count without that mise, too. */
const SETTINGS = ['KUBECONFIG', 'RUSTC_WRAPPER', 'SCCACHE_DIR'] as const;

type MiseSetting = (typeof SETTINGS)[number];
type MiseResult = { readonly env: Environment } | { readonly problem: string };

export type Toolchain = Omit<Awaited<ReturnType<typeof findToolchain>>, 'unknowns'> & Pick<RunnerContext, 'unknowns'>;

/**
 * Finds cargo, cargo-zigbuild, rustup and zig. Starts mise only for what PATH does not have.
 * @param needsZig whether zig itself is needed, and not only through cargo-zigbuild
 * @throws MissingTool without cargo; usageError where `ZIG` is not a program
 */
export async function findToolchain(ctx: RunnerContext, root: string, needsZig: boolean) {
  const zig = zigOf(ctx.env, ctx.startDirectory);
  const names = ['cargo', 'cargo-zigbuild', 'rustup', ...(needsZig && zig === undefined ? ['zig'] : [])];
  const mise = await miseEnvironment(ctx, root, names);
  const project = mise.env ?? (await miseSettings(ctx, root, ['RUSTC_WRAPPER', 'SCCACHE_DIR']));
  const seen = ctx.runner.environmentOf(cmd({ cwd: root, base: project, asInvoker: true })`cargo`);
  const has = (name: string) => findProgram(name, seen) !== undefined;
  if (!has('cargo')) {
    const text = 'cargo is not on PATH and mise does not have it; install Rust (https://rustup.rs) and try again';
    refuseOrNote(ctx.unknowns, new MissingTool(text, mise.problem));
  }
  const settings = await readCargoSettings(root, seen);
  const inCargo = environmentInCargo(root, seen);
  const isFromFile = seen.RUSTC_WRAPPER === undefined && seen.CARGO_BUILD_RUSTC_WRAPPER === undefined;
  // To cargo this variable is as good as its file.
  const wrapper = isFromFile && settings.wrapper !== undefined ? { CARGO_BUILD_RUSTC_WRAPPER: settings.wrapper } : {};
  const missing = settings.programs.filter(({ program }) => findProgram(program, inCargo) === undefined);
  for (const { source, text } of missing)
    ctx.unknowns?.note(`${source} is ${shown(text)}, which is not an executable program`);
  // A dry run does not make rustup download the toolchain that the checkout pins.
  const env: Environment = { ...project, ...wrapper, ...(ctx.unknowns && { RUSTUP_AUTO_INSTALL: '0' }) };
  return {
    /** What its programs get on top of the task's environment (`Command.base`); the guard and the recovery look at it. */
    env,
    isFromMise: mise.env !== undefined,
    /** Why mise, which may have what is missing, could not be used. */
    miseProblem: mise.problem,
    settings,
    hasZigbuild: has('cargo-zigbuild'),
    /** Absolute paths: rustup, the compiler that cargo starts, and zig for compiler wrappers. */
    rustup: findProgram('rustup', seen),
    rustc: findProgram(settings.rustc ?? 'rustc', inCargo),
    zig: zig ?? findProgram('zig', seen),
    /** Whether cargo-zigbuild finds a zig on PATH; it has other ways, too. */
    isZigOnPath: has('zig'),
    missingPrograms: ctx.unknowns === undefined ? missing : [],
    unknowns: ctx.unknowns,
  };
}

/** Checks that cargo-zigbuild has a zig, for whoever compiles something else before. @throws MissingTool */
export async function verifyZigbuild(runner: Runner, toolchain: Toolchain, root: string): Promise<void> {
  const { env, isZigOnPath, unknowns } = toolchain;
  if (isZigOnPath) return;
  const command = cmd({ cwd: root, base: env, asInvoker: true })`cargo-zigbuild zig ar -- --version`;
  const result = await runner.probe(command, PROBE_MS);
  if (result.ok) return;
  const remedy = 'install it (mise install zig, or pip install ziglang), or set CARGO_ZIGBUILD_ZIG_PATH to its path';
  const reason = oneLine(result.reason.split('\n', 1).join());
  refuseOrNote(unknowns, new MissingTool(`cargo-zigbuild has no zig (${reason}); ${remedy}`));
}

/** How a shell gets the environment of the tool chain: a dry run prints it before the first command. */
export function toolchainLines({ env, isFromMise }: Pick<Toolchain, 'env' | 'isFromMise'>, root: string): string[] {
  if (isFromMise) return [`eval "$(mise --cd ${shellQuote(root)} env --shell bash)"`];
  return SETTINGS.flatMap((name) => (env[name] === undefined ? [] : `export ${name}=${shellQuote(env[name])}`));
}

/** The zig that `ZIG` names. @throws usageError where that is not a program */
export function zigOf(env: Environment, startDirectory: string): string | undefined {
  const named = textOf(env, 'ZIG');
  if (named === undefined) return undefined;
  const path = findProgram(named.includes('/') ? absolutePath(startDirectory, named) : named, env);
  if (path !== undefined) return path;
  throw usageError(`ZIG is ${shown(named)}, which is not an executable program; set it to the path of zig or unset it`);
}

/** Zig alone: `ZIG`, else PATH, else mise. @throws MissingTool where none of them has it */
export async function findZig(ctx: RunnerContext, root: string): Promise<string> {
  const named = zigOf(ctx.env, ctx.startDirectory);
  if (named !== undefined) return named;
  const mise = await miseEnvironment(ctx, root, ['zig']);
  const zig = findProgram('zig', mise.env ?? ctx.env);
  if (zig !== undefined) return zig;
  const text = 'zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path';
  throw new MissingTool(text, mise.problem);
}

/** What mise sets in the checkout, where it has one of these programs that PATH does not have; why, where it fails. */
async function miseEnvironment(
  ctx: RunnerContext,
  root: string,
  programs: readonly string[],
): Promise<{ readonly env?: Environment; readonly problem?: string }> {
  const missing = programs.filter((name) => findProgram(name, ctx.env) === undefined);
  if (missing.length === 0 || findProgram('mise', ctx.env) === undefined) return {};
  const result = await askMise(ctx, root);
  if ('problem' in result) return result;
  return missing.some((name) => findProgram(name, result.env) !== undefined) ? result : {};
}

const results = new WeakMap<Runner, Promise<MiseResult>>();

/** What mise, which has to be on PATH, sets in the checkout and the environment does not have, and its PATH. */
export function askMise(ctx: RunnerContext, root: string): Promise<MiseResult> {
  const result = results.get(ctx.runner) ?? ask(ctx, root);
  results.set(ctx.runner, result);
  return result;
}

async function ask({ env, runner }: RunnerContext, root: string): Promise<MiseResult> {
  // What mise trusts and has installed is the user's, and it may create files in the checkout.
  const result = await runner.probe(cmd({ cwd: root, asInvoker: true })`mise env --json`, PROBE_MS);
  if (!result.ok && /\bnot trusted\b/.test(result.reason)) {
    return { problem: `mise does not trust the checkout; run: mise trust ${shellQuote(root)}` };
  }
  if (!result.ok) return { problem: `mise env --json failed: ${oneLine(result.reason)}; check: mise doctor` };
  const set = Object.entries(parseTable(result.output) ?? { '': undefined });
  if (set.some(([, value]) => typeof value !== 'string')) {
    const what = 'which is not a table of texts; check: mise doctor';
    return { problem: `mise env --json printed ${shown(result.output)}, ${what}` };
  }
  // To mise its own settings come first; here a variable that is set always wins.
  const own = set.filter(([name]) => name === 'PATH' || env[name] === undefined);
  return { env: Object.fromEntries(own) as Environment };
}

/**
 * Those of the settings that the checkout's mise configuration sets and the environment does not have. Mise is asked only
 * where it is on PATH and the checkout has such a configuration.
 */
export async function miseSettings(
  ctx: RunnerContext,
  root: string,
  names: readonly MiseSetting[],
): Promise<Partial<Record<MiseSetting, string>>> {
  const { env, terminal } = ctx;
  const wanted = names.filter((name) => env[name] === undefined);
  const hasConfig = CONFIG_FILES.some((name) => existsSync(join(root, name)));
  if (wanted.length === 0 || !hasConfig || findProgram('mise', env) === undefined) return {};
  const result = await askMise(ctx, root);
  if ('problem' in result) {
    terminal.warn(`what the checkout's mise.toml sets (${wanted.join(', ')}) does not count: ${result.problem}`);
    return {};
  }
  const found = wanted.flatMap((name) => {
    const value = name === 'RUSTC_WRAPPER' ? wrapperIn(ctx, result.env) : result.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}

/** The wrapper, which may be one of mise's own tools; one that is not installed would fail every build. */
function wrapperIn({ env, terminal }: RunnerContext, mise: Environment): string | undefined {
  const { RUSTC_WRAPPER: wrapper = '' } = mise;
  if (wrapper === '' || findProgram(wrapper, env) !== undefined) return wrapper || undefined;
  const path = findProgram(wrapper, mise);
  if (path === undefined) terminal.warn(`RUSTC_WRAPPER=${shown(wrapper)} of mise does not count: run mise install`);
  return path;
}

/**
 * Which of the targets rustup has yet to install; in a dry run perhaps a mark. The compiler that cargo starts is asked: it
 * may be another one than rustup's, which then has its own targets.
 * @throws MissingTool where the compiler does not respond, or rustup cannot give it a target that it lacks
 */
export async function missingTargets(
  runner: Runner,
  { env, rustc = 'rustc', rustup, unknowns }: Toolchain,
  root: string,
  triples: readonly string[],
): Promise<string[]> {
  const command = cmd({ cwd: root, base: env, asInvoker: true });
  const library = await runner.probe(command`${rustc} --print target-libdir`, RUSTUP_PROBE_MS);
  if (!library.ok || !isAbsolute(library.output)) {
    const reason = library.ok ? `it prints ${shown(library.output)}` : oneLine(library.reason);
    const text = `${rustc} cannot say where its targets are: ${reason}; check: rustc --print target-libdir`;
    refuseOrNote(unknowns, new MissingTool(text));
    return [mark('missing targets', 'rustc does not respond')];
  }
  // `SYSROOT/lib/rustlib/TARGET/lib`, for this machine's target.
  const targets = resolve(library.output, '../..');
  // A target that was removed may leave its directory.
  const isThere = (triple: string) => namesIn(join(targets, triple, 'lib')).some((name) => name.startsWith('libstd-'));
  const missing = [...new Set(triples)].filter((triple) => !isThere(triple));
  if (missing.every(isUnknown)) return missing;
  const own = rustup === undefined ? undefined : await runner.probe(command`${rustup} which rustc`, RUSTUP_PROBE_MS);
  const isOwn = own?.ok && realpathSync(resolve(own.output, '../..')) === realpathSync(resolve(targets, '../..'));
  if (isOwn) return missing;
  const instead = own?.ok
    ? `rustup's is ${oneLine(own.output)}: put ${dirname(rustup ?? '')} first on PATH, without RUSTC and build.rustc`
    : 'take Rust from rustup (https://rustup.rs)';
  const text = `${rustc}, which cargo compiles with, does not have the Rust target ${missing.join(', ')}; ${instead}`;
  refuseOrNote(unknowns, new MissingTool(`${text}, or install it where that Rust comes from`));
  return missing;
}

/** Why the linker cannot link glibc statically; `undefined` where it can. For Linux hosts. */
export async function whyNoStaticLibc(
  runner: Runner,
  root: string,
  { arch }: Host,
  { env }: Pick<Toolchain, 'env'>,
): Promise<string | undefined> {
  if (arch === undefined) return 'this machine is neither amd64 nor arm64';
  // Rust's own default; another linker that cargo's settings name finds the same C library.
  const command = cmd({ cwd: root, base: env, asInvoker: true })`cc -print-file-name=libc.a`;
  const result = await runner.probe(command, PROBE_MS);
  // Without the file, the compiler prints the bare name.
  if (result.ok && isAbsolute(result.output)) return undefined;
  const reason = result.ok ? `cc prints ${shown(result.output)}` : oneLine(result.reason);
  const remedy = 'for static links install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';
  return `there is no libc.a (${reason}); ${remedy}`;
}

export function addTargets(toolchain: Toolchain, root: string, triples: readonly string[]): Command {
  return cmd({ cwd: root, base: toolchain.env, asInvoker: true })`rustup target add ${triples}`;
}

/** @throws MissingTool naming the targets: without them cargo fails later, less clearly (E0463) */
export async function installTargets(runner: Runner, add: Command): Promise<void> {
  try {
    await runner.run(add);
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    throw new MissingTool(`a Rust target that the build needs could not be installed (${describeError(error)})`);
  }
}
