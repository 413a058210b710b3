// SPDX-License-Identifier: Apache-2.0

/**
 * What a user has set for cargo, where it decides how the tasks build. Cargo has no stable way to print it, so its
 * files are read by its documented rules (https://doc.rust-lang.org/cargo/reference/config.html): a variable wins, then
 * the nearest file.
 */

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { isTable } from '../fs/json.ts';
import { absolutePath, ancestorsOf } from '../fs/paths.ts';

export interface CargoSettings {
  /**
   * Where binaries appear, absolute, unless `CARGO_TARGET_DIR` says something else; `undefined` for cargo's default.
   */
  readonly targetDirectory: string | undefined;
  /** Whether the place of everything else (`build.build-dir`) is set. */
  readonly hasBuildDirectory: boolean;
  /** What every crate, and what the workspace's own crates compile through: a path, or a name for PATH. */
  readonly wrapper: string | undefined;
  readonly workspaceWrapper: string | undefined;
  /** The targets to build for; empty for this machine's. */
  readonly targets: readonly string[];
  /** The linkers that are named, by target. */
  readonly linkers: Readonly<Record<string, string>>;
}

/** A configuration file of cargo, parsed. */
interface ConfigFile {
  readonly path: string;
  readonly values: Table;
}

type Table = Readonly<Record<string, unknown>>;

/** A setting, and the directory that a relative path in it is relative to. */
interface Found<T> {
  readonly value: T;
  readonly base: string;
}

/**
 * Decides the settings.
 * @param files the nearest first
 * @param root the directory that cargo runs in
 */
function cargoSettings(files: readonly ConfigFile[], env: Environment, root: string): CargoSettings {
  const text = (key: string, ...variables: readonly string[]): Found<string> | undefined => {
    const variable = variables.find((name) => env[name] !== undefined);
    // Empty, unlike absent, also overrides the files.
    if (variable !== undefined) return { value: env[variable] ?? '', base: root };
    return find(files, ['build', key], (value) => (typeof value === 'string' ? value : undefined));
  };
  const directory = text('target-dir', 'CARGO_BUILD_TARGET_DIR');
  return {
    targetDirectory: directory === undefined || directory.value === '' ? undefined : pathOf(directory),
    hasBuildDirectory: (text('build-dir', 'CARGO_BUILD_BUILD_DIR')?.value ?? '') !== '',
    wrapper: programOf(text('rustc-wrapper', 'RUSTC_WRAPPER', 'CARGO_BUILD_RUSTC_WRAPPER')),
    workspaceWrapper: programOf(
      text('rustc-workspace-wrapper', 'RUSTC_WORKSPACE_WRAPPER', 'CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER'),
    ),
    targets: targetsOf(files, env),
    linkers: linkersOf(files, env, root),
  };
}

/**
 * Reads the settings of a run in `root`; a broken file is left for cargo to refuse.
 * @param env the environment that cargo gets
 */
export async function readCargoSettings(root: string, env: Environment): Promise<CargoSettings> {
  const paths = configFilePaths(root, env);
  if (paths.length === 0) return cargoSettings([], env, root);
  const { parse } = await import('smol-toml');
  return cargoSettings(
    paths.flatMap((path) => readWithIncludes(path, new Set(), parse)),
    env,
    root,
  );
}

/** A file, then those that it includes, the last one first: that is who wins. */
function readWithIncludes(path: string, seen: Set<string>, parse: (text: string) => Table): ConfigFile[] {
  if (seen.has(path)) return [];
  seen.add(path);
  let values: Table;
  try {
    values = parse(readFileSync(path, 'utf8'));
  } catch {
    // Not there, not readable or no TOML: cargo, which runs next, says so in its own words.
    return [];
  }
  const includes = [values.include ?? []].flat().flatMap((entry) => {
    const named = typeof entry === 'string' ? entry : (entry as Table | undefined)?.path;
    return typeof named === 'string' ? [resolve(dirname(path), named)] : [];
  });
  return [{ path, values }, ...includes.toReversed().flatMap((include) => readWithIncludes(include, seen, parse))];
}

/** The first file that has the key with a fitting value. */
function find<T>(
  files: readonly ConfigFile[],
  keys: readonly string[],
  accept: (value: unknown) => T | undefined,
): Found<T> | undefined {
  for (const { path, values } of files) {
    let at: unknown = values;
    for (const key of keys) at = isTable(at) ? at[key] : undefined;
    const value = accept(at);
    // Relative to the directory that `.cargo` stands in.
    if (value !== undefined) return { value, base: dirname(dirname(path)) };
  }
  return undefined;
}

function pathOf({ value, base }: Found<string>): string {
  return absolutePath(base, value);
}

/** A program: a bare name is looked up on PATH, anything with a slash is a path. */
function programOf(found: Found<string> | undefined): string | undefined {
  if (found === undefined || found.value === '') return undefined;
  return found.value.includes('/') ? pathOf(found) : found.value;
}

function targetsOf(files: readonly ConfigFile[], env: Environment): readonly string[] {
  const named = textOf(env, 'CARGO_BUILD_TARGET');
  if (named !== undefined) return [named];
  const listed = find(files, ['build', 'target'], (value) => (value === undefined ? undefined : [value].flat()));
  return (listed?.value ?? []).filter((target): target is string => typeof target === 'string');
}

function linkersOf(files: readonly ConfigFile[], env: Environment, root: string): Record<string, string> {
  const triples = files.flatMap(({ values }) => (isTable(values.target) ? Object.keys(values.target) : []));
  const fromFiles = triples.flatMap((triple) => {
    const accept = (value: unknown) => (typeof value === 'string' ? value : undefined);
    const linker = programOf(find(files, ['target', triple, 'linker'], accept));
    return linker === undefined ? [] : [[variableOf(triple), linker] as const];
  });
  const fromEnv = Object.keys(env).flatMap((name) => {
    const value = /^CARGO_TARGET_\w+_LINKER$/.test(name) ? textOf(env, name) : undefined;
    return value === undefined ? [] : [[name, programOf({ value, base: root }) ?? value] as const];
  });
  return Object.fromEntries([...fromFiles, ...fromEnv]);
}

/** The variable that names the linker of a target. */
function variableOf(triple: string): string {
  return `CARGO_TARGET_${triple.toUpperCase().replaceAll(/[-.]/g, '_')}_LINKER`;
}

/** The linker that is set for a target; `undefined` for the compiler's default. */
export function linkerOf(settings: CargoSettings, triple: string): string | undefined {
  return settings.linkers[variableOf(triple)];
}

/** The files that count for a run in `root` and that are there, the nearest first. */
function configFilePaths(root: string, env: Environment): string[] {
  const home = absolutePath(root, textOf(env, 'CARGO_HOME') ?? join(textOf(env, 'HOME') ?? '/', '.cargo'));
  const directories = ancestorsOf(resolve(root)).map((directory) => join(directory, '.cargo'));
  return [...new Set([...directories, home])].flatMap((directory) => {
    const path = [join(directory, 'config'), join(directory, 'config.toml')].find((candidate) => existsSync(candidate));
    return path === undefined ? [] : [path];
  });
}
