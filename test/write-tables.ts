// SPDX-License-Identifier: Apache-2.0

/** `npm run tables`: writes the tables of environment variables into their page. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TABLES_PAGE, withTables } from './support/readme-tables.ts';
import { SUITE_ROOT } from './support/run-task.ts';

const path = join(SUITE_ROOT, TABLES_PAGE);
const before = readFileSync(path, 'utf8');
const after = await withTables(before);
writeFileSync(path, after);
process.stdout.write(`${TABLES_PAGE}: ${after === before ? 'unchanged' : 'written'}\n`);
