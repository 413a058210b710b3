// SPDX-License-Identifier: Apache-2.0

/**
 * What a user has set for cargo, where it decides how the tasks build. Cargo has no stable way to print it, so its
 * files are read by its documented rules (https://doc.rust-lang.org/cargo/reference/config.html): a variable wins, then
 * the nearest file.
 */

import { existsSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { isTable } from '../fs/parse-json.ts';
import { absolutePath, ancestorsOf, textIn } from '../fs/paths.ts';

export interface CargoSettings {
  /** Where binaries appear, absolute, unless `CARGO_TARGET_DIR` names another place; `undefined` for the default. */
  readonly targetDirectory: string | undefined;
  /** Where everything else appears (`build.build-dir`), absolute; `undefined` for the same place. */
  readonly buildDirectory: string | undefined;
  /** What every crate, and what the workspace's own crates compile through: a path, or a name for PATH. */
  readonly wrapper: string | undefined;
  readonly workspaceWrapper: string | undefined;
  readonly rustc: string | undefined;
  readonly programs: readonly NamedProgram[];
  readonly targets: readonly string[];
  /** The variables of the dev profile that are set: `CARGO_PROFILE_DEV_DEBUG`. */
  readonly profileVariables: readonly string[];
  /** Whether flags for rustc are set anywhere: where a variable `RUSTFLAGS` is given, cargo drops those of other places. */
  readonly hasRustflags: boolean;
}

/** A program that a setting names. */
export interface NamedProgram {
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
  readonly build: Table;
  readonly hasRustflags: boolean;
}

interface Setting extends Pick<ConfigFile, 'base'>, Pick<NamedProgram, 'text' | 'source'> {}

/** The keys of `build` that name a program, with their variables, the strongest first. */
const PROGRAMS = {
  rustc: ['RUSTC', 'CARGO_BUILD_RUSTC'],
  'rustc-wrapper': ['RUSTC_WRAPPER', 'CARGO_BUILD_RUSTC_WRAPPER'],
  'rustc-workspace-wrapper': ['RUSTC_WORKSPACE_WRAPPER', 'CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER'],
} as const;
const RUSTFLAGS = /^(CARGO_(ENCODED|BUILD|TARGET_\w+)_)?RUSTFLAGS$/;

/** Reads the settings of a run in `root` with this environment; a broken file is left for cargo to refuse. */
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
    const { base, source, text } = setting;
    const offSwitch = key === 'rustc' ? undefined : offSwitchOf(PROGRAMS[key][0], source, env);
    return { program: text.includes('/') ? absolutePath(base, text) : text, text, source, offSwitch };
  };
  const [rustc, wrapper, workspaceWrapper] = [named('rustc'), named('rustc-wrapper'), named('rustc-workspace-wrapper')];
  const directory = find('target-dir', 'CARGO_BUILD_TARGET_DIR');
  const build = find('build-dir', 'CARGO_BUILD_BUILD_DIR');
  const target =
    textOf(env, 'CARGO_BUILD_TARGET') ?? files.find((file) => file.build.target !== undefined)?.build.target;
  return {
    targetDirectory: directory?.text ? absolutePath(directory.base, directory.text) : undefined,
    buildDirectory: build?.text ? absolutePath(build.base, build.text.replace('{workspace-root}', root)) : undefined,
    rustc: rustc?.program,
    wrapper: wrapper?.program,
    workspaceWrapper: workspaceWrapper?.program,
    programs: [rustc, wrapper, workspaceWrapper].filter((program) => program !== undefined),
    targets: [target].flat().filter((one) => typeof one === 'string'),
    profileVariables: Object.keys(env).filter((name) => name.startsWith('CARGO_PROFILE_DEV_')),
    hasRustflags: files.some((file) => file.hasRustflags) || Object.keys(env).some((name) => RUSTFLAGS.test(name)),
  };
}

/** Where binaries appear. @param named `CARGO_TARGET_DIR`, absolute */
export function targetDirectoryOf(root: string, named: string | undefined, settings: CargoSettings): string {
  return named ?? settings.targetDirectory ?? join(root, 'target');
}

/** What mise sets for its tasks wins over the variable of the shell that starts it. */
function offSwitchOf(variable: string, source: string, env: Environment): string {
  if (source !== variable || textOf(env, 'MISE_TASK_NAME') === undefined) return `${variable}=`;
  return `${variable}= (where mise sets it, ${variable} = "" in [env] of mise.local.toml)`;
}

function fromFiles(files: readonly ConfigFile[], key: string): Setting | undefined {
  const file = files.find(({ build }) => typeof build[key] === 'string');
  return file && { text: String(file.build[key]), base: file.base, source: `build.${key} in ${file.path}` };
}

/** Where cargo keeps what belongs to a user, absolute. */
function cargoHome(root: string, env: Environment): string {
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
  return paths.flatMap((path): ConfigFile[] => {
    let values: Table;
    try {
      values = parse(textIn(path) ?? '');
    } catch {
      // Cargo, which runs next, says better that it is not TOML.
      return [];
    }
    const build = isTable(values.build) ? values.build : {};
    const targets = isTable(values.target) ? Object.values(values.target) : [];
    const hasRustflags = [build, ...targets].some((table) => isTable(table) && table.rustflags !== undefined);
    return [{ base: dirname(dirname(path)), path, build, hasRustflags }];
  });
}

/** The environment that cargo finds its programs in: where it is rustup's, its home is on PATH for it, too. */
export function environmentInCargo(root: string, env: Environment): Environment {
  return { ...env, PATH: [env.PATH ?? '', join(cargoHome(root, env), 'bin')].join(delimiter) };
}

/**
 * Refuses programs that settings name and that are not there: every cargo run would fail, with a bare "No such file".
 * @throws usageError with their names, where they are set, and how to build without them
 */
export function refuseMissing(missing: readonly NamedProgram[]): void {
  const texts = missing.map(({ offSwitch, source, text }) => {
    const what = text.includes('/') ? 'not an executable program' : 'not on PATH';
    const remedy = offSwitch === undefined ? 'remove the setting' : `build without it: ${offSwitch}`;
    return `${source} is ${shown(text)}, which is ${what}; install it, correct the name, or ${remedy}`;
  });
  if (texts.length > 0) throw usageError(texts.join('; '));
}
