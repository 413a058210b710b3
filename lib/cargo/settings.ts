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

export type CargoSettings = Awaited<ReturnType<typeof readCargoSettings>>;

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

/** The keys of `build` that name a program, with their variables, the strongest first. */
const PROGRAMS = {
  rustc: ['RUSTC', 'CARGO_BUILD_RUSTC'],
  'rustc-wrapper': ['RUSTC_WRAPPER', 'CARGO_BUILD_RUSTC_WRAPPER'],
  'rustc-workspace-wrapper': ['RUSTC_WORKSPACE_WRAPPER', 'CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER'],
} as const;
const RUSTFLAGS = /^(CARGO_(ENCODED|BUILD|TARGET_\w+)_)?RUSTFLAGS$/;

/** Reads the settings of a run in `root` with this environment; a broken file is left for cargo to refuse. */
export async function readCargoSettings(root: string, env: Environment) {
  const files = await readConfigFiles(root, env);
  const find = (key: string, ...variables: readonly string[]) => {
    const variable = variables.find((name) => env[name] !== undefined);
    if (variable !== undefined) return { text: env[variable] ?? '', base: root, source: variable };
    const file = files.find(({ build }) => typeof build[key] === 'string');
    // Relative paths of a file are relative to the directory that has `.cargo` in it.
    const base = dirname(dirname(file?.path ?? ''));
    return file && { text: String(file.build[key]), base, source: `build.${key} in ${file.path}` };
  };
  const named = (key: keyof typeof PROGRAMS): NamedProgram | undefined => {
    const setting = find(key, ...PROGRAMS[key]);
    // Empty, unlike absent, also overrides what follows.
    if (setting === undefined || (setting.text === '' && key !== 'rustc')) return undefined;
    const { base, source, text } = setting;
    const offSwitch = key === 'rustc' ? undefined : `${PROGRAMS[key][0]}=`;
    return { program: text.includes('/') ? absolutePath(base, text) : text, text, source, offSwitch };
  };
  const [rustc, wrapper, workspaceWrapper] = [named('rustc'), named('rustc-wrapper'), named('rustc-workspace-wrapper')];
  const directory = find('target-dir', 'CARGO_BUILD_TARGET_DIR');
  const build = find('build-dir', 'CARGO_BUILD_BUILD_DIR');
  return {
    /** Where binaries appear, absolute, unless `CARGO_TARGET_DIR` names another place; `undefined` for the default. */
    targetDirectory: directory?.text ? absolutePath(directory.base, directory.text) : undefined,
    /** Where everything else appears (`build.build-dir`), absolute; `undefined` for the same place. */
    buildDirectory: build?.text ? absolutePath(build.base, build.text.replace('{workspace-root}', root)) : undefined,
    rustc: rustc?.program,
    /** What every crate, and what the workspace's own crates compile through: a path, or a name for PATH. */
    wrapper: wrapper?.program,
    workspaceWrapper: workspaceWrapper?.program,
    programs: [rustc, wrapper, workspaceWrapper].filter((program) => program !== undefined),
    /** The variables of the dev profile that are set: `CARGO_PROFILE_DEV_DEBUG`. */
    profileVariables: Object.keys(env).filter((name) => name.startsWith('CARGO_PROFILE_DEV_')),
    /** Whether flags for rustc are set anywhere: where a variable `RUSTFLAGS` is given, cargo drops those of other places. */
    hasRustflags: files.some((file) => file.hasRustflags) || Object.keys(env).some((name) => RUSTFLAGS.test(name)),
  };
}

/** Where binaries appear. @param named `CARGO_TARGET_DIR`, absolute */
export function targetDirectoryOf(root: string, named: string | undefined, settings: CargoSettings): string {
  return named ?? settings.targetDirectory ?? join(root, 'target');
}

/** Where cargo keeps what belongs to a user, absolute. */
function cargoHome(root: string, env: Environment): string {
  return absolutePath(root, textOf(env, 'CARGO_HOME') ?? join(textOf(env, 'HOME') ?? '/', '.cargo'));
}

/** The files that count for a run in `root`, the nearest first. */
async function readConfigFiles(root: string, env: Environment) {
  const directories = ancestorsOf(resolve(root)).map((directory) => join(directory, '.cargo'));
  const paths = [...new Set([...directories, cargoHome(root, env)])].flatMap(
    (directory) => ['config', 'config.toml'].map((name) => join(directory, name)).find(existsSync) ?? [],
  );
  if (paths.length === 0) return [];
  const { parse } = await import('smol-toml');
  return paths.map((path) => {
    let values: Record<string, unknown> = {};
    try {
      values = parse(textIn(path) ?? '');
    } catch {
      // Cargo, which runs next, says better that it is not TOML.
    }
    const build = isTable(values.build) ? values.build : {};
    const targets = isTable(values.target) ? Object.values(values.target) : [];
    const hasRustflags = [build, ...targets].some((table) => isTable(table) && table.rustflags !== undefined);
    return { path, build, hasRustflags };
  });
}

/** The environment that cargo finds its programs in: where it is rustup's, its home is on PATH for it, too. */
export function environmentInCargo(root: string, env: Environment): Environment {
  return { ...env, PATH: [env.PATH ?? '', join(cargoHome(root, env), 'bin')].join(delimiter) };
}

/** Refuses programs that settings name and that are not there: cargo would fail with a bare "No such file". */
export function refuseMissing(missing: readonly NamedProgram[]): void {
  const texts = missing.map(({ offSwitch, source, text }) => {
    const off = `build without it (where mise sets it, in [env] of mise.local.toml): ${offSwitch}`;
    const remedy = offSwitch === undefined ? 'remove the setting' : off;
    return `${source} is ${shown(text)}, which is not an executable program; install it, correct the name, or ${remedy}`;
  });
  if (texts.length > 0) throw usageError(texts.join('; '));
}
