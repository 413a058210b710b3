// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { machineName } from '../../../lib/elf/format.ts';

test.each([
  [62, 'x86-64'],
  [183, 'aarch64'],
  [3, 'i386'],
  [40, 'arm'],
  [243, 'riscv64'],
  [22, 's390x'],
  [21, 'ppc64'],
  [4660, 'machine 4660'],
])('machine %i is %s', (machine, name) => {
  expect(machineName(machine)).toBe(name);
});
