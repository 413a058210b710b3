// SPDX-License-Identifier: Apache-2.0

/** `npm run check:spawn`: fails on any way to start a program but the runner. */

import { join } from 'node:path';
import { checkSpawns } from './support/spawn-check.ts';

const found = checkSpawns(join(import.meta.dirname, '..'));
for (const line of found) console.error(line);
if (found.length > 0) process.exitCode = 1;
else console.log('check:spawn: every program is started by lib/build-env.ts');
