// SPDX-License-Identifier: Apache-2.0

/** `npm run record-upstream -- CHECKOUT`: records what OpenShell's own tasks are, once ours have caught up with them. */

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readUpstream } from '../lib/adopt/upstream.ts';
import { SUITE_ROOT } from './support/run-task.ts';

const [checkout] = process.argv.slice(2);
if (checkout === undefined) {
  console.error('error: no checkout; name one: npm run record-upstream -- ~/src/OpenShell');
  process.exit(2);
}
const { tasks, scripts } = readUpstream(resolve(process.env.INIT_CWD ?? '.', checkout));
const sorted = (table: object) => Object.fromEntries(Object.entries(table).sort(([a], [b]) => (a < b ? -1 : 1)));
const facts = { tasks: sorted(tasks), scripts: sorted(scripts) };
writeFileSync(join(SUITE_ROOT, 'pins/upstream-tasks.json'), `${JSON.stringify(facts, null, 2)}\n`);
