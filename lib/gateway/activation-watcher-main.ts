// SPDX-License-Identifier: Apache-2.0

/** The watcher as a program: `node activation-watcher-main.ts WATCHED`, started before the exec. */

import { describeError } from '../errors.ts';
import { type Watched, watch } from './activation-watcher.ts';

const say = (text: string) => process.stderr.write(`${text}\n`);
// The terminal may be closed by now.
process.stderr.on('error', () => undefined);
try {
  await watch(JSON.parse(process.argv[2] ?? '') as Watched, say);
} catch (error) {
  say(`warning: the gateway could not be made the active one: ${describeError(error)}`);
  process.exitCode = 1;
}
