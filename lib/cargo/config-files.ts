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
  /** Whether the place of everything else (`build.build-dir`) is set. */
  readonly hasBuildDirectory: boolean;
  /** What every crate, and what the workspace's own crates compile through: a path, or a name for PATH. */
  readonly wrapper: string | undefined;
  readonly workspaceWrapper: string | undefined;
  /** The targets to build for; empty for this machine's. */
  readonly targets: readonly string[];
}

type Table = Readonly<Record<string, unknown>>;

interface ConfigFile {
  /** What relative paths are relative to: the directory that has `.cargo` in it. */
  readonly base: string;
  /** Its table `build`. */
  readonly build: Table;
}

/** A setting, and what a relative path in it is relative to. */
interface Setting extends Pick<ConfigFile, 'base'> {
  readonly text: string;
}

/**
 * Reads the settings of a run in `root`; a broken file is left for cargo to refuse.
 * @param env the environment that cargo gets
 */
export async function readCargoSettings(root: string, env: Environment): Promise<CargoSettings> {
  const files = await readConfigFiles(root, env);
  const find = (key: string, ...variables: readonly string[]): Setting | undefined => {
    const variable = variables.find((name) => env[name] !== undefined);
    const found = variable === undefined ? fromFiles(files, key) : { text: env[variable] ?? '', base: root };
    // Empty, unlike absent, also overrides what follows.
    return found?.text === '' ? undefined : found;
  };
  const directory = find('target-dir', 'CARGO_BUILD_TARGET_DIR');
  const target = textOf(env, 'CARGO_BUILD_TARGET');
  return {
    targetDirectory: directory && absolutePath(directory.base, directory.text),
    hasBuildDirectory: find('build-dir', 'CARGO_BUILD_BUILD_DIR') !== undefined,
    wrapper: programOf(find('rustc-wrapper', 'RUSTC_WRAPPER', 'CARGO_BUILD_RUSTC_WRAPPER')),
    workspaceWrapper: programOf(
      find('rustc-workspace-wrapper', 'RUSTC_WORKSPACE_WRAPPER', 'CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER'),
    ),
    targets: target === undefined ? targetsIn(files) : [target],
  };
}

/** The first file in which the key is a text. */
function fromFiles(files: readonly ConfigFile[], key: string): Setting | undefined {
  const file = files.find(({ build }) => typeof build[key] === 'string');
  return file && { text: String(file.build[key]), base: file.base };
}

function targetsIn(files: readonly ConfigFile[]): string[] {
  const listed = files.find(({ build }) => build.target !== undefined)?.build.target;
  return [listed].flat().filter((target) => typeof target === 'string');
}

/** A bare name is looked up on PATH, anything with a slash is a path. */
function programOf(setting: Setting | undefined): string | undefined {
  return setting?.text.includes('/') ? absolutePath(setting.base, setting.text) : setting?.text;
}

/** The files that count for a run in `root`, the nearest first. */
async function readConfigFiles(root: string, env: Environment): Promise<ConfigFile[]> {
  const home = absolutePath(root, textOf(env, 'CARGO_HOME') ?? join(textOf(env, 'HOME') ?? '/', '.cargo'));
  const directories = ancestorsOf(resolve(root)).map((directory) => join(directory, '.cargo'));
  const paths = [...new Set([...directories, home])].flatMap(
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
  const own = { base: dirname(dirname(path)), build: isTable(values.build) ? values.build : {} };
  return [own, ...includes.toReversed().flatMap((include) => readWithIncludes(include, seen, parse))];
}
