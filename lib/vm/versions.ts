// SPDX-License-Identifier: Apache-2.0

/** The versions of what the VM runtime is made of: those of the checkout's `pins.env`, read strictly and never run. */

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

/**
 * The versions of these names: from the environment, else pinned by the checkout, else the variable's default.
 * @throws usageError for a file that is missing or wrong, whatever the environment says, and for no, or a wrong version
 */
export function readVersions<N extends VersionName>(env: Environment, root: string, names: readonly N[]) {
  const path = join(root, PRODUCT.vmPins);
  const pins = readPins(path);
  const versionOf = (name: N) => {
    const { default: otherwise }: { readonly kind: 'text'; readonly default?: string } = VARIABLES[name];
    const named = textOf(env, name);
    const version = named ?? pins.get(name) ?? otherwise;
    if (version === undefined) throw usageError(`${path} has no ${name}; pin it there, or set ${name}`);
    if (isRef(version)) return version;
    throw notAllowed(named === undefined ? `${name} in ${path}` : name, version, 'are a tag, a branch and a commit');
  };
  return Object.fromEntries(names.map((name) => [name, versionOf(name)])) as Readonly<Record<N, string>>;
}

/** Whether a text is the name of a tag, a branch or a commit, and can be a part of a path. */
export function isRef(text: string): boolean {
  return text.split('/').every((part) => PART.test(part));
}

/** Every entry of the file, by its name. */
function readPins(path: string): ReadonlyMap<string, string> {
  const pins = new Map<string, string>();
  for (const [index, line] of textOfPins(path).split('\n').entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const [, name = '', value = ''] = ENTRY.exec(entry) ?? [];
    if (name !== '') pins.set(name, value);
    else {
      const allowed = `allowed are comments and NAME="\${NAME:-value}"`;
      throw usageError(`line ${index + 1} of ${path} is ${shown(entry)}; ${allowed}; fix it`);
    }
  }
  return pins;
}

function textOfPins(path: string): string {
  try {
    return contentOf(path).toString();
  } catch (cause) {
    throw usageError(`the versions of the VM runtime cannot be read; get the checkout's ${PRODUCT.vmPins} back`, {
      cause,
    });
  }
}
