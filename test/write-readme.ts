// SPDX-License-Identifier: Apache-2.0

/** `npm run readme`: writes the tables of environment variables into the README. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readmeWithTables } from './support/readme-tables.ts';
import { SUITE_ROOT } from './support/run-task.ts';

const path = join(SUITE_ROOT, 'README.md');
writeFileSync(path, await readmeWithTables(readFileSync(path, 'utf8')));
