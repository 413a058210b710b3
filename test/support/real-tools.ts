// SPDX-License-Identifier: Apache-2.0

/**
 * Finds the real tools for tests, and says which of them are missing.
 *
 *     const tools = requireTools('cargo', 'zigbuild', 'musl-x86_64');
 *     describe('a wide link', tools.options, () => {
 *       test('...', async () => runTaskFile('stage', ['supervisor'], { cwd, env: tools.env }));
 *     });
 *
 * Without one of them the tests are skipped, and the reporter (`skip-reporter.ts`) counts for which tool. Where `CI` is
 * true a missing tool is an error: a check that nobody runs must not look like one that passed.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { definedOnly, type Environment, readVariable } from '../../lib/cli/env.ts';
import { findProgram } from '../../lib/process/which.ts';
import {
  CARGO_MIN,
  dockerPluginDirectories,
  GO_TOOLS,
  type GoTool,
  isGoTool,
  isPinned,
  isRustTarget,
  PINNED,
  type PinnedTool,
  ROOT_ONLY,
  RUST_TARGETS,
  type ToolName,
  toolPath,
  toolsDirectory,
} from './tool-table.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** A tool that is here, or why it is not. The version is known where a certain one is wanted. */
export type Finding =
  | { readonly ok: true; readonly path: string; readonly version: string | undefined }
  | { readonly ok: false; readonly name: string; readonly reason: string };

// The module in which vitest has the interface; one that is re-exported cannot be added to.
declare module '@vitest/runner' {
  interface TaskMeta {
    /** The tools for which a test is skipped. */
    missingTools?: readonly string[];
  }
}

/** What a group of tests gets. */
export interface RealTools {
  readonly ok: boolean;
  /** Why the tests cannot run: one line; empty when they can. */
  readonly reason: string;
  /** For `describe` or `test`: skips what cannot run, and tells the reporter why. */
  readonly options: { readonly skip: boolean; readonly meta: { readonly missingTools: readonly string[] } };
  /** A clean environment with the tools on its PATH, and cargo's and rustup's own directories. */
  readonly env: Record<string, string>;
  /** The absolute path of one of the tools; for a Rust target the directory of its libraries. */
  path(name: ToolName): string;
}

/**
 * The tools for a group of tests.
 *
 * @throws Error where `CI` is true and one is missing
 */
export function requireTools(...names: readonly ToolName[]): RealTools {
  const env = process.env;
  const found = new Map(names.map((name) => [name, startable(name, findTool(name, env))]));
  const missing = [...found.values()].filter((finding) => !finding.ok);
  const reason = missing.map((finding) => finding.reason).join('; ');
  if (missing.length > 0 && readVariable(env, 'CI')) {
    throw new Error(`CI is set, so every tool has to be here: ${reason}`);
  }
  return {
    ok: missing.length === 0,
    reason,
    options: { skip: missing.length > 0, meta: { missingTools: missing.map(({ name }) => name) } },
    env: toolEnvironment(env),
    path(name) {
      const finding = found.get(name);
      if (finding?.ok === true) return finding.path;
      throw new Error(finding?.reason ?? `${name} is not among the tools that this test asked for`);
    },
  };
}

/**
 * For `describe` or `test`: skips what needs a thing that is no tool, such as `/proc` or root; `CI` does not matter.
 * @param tools what it needs besides, which would else be overwritten
 */
export function requireThing(name: string, isHere: boolean, tools?: RealTools['options']): RealTools['options'] {
  const missingTools = [...(tools?.meta.missingTools ?? []), ...(isHere ? [] : [name])];
  return { skip: missingTools.length > 0, meta: { missingTools } };
}

/** For a test in a group that has options, too: its own would else hide why the group is skipped. */
export function both(one: RealTools['options'], other: RealTools['options']): RealTools['options'] {
  const missingTools = [...one.meta.missingTools, ...other.meta.missingTools];
  return { skip: one.skip || other.skip, meta: { missingTools } };
}

export const onlyRoot = (tools?: RealTools['options']) => requireThing('root', process.geteuid?.() === 0, tools);

export const onlyLinux = (tools?: RealTools['options']) => requireThing('Linux', process.platform === 'linux', tools);

export const onlyLinuxAmd64 = (tools?: RealTools['options']) =>
  requireThing('Linux on amd64', process.platform === 'linux' && process.arch === 'x64', tools);

const named = process.env.OPENSHELL_BASH_CHECKOUT ?? '';

/** The checkout with its bash tasks that `OPENSHELL_BASH_CHECKOUT` names; nobody has to have one, `CI` included. */
export const realCheckout = {
  ok: named !== '',
  /** Absolute. */
  path: resolve(named),
  options: requireThing('OPENSHELL_BASH_CHECKOUT', named !== ''),
};

/** A daemon that only root can start is not here for anybody else. */
function startable(name: ToolName, finding: Finding): Finding {
  if (!finding.ok || !ROOT_ONLY.includes(name) || process.getuid?.() === 0) return finding;
  return absent(`${name} as root`, `only root can start ${name} for a test`);
}

/**
 * The absolute path of one tool, for what stands behind `requireTools`.
 *
 * @throws Error where it is missing
 */
export function pathOfTool(name: ToolName): string {
  const finding = findTool(name, process.env);
  if (finding.ok) return finding.path;
  throw new Error(finding.reason);
}

/** Variables that a build needs from the machine; everything else of it would make tests differ. */
const PASSED = [
  'HOME',
  'USER',
  'LANG',
  'TMPDIR',
  'TERM',
  'NO_COLOR',
  'CARGO_HOME',
  'RUSTUP_HOME',
  'RUSTUP_TOOLCHAIN',
  'SDKROOT',
];

/** A clean environment for the real tools, with those on its PATH; zig's caches stand with the fetched tools. */
export function toolEnvironment(env: Environment): Record<string, string> {
  const passed = Object.fromEntries(PASSED.map((name) => [name, env[name]]));
  return definedOnly({
    ...passed,
    PATH: toolPath(env),
    ZIG_GLOBAL_CACHE_DIR: join(toolsDirectory(env), 'cache/zig'),
    CARGO_ZIGBUILD_CACHE_DIR: join(toolsDirectory(env), 'cache/cargo-zigbuild'),
  });
}

const findings = new Map<string, Finding>();

/** Looks for one tool; asked again with the same PATH, it does not look again. */
export function findTool(name: ToolName, env: Environment): Finding {
  const key = `${name} ${toolPath(env)}`;
  const known = findings.get(key);
  if (known !== undefined) return known;
  const finding = lookFor(name, toolEnvironment(env));
  findings.set(key, finding);
  return finding;
}

/** Forgets what was found: something has been fetched. */
export function forgetFindings(): void {
  findings.clear();
}

function lookFor(name: ToolName, env: Environment): Finding {
  if (isGoTool(name)) return lookForGoTool(GO_TOOLS[name], env);
  if (isPinned(name)) return lookForPinned(PINNED[name], env);
  if (isRustTarget(name)) return lookForTarget(RUST_TARGETS[name], env);
  if (name === 'cargo') return lookForCargo(env);
  if (name === 'cc') return lookForCompiler(env);
  if (name === 'glibc-static') return lookForStaticGlibc(env);
  if (name === 'linux-source') return lookForLinuxSource(process.env);
  const path = findProgram(name, env);
  return path === undefined ? absent(name, `${name} is not on PATH`) : { ok: true, path, version: undefined };
}

function absent(name: string, reason: string): Finding {
  return { ok: false, name, reason };
}

/** The first program of that name on PATH that has the version: another one may stand before it. */
function lookForPinned(tool: PinnedTool, env: Environment): Finding {
  const wanted = `${tool.program} ${tool.version}`;
  const others: string[] = [];
  for (const directory of (env.PATH ?? '').split(':')) {
    const path = findProgram(tool.program, { PATH: directory });
    if (path === undefined) continue;
    const version = versionIn(ask(path, tool.versionWords, env));
    if (version === tool.version) return { ok: true, path, version };
    others.push(`${path} is ${version ?? 'broken'}`);
  }
  const seen = others.length > 0 ? ` (${others.join(', ')})` : '';
  return absent(wanted, `${wanted} is not here${seen}; to get it: npm run tools`);
}

function lookForGoTool(tool: GoTool, env: Environment): Finding {
  const plugin = dockerPluginDirectories(env)
    .map((directory) => findProgram(tool.program, { PATH: directory }))
    .find((path) => path !== undefined);
  const path = findProgram(tool.program, env) ?? (tool.isDockerPlugin ? plugin : undefined);
  if (path !== undefined) return { ok: true, path, version: undefined };
  return absent(tool.program, `${tool.program} is not here; to get it (with Go): npm run tools`);
}

function lookForCargo(env: Environment): Finding {
  const path = findProgram('cargo', env);
  if (path === undefined) return absent('cargo', 'cargo is not on PATH; install Rust (https://rustup.rs)');
  const version = versionIn(ask(path, ['--version'], env));
  if (version === undefined) return absent('cargo', `${path} does not work; check: cargo --version`);
  if (isOlder(version, CARGO_MIN)) {
    return absent('cargo', `cargo ${version} is too old, ${CARGO_MIN} or newer is needed; run: rustup update`);
  }
  return { ok: true, path, version };
}

function lookForTarget(triple: string, env: Environment): Finding {
  const rustc = findProgram('rustc', env);
  const sysroot = rustc === undefined ? undefined : ask(rustc, ['--print', 'sysroot'], env)?.trim();
  const directory = join(sysroot ?? '/nonexistent', 'lib/rustlib', triple, 'lib');
  if (existsSync(directory)) return { ok: true, path: directory, version: undefined };
  return absent(`Rust target ${triple}`, `the Rust target ${triple} is not installed; to get it: npm run tools`);
}

/** On Linux a compiler links only with the development files of the C library, which are a package of their own. */
function lookForCompiler(env: Environment): Finding {
  const remedy = 'install a C compiler (Debian: gcc libc6-dev; Fedora: gcc; macOS: xcode-select --install)';
  const path = findProgram('cc', env);
  if (path === undefined) return absent('cc', `cc is not on PATH; ${remedy}`);
  if (process.platform !== 'linux' || fileOfLibrary(path, 'crti.o', env) !== undefined)
    return { ok: true, path, version: undefined };
  return absent('cc with a C library', `${path} has no C library to link with; ${remedy}`);
}

function lookForStaticGlibc(env: Environment): Finding {
  const cc = findProgram('cc', env);
  const path = cc === undefined ? undefined : fileOfLibrary(cc, 'libc.a', env);
  if (path !== undefined) return { ok: true, path, version: undefined };
  return absent('glibc-static', 'there is no libc.a; install the C library for static links (libc6-dev, glibc-static)');
}

/** A file of the C library, where the compiler finds it. */
function fileOfLibrary(cc: string, name: string, env: Environment): string | undefined {
  const path = ask(cc, [`-print-file-name=${name}`], env)?.trim();
  // Without the file, the compiler answers with the bare name.
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** Debian's package, or what `LINUX_SOURCE` names. */
function lookForLinuxSource({ LINUX_SOURCE: named }: Environment): Finding {
  const path = named ?? globSync('/usr/src/linux-source-*.tar.xz')[0];
  if (path !== undefined && existsSync(path)) return { ok: true, path, version: undefined };
  return absent('linux-source', 'there is no source of a kernel; install the package linux-source');
}

/** What a program says; `undefined` when it fails. */
function ask(program: string, args: readonly string[], env: Environment): string | undefined {
  const answer = spawnSync(program, args, { encoding: 'utf8', env, timeout: PROBE_TIMEOUT_MS });
  return answer.status === 0 ? answer.stdout : undefined;
}

function versionIn(text: string | undefined): string | undefined {
  return /\d+\.\d+\.\d+/.exec(text ?? '')?.[0];
}

/** Whether version `a` is older than `b`; both are three numbers. */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  const at = [0, 1, 2].find((index) => left?.[index] !== right?.[index]) ?? 2;
  return (left?.[at] ?? 0) < (right?.[at] ?? 0);
}
