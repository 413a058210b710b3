// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyDriver } from '../../../../lib/gateway/drivers/vm-driver-source.ts';
import { refusalOf } from '../../../support/task-errors.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

test('L13: on a Mac the driver is a Mach-O file for its processor', () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'openshell-driver-vm');
  const head = Buffer.alloc(32);
  for (const [index, word] of [0xfeedfacf, 0x0100000c, 0, 2].entries()) head.writeUInt32LE(word, index * 4);
  writeFileSync(path, head, { mode: 0o755 });
  verifyDriver(directory, path, { platform: 'darwin', arch: 'arm64' });
  expect(refusalOf(() => verifyDriver(directory, path, { platform: 'darwin', arch: 'amd64' }))).toContain(
    `${path} is no program for macOS on amd64; set it to another directory`,
  );
  writeFileSync(path, '\u007fELF');
  expect(refusalOf(() => verifyDriver(directory, path, { platform: 'darwin', arch: 'arm64' }))).toContain(
    `${path} is no program for macOS on arm64`,
  );
});
