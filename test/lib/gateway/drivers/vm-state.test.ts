// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { driverState, verifySocketPath } from '../../../../lib/gateway/drivers/vm-state.ts';
import { refusalOf } from '../../../support/task-errors.ts';

test('the path is the same after a restart, and carries user and gateway', () => {
  const source = 'OPENSHELL_VM_DRIVER_STATE_DIR';
  expect(driverState({ USER: 'me' }, '/start', 'vm-dev')).toEqual({
    source,
    directory: '/tmp/openshell-vm-driver-me-vm-dev',
  });
  expect(driverState({ OPENSHELL_VM_DRIVER_STATE_ROOT: 'r' }, '/start', 'v')).toEqual({
    source,
    directory: '/start/r/openshell-vm-driver-user-v',
  });
  expect(driverState({ OPENSHELL_VM_DRIVER_STATE_DIR: 'd' }, '/start', 'v')).toEqual({
    source,
    directory: '/start/d',
  });
});

test('the socket has to fit', () => {
  const state = (socketLength: number) => ({
    source: 'S',
    directory: `/${'x'.repeat(socketLength - '//run/compute-driver.sock'.length)}`,
  });
  verifySocketPath(state(107), 'linux');
  verifySocketPath(state(103), 'darwin');
  expect(refusalOf(() => verifySocketPath(state(108), 'linux'))).toContain('would have 108 bytes, and 107');
  expect(refusalOf(() => verifySocketPath(state(104), 'darwin'))).toContain('would have 104 bytes, and 103');
});
