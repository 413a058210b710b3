// SPDX-License-Identifier: Apache-2.0

/**
 * What a user has set for cargo, where it decides how the tasks build. Cargo has no stable way to print it, so its
 * files are read by its documented rules (https://doc.rust-lang.org/cargo/reference/config.html): a variable wins, then
 * the nearest file.
 */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { isTable } from '../fs/parse-json.ts';
import { absolutePath, ancestorsOf } from '../fs/paths.ts';

export interface CargoSettings {
  /** Where binaries appear, absolute, unless `CARGO_TARGET_DIR` names another place; `undefined` for the default. */
  readonly targetDirectory: string | undefined;
  /** Where everything else appears (`build.build-dir`), absolute; `undefined` for the same place. */
  readonly buildDirectory: string | undefined;
  /** What every crate, and what the workspace's own crates compile through: a path, or a name for PATH. */
  readonly wrapper: string | undefined;
  readonly workspaceWrapper: string | undefined;
  /** The compiler: a path, or a name for PATH. */
  readonly rustc: string | undefined;
  /** These programs, with where each is set. */
  readonly programs: readonly NamedProgram[];
  /** The targets to build for; empty for this machine's. */
  readonly targets: readonly string[];
  /** The variables of the dev profile that are set: `CARGO_PROFILE_DEV_DEBUG`. */
  readonly profileVariables: readonly string[];
  /** Whether flags for rustc are set anywhere: where a variable `RUSTFLAGS` is given, cargo drops those of other places. */
  readonly hasRustflags: boolean;
  /** The linkers that are set, each a path or a name for PATH, by the target as in variables; `FLAGS` for all. */
  readonly linkers: Readonly<Record<string, string>>;
}

/** A program that a setting names. */
export interface NamedProgram {
  /** A path, or a name for PATH. */
  readonly program: string;
  /** As it is written. */
  readonly text: string;
  /** What it is set by, for users: a variable, or a key and its file. */
  readonly source: string;
  /** The setting that turns it off, for users; `undefined` for the compiler. */
  readonly offSwitch: string | undefined;
}

type Table = Readonly<Record<string, unknown>>;

interface ConfigFile {
  /** What relative paths are relative to: the directory that has `.cargo` in it. */
  readonly base: string;
  readonly path: string;
  /** Its table `build`. */
  readonly build: Table;
  readonly hasRustflags: boolean;
  /** Its tables `target`. */
  readonly targets: Readonly<Record<string, Table>>;
}

/** A setting, what a relative path in it is relative to, and what it is set by. */
interface Setting extends Pick<ConfigFile, 'base'>, Pick<NamedProgram, 'text' | 'source'> {}

/** The keys of `build` that name a program, with their variables, the strongest first. */
const PROGRAMS = {
  rustc: ['RUSTC', 'CARGO_BUILD_RUSTC'],
  'rustc-wrapper': ['RUSTC_WRAPPER', 'CARGO_BUILD_RUSTC_WRAPPER'],
  'rustc-workspace-wrapper': ['RUSTC_WORKSPACE_WRAPPER', 'CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER'],
} as const;
const RUSTFLAGS = /^(CARGO_(ENCODED|BUILD|TARGET_\w+)_)?RUSTFLAGS$/;

/**
 * Reads the settings of a run in `root`; a broken file is left for cargo to refuse.
 * @param env the environment that cargo gets
 */
export async function readCargoSettings(root: string, env: Environment): Promise<CargoSettings> {
  const files = await readConfigFiles(root, env);
  const find = (key: string, ...variables: readonly string[]): Setting | undefined => {
    const source = variables.find((name) => env[name] !== undefined);
    return source === undefined ? fromFiles(files, key) : { text: env[source] ?? '', base: root, source };
  };
  const named = (key: keyof typeof PROGRAMS): NamedProgram | undefined => {
    const setting = find(key, ...PROGRAMS[key]);
    // Empty, unlike absent, also overrides what follows.
    if (setting === undefined || (setting.text === '' && key !== 'rustc')) return undefined;
    const { source, text } = setting;
    const offSwitch = key === 'rustc' ? undefined : offSwitchOf(PROGRAMS[key][0], source, env);
    return { program: programOf(setting), text, source, offSwitch };
  };
  const [rustc, wrapper, workspaceWrapper] = [named('rustc'), named('rustc-wrapper'), named('rustc-workspace-wrapper')];
  const directory = find('target-dir', 'CARGO_BUILD_TARGET_DIR');
  const build = find('build-dir', 'CARGO_BUILD_BUILD_DIR');
  const target = textOf(env, 'CARGO_BUILD_TARGET');
  return {
    targetDirectory: directory?.text ? absolutePath(directory.base, directory.text) : undefined,
    buildDirectory: build?.text ? absolutePath(build.base, build.text.replace('{workspace-root}', root)) : undefined,
    rustc: rustc?.program,
    wrapper: wrapper?.program,
    workspaceWrapper: workspaceWrapper?.program,
    programs: [rustc, wrapper, workspaceWrapper].filter((program) => program !== undefined),
    targets: target === undefined ? targetsIn(files) : [target],
    profileVariables: Object.keys(env).filter((name) => name.startsWith('CARGO_PROFILE_DEV_')),
    hasRustflags: files.some((file) => file.hasRustflags) || Object.keys(env).some((name) => RUSTFLAGS.test(name)),
    linkers: linkersOf(root, env, files),
  };
}

/**
 * Where binaries appear.
 * @param named `CARGO_TARGET_DIR`, absolute
 */
export function targetDirectoryOf(root: string, named: string | undefined, settings: CargoSettings): string {
  return named ?? settings.targetDirectory ?? join(root, 'target');
}

/** The name of a Rust target in variables: `X86_64_UNKNOWN_LINUX_GNU`. */
export function targetKey(triple: string): string {
  return triple.toUpperCase().replaceAll(/[-.]/g, '_');
}

/** The nearest file wins, a variable over all of them, and a flag for rustc over what cargo itself would pass. */
function linkersOf(root: string, env: Environment, files: readonly ConfigFile[]): CargoSettings['linkers'] {
  const named: Record<string, string> = {};
  const flagged: Record<string, string> = {};
  const add = (key: string, base: string, linker: unknown, flags: unknown) => {
    if (typeof linker === 'string' && linker !== '') named[key] = programOf({ base, text: linker });
    const inFlags = /-C *linker=(\S+)/.exec([flags].flat().join(' ').replaceAll('\x1f', ' '))?.[1];
    if (inFlags !== undefined) flagged[key] = inFlags;
  };
  for (const { base, build, targets } of files.toReversed()) {
    add('FLAGS', base, undefined, build.rustflags);
    for (const [triple, { linker, rustflags }] of Object.entries(targets))
      add(targetKey(triple), base, linker, rustflags);
  }
  for (const [name, text] of Object.entries(env)) {
    const [, key = 'FLAGS'] = /^CARGO_TARGET_(\w+)_(?:LINKER|RUSTFLAGS)$/.exec(name) ?? [];
    if (name.endsWith('_LINKER') && key !== 'FLAGS') add(key, root, text, undefined);
    if (RUSTFLAGS.test(name)) add(key, root, undefined, text);
  }
  return { ...named, ...flagged };
}

/** What mise sets for its tasks wins over the variable of the shell that starts it. */
function offSwitchOf(variable: string, source: string, env: Environment): string {
  if (source !== variable || textOf(env, 'MISE_TASK_NAME') === undefined) return `${variable}=`;
  return `${variable}= (where mise sets it, ${variable} = "" in [env] of mise.local.toml)`;
}

/** The first file in which the key is a text. */
function fromFiles(files: readonly ConfigFile[], key: string): Setting | undefined {
  const file = files.find(({ build }) => typeof build[key] === 'string');
  return file && { text: String(file.build[key]), base: file.base, source: `build.${key} in ${file.path}` };
}

function targetsIn(files: readonly ConfigFile[]): string[] {
  const listed = files.find(({ build }) => build.target !== undefined)?.build.target;
  return [listed].flat().filter((target) => typeof target === 'string');
}

/** A bare name is looked up on PATH, anything with a slash is a path. */
function programOf({ base, text }: Pick<Setting, 'base' | 'text'>): string {
  return text.includes('/') ? absolutePath(base, text) : text;
}

/** Where cargo keeps what belongs to a user, absolute. */
export function cargoHome(root: string, env: Environment): string {
  return absolutePath(root, textOf(env, 'CARGO_HOME') ?? join(textOf(env, 'HOME') ?? '/', '.cargo'));
}

/** The files that count for a run in `root`, the nearest first. */
async function readConfigFiles(root: string, env: Environment): Promise<ConfigFile[]> {
  const directories = ancestorsOf(resolve(root)).map((directory) => join(directory, '.cargo'));
  const paths = [...new Set([...directories, cargoHome(root, env)])].flatMap(
    (directory) => ['config', 'config.toml'].map((name) => join(directory, name)).find(existsSync) ?? [],
  );
  if (paths.length === 0) return [];
  const { parse } = await import('smol-toml');
  return paths.flatMap((path) => readWithIncludes(path, new Set(), parse));
}

/** A file, then those that it includes, the last one first, because that one wins. */
function readWithIncludes(path: string, seen: Set<string>, parse: (text: string) => Table): ConfigFile[] {
  if (seen.has(path)) return [];
  seen.add(path);
  let values: Table;
  try {
    values = parse(readFileSync(path, 'utf8'));
  } catch {
    // Absent, not readable, or not TOML: cargo, which runs next, says so better.
    return [];
  }
  const includes = [values.include ?? []].flat().flatMap((entry) => {
    const named = isTable(entry) ? entry.path : entry;
    return typeof named === 'string' ? [resolve(dirname(path), named)] : [];
  });
  const build = isTable(values.build) ? values.build : {};
  const targets = Object.fromEntries(
    Object.entries(isTable(values.target) ? values.target : {}).filter((entry): entry is [string, Table] =>
      isTable(entry[1]),
    ),
  );
  const hasRustflags = [build, ...Object.values(targets)].some(({ rustflags }) => rustflags !== undefined);
  const own = { base: dirname(dirname(path)), path, build, hasRustflags, targets };
  return [own, ...includes.toReversed().flatMap((include) => readWithIncludes(include, seen, parse))];
}
