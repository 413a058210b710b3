// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyDatabase } from '../../../lib/gateway/database.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test.each([
  ['nothing', 'none', undefined, undefined],
  ['a file', 'file', undefined, undefined],
  ['a directory', 'directory', 'not a file', 'not a file'],
  ['a link to a file', 'link', undefined, 'a link, which root does not follow'],
  ['a dangling link', 'dangling', 'a link to no file', 'a link, which root does not follow'],
  ['a link to a directory', 'to-directory', 'a link to no file', 'a link, which root does not follow'],
] as const)('F4: a database that is %s', (_, kind, ofUser, ofRoot) => {
  for (const name of ['gateway.db', 'gateway.db-wal', 'gateway.db-shm', 'gateway.db-journal']) {
    const stateDirectory = temporaryDirectory();
    const path = join(stateDirectory, name);
    const other = join(stateDirectory, 'other');
    mkdirSync(join(stateDirectory, 'directory'));
    writeFileSync(other, '');
    if (kind === 'file') writeFileSync(path, '');
    else if (kind === 'directory') mkdirSync(path);
    else if (kind !== 'none') symlinkSync({ link: other, dangling: 'gone', 'to-directory': 'directory' }[kind], path);
    for (const [isRoot, what] of [[false, ofUser] as const, [true, ofRoot] as const]) {
      const verify = () => verifyDatabase({ stateDirectory, stateSource: 'OPENSHELL_GATEWAY_STATE_DIR' }, isRoot);
      if (what === undefined) verify();
      else {
        expect(refusalOf(verify)).toBe(
          `2: the gateway's database '${path}' is ${what}; ` +
            'remove it, or set OPENSHELL_GATEWAY_STATE_DIR to another directory',
        );
      }
    }
  }
});
