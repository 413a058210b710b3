// SPDX-License-Identifier: Apache-2.0

/**
 * What rustup has installed, read from its directories: asking it takes a tenth of what cargo takes to see that
 * nothing has changed. Only a certain yes is an answer; for everything else rustup itself is asked.
 *
 * The order in which rustup chooses a toolchain: https://rust-lang.github.io/rustup/overrides.html.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, textOf } from './cli/env.ts';
import { isTable } from './fs/json.ts';
import { ancestorsOf } from './fs/paths.ts';

/** A name of a channel, as toolchain directories begin with; a path of a toolchain is none. */
const CHANNEL = /^[\w.-]+$/;

/**
 * Whether the toolchain that counts in `root` certainly has the standard libraries of all the targets.
 *
 * @returns `false` also where that cannot be told
 */
export async function certainlyHasTargets(
  env: Environment,
  root: string,
  triples: readonly string[],
): Promise<boolean> {
  const home = rustupHome(env);
  if (home === undefined) return false;
  const channel = textOf(env, 'RUSTUP_TOOLCHAIN') ?? (await channelOf(home, root));
  if (channel === undefined || !CHANNEL.test(channel)) return false;
  const toolchains = join(home, 'toolchains');
  // `stable` is the directory `stable-<this machine>`; where several could be meant, all of them have to have it.
  const directories = namesIn(toolchains).filter((name) => name === channel || name.startsWith(`${channel}-`));
  return (
    directories.length > 0 &&
    directories.every((name) => triples.every((triple) => hasLibrary(toolchains, name, triple)))
  );
}

function rustupHome(env: Environment): string | undefined {
  const home = textOf(env, 'HOME');
  return textOf(env, 'RUSTUP_HOME') ?? (home === undefined ? undefined : join(home, '.rustup'));
}

/** What a file of the checkout names, else the default; `undefined` where directories have toolchains of their own. */
async function channelOf(home: string, root: string): Promise<string | undefined> {
  const settings = await readToml(join(home, 'settings.toml'));
  if (!isTable(settings) || (isTable(settings.overrides) && Object.keys(settings.overrides).length > 0))
    return undefined;
  const file = nearestFile(root);
  if (file === undefined) return textIn(settings, 'default_toolchain');
  // The file without an ending may also hold the bare name of a channel: that is left to rustup.
  const named = await readToml(file);
  return isTable(named) && isTable(named.toolchain) ? textIn(named.toolchain, 'channel') : undefined;
}

function nearestFile(root: string): string | undefined {
  const names = ['rust-toolchain', 'rust-toolchain.toml'];
  return ancestorsOf(root)
    .flatMap((directory) => names.map((name) => join(directory, name)))
    .find((path) => existsSync(path));
}

function hasLibrary(toolchains: string, name: string, triple: string): boolean {
  return namesIn(join(toolchains, name, 'lib/rustlib', triple, 'lib')).some((file) => /^libstd-.*\.rlib$/.test(file));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

async function readToml(path: string): Promise<unknown> {
  try {
    const text = readFileSync(path, 'utf8');
    const { parse } = await import('smol-toml');
    return parse(text);
  } catch {
    return undefined;
  }
}

function textIn(table: Record<string, unknown>, key: string): string | undefined {
  const value = table[key];
  return typeof value === 'string' ? value : undefined;
}
