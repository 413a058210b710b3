// SPDX-License-Identifier: Apache-2.0

/** Where cargo looks for its configuration (https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure). */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Environment, textOf } from './environment.ts';
import { absolutePath, ancestorsOf } from './paths.ts';

/** The files that count for a run in `root` and that are there, the nearest first. */
export function configFilePaths(root: string, env: Environment): string[] {
  const home = absolutePath(root, textOf(env, 'CARGO_HOME') ?? join(textOf(env, 'HOME') ?? '/', '.cargo'));
  const folders = ancestorsOf(resolve(root)).map((folder) => join(folder, '.cargo'));
  return [...new Set([...folders, home])].flatMap((folder) => {
    const path = [join(folder, 'config'), join(folder, 'config.toml')].find((candidate) => existsSync(candidate));
    return path === undefined ? [] : [path];
  });
}
