// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { driverState, verifySocketPath, whyNoVm } from '../../../../lib/gateway/drivers/vm.ts';
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
