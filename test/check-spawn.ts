// SPDX-License-Identifier: Apache-2.0

/** `npm run check:door`: fails on any way to start a program but the door. */

import { join } from 'node:path';
import { checkDoor } from './support/spawn-check.ts';

const found = checkDoor(join(import.meta.dirname, '..'));
for (const line of found) console.error(line);
if (found.length > 0) process.exitCode = 1;
else console.log('check:door: every program is started by lib/build-env.ts');
