// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostRealm } from '../../../lib/keycloak/config.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test('the realm of a job is the same file on the host, which has to be there', () => {
  const host = temporaryDirectory();
  expect(refusalOf(() => hostRealm('/__w/x/realm.json', host))).toMatch(/^2: '.*\/x\/realm.json' does not exist; /);
  mkdirSync(join(host, 'x'));
  writeFileSync(join(host, 'x/realm.json'), '{}');
  expect(hostRealm('/__w/x/realm.json', host)).toBe(join(host, 'x/realm.json'));
  expect(refusalOf(() => hostRealm('/__work/x/realm.json', host))).toContain('is not below /__w/');
});
