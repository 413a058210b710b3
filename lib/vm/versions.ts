// SPDX-License-Identifier: Apache-2.0

/**
 * The versions of what the VM runtime is made of. They are those of the checkout's `pins.env`, which is read strictly
 * and never run: each entry is the value of the environment variable of its name, else the pinned one.
 */

import { join } from 'node:path';
import { type Environment, notAllowed, textOf } from '../cli/env.ts';
import { VARIABLES, type VersionName } from '../cli/variables.ts';
import { shown, usageError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { PRODUCT } from '../product.ts';

/** `NAME="${NAME:-value}"`, twice the same name; a value has nothing that a shell would read. */
const ENTRY = /^([A-Za-z_]\w*)="\$\{\1:-([\w.+/:@-]+)\}"$/;
/** A part of a tag, a branch or a commit: of each becomes a part of a path, and none may be taken for an option. */
const PART = /^\w[\w+-]*(?:\.[\w+-]+)*$/;

const ALLOWED = 'are a tag, a branch and a commit';

/**
 * The versions of these names: from the environment, else pinned by the checkout, else the variable's default. The file
 * is read whatever the environment says.
 * @throws usageError for a file that is missing or has a line that is not an entry, for a name that has no version, and
 *   for a version that is neither a tag, a branch nor a commit
 */
export function readVersions<N extends VersionName>(
  env: Environment,
  root: string,
  names: readonly N[],
): Readonly<Record<N, string>> {
  const path = join(root, PRODUCT.vmPins);
  const pins = readPins(path);
  return Object.fromEntries(names.map((name) => [name, versionOf(env, path, pins, name)])) as Record<N, string>;
}

/** Whether a text is the name of a tag, a branch or a commit, and can be a part of a path. */
export function isRef(text: string): boolean {
  return text.split('/').every((part) => PART.test(part));
}

/** Every entry of the file, by its name. */
function readPins(path: string): ReadonlyMap<string, string> {
  let text: string;
  try {
    text = contentOf(path).toString();
  } catch (cause) {
    const remedy = `get the checkout's ${PRODUCT.vmPins} back`;
    throw usageError(`the versions of the VM runtime cannot be read; ${remedy}`, { cause });
  }
  const pins = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [, name = '', value = ''] = ENTRY.exec(entry) ?? [];
    const where = `line ${index + 1} of ${path}`;
    if (name === '') {
      throw usageError(`${where} is ${shown(entry)}; allowed are comments and NAME="\${NAME:-value}"; fix it`);
    }
    if (pins.has(name)) throw usageError(`${where} pins ${name} once more; remove all but one`);
    pins.set(name, value);
  }
  return pins;
}

function versionOf(env: Environment, path: string, pins: ReadonlyMap<string, string>, name: VersionName): string {
  const variable: { readonly kind: 'text'; readonly default?: string } = VARIABLES[name];
  const named = textOf(env, name);
  const version = named ?? pins.get(name) ?? variable.default;
  if (version === undefined) throw usageError(`${path} has no ${name}; pin it there, or set ${name}`);
  if (isRef(version)) return version;
  if (named !== undefined) throw notAllowed(name, named, ALLOWED);
  throw usageError(`${name} in ${path} is ${shown(version)}; allowed ${ALLOWED}; fix it`);
}
