// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { driverState, verifyDriver, verifySocketPath, whyNoVm } from '../../../../lib/gateway/drivers/vm.ts';
import { refusalOf } from '../../../support/task-errors.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

test('AM-7: a device that is not there, or may not be opened, is said; only Linux has one', () => {
  expect(whyNoVm('linux', join(temporaryDirectory(), 'kvm'))).toMatch(
    /^no sandbox will start: \S+\/kvm: .*; load the module kvm, or join the group/,
  );
  expect(whyNoVm('linux', '/dev/null')).toBeUndefined();
  expect(whyNoVm('darwin', '/none/kvm')).toBeUndefined();
});

test('the path is the same after a restart, and carries user and gateway', () => {
  expect(driverState({ USER: 'me' }, '/start', 'vm-dev')).toBe('/tmp/openshell-vm-driver-me-vm-dev');
  expect(driverState({ OPENSHELL_VM_DRIVER_STATE_ROOT: 'r' }, '/start', 'v')).toBe(
    '/start/r/openshell-vm-driver-user-v',
  );
  expect(driverState({ OPENSHELL_VM_DRIVER_STATE_DIR: 'd' }, '/start', 'v')).toBe('/start/d');
});

test('the socket has to fit', () => {
  const directory = (socketLength: number) => `/${'x'.repeat(socketLength - '//run/compute-driver.sock'.length)}`;
  verifySocketPath(directory(107), 'linux');
  verifySocketPath(directory(103), 'darwin');
  expect(refusalOf(() => verifySocketPath(directory(108), 'linux'))).toMatch(
    /^2: OPENSHELL_VM_DRIVER_STATE_DIR is .* would have 108 bytes, and 107/,
  );
  expect(refusalOf(() => verifySocketPath(directory(104), 'darwin'))).toContain('would have 104 bytes, and 103');
});

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
