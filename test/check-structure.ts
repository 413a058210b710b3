// SPDX-License-Identifier: Apache-2.0

/**
 * `npm run check:structure`: the rules of how the suite is built that neither the compiler nor Biome knows.
 * Arguments are the names of the checks to run; without any, all are run.
 */

import { join } from 'node:path';
import { checkSpawns } from './support/spawn-check.ts';
import { checkFaults } from './support/structure/faults.ts';
import { checkFiles, checkMirror, checkTopOfLib } from './support/structure/files.ts';
import { checkFunctions } from './support/structure/functions.ts';
import { checkCircles, checkDeferred, checkRunnerImports } from './support/structure/imports.ts';
import { checkWords } from './support/structure/words.ts';

/** By name: what holds when it passes, and what finds the places where it does not. */
const CHECKS: Readonly<Record<string, readonly [holds: string, find: (root: string) => string[]]>> = {
  spawn: ['every program is started by lib/build-env.ts', checkSpawns],
  runner: ['every task that starts programs imports lib/build-env.ts', checkRunnerImports],
  circles: ['no imports go round in a circle', checkCircles],
  deferred: ['nothing is imported late but what may wait', checkDeferred],
  functions: ['no function is too long', checkFunctions],
  files: ['every file has its licence, and none of lib/ is too long', checkFiles],
  lib: ['few files are directly in lib/', checkTopOfLib],
  mirror: ['every test is where its source is', checkMirror],
  faults: ['every fault code has its legend', checkFaults],
  words: ['the words are those of the suite', checkWords],
};

const root = join(import.meta.dirname, '..');
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CHECKS);
for (const name of names) {
  const check = CHECKS[name];
  if (check === undefined) {
    console.error(`error: ${name} is not a check; allowed are ${Object.keys(CHECKS).join(', ')}`);
    process.exit(2);
  }
  const [holds, find] = check;
  const found = find(root);
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
  else console.log(`check:${name}: ${holds}`);
}
