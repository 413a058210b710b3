// SPDX-License-Identifier: Apache-2.0

/**
 * Records which declared variables a task reads: `node --import record-variables.ts tasks/X.ts …`. At its end the names
 * are in the file that `RECORD_VARIABLES_TO` names, one in a line.
 *
 * Only what is read by its name counts. An environment is also copied as a whole, for every program that is started: a
 * copy lists the names, and looks up the descriptor of each just before it reads it.
 */

import { writeFileSync } from 'node:fs';
import { VARIABLES } from '../../lib/cli/variables.ts';

const { RECORD_VARIABLES_TO: file, ...env } = process.env;
if (file === undefined) throw new Error('RECORD_VARIABLES_TO does not name a file');

const read = new Set<string>();
/** The names of a list whose descriptors have not been looked up yet. */
let listed = new Set<string | symbol>();
/** The name of a list whose descriptor was looked up last. */
let copied: string | symbol | undefined;

process.env = new Proxy(env, {
  ownKeys(target) {
    listed = new Set(Reflect.ownKeys(target));
    return [...listed];
  },
  getOwnPropertyDescriptor(target, name) {
    copied = listed.delete(name) ? name : undefined;
    return Reflect.getOwnPropertyDescriptor(target, name);
  },
  get(target, name) {
    if (name !== copied && typeof name === 'string' && Object.hasOwn(VARIABLES, name)) read.add(name);
    copied = undefined;
    return Reflect.get(target, name);
  },
});

process.on('exit', () => writeFileSync(file, [...read].map((name) => `${name}\n`).join('')));
