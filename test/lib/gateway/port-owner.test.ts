// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { isListening, portOwner } from '../../../lib/gateway/port-owner.ts';
import { listen } from '../../support/listener.ts';

test('H20: who listens', async () => {
  const port = await listen('127.0.0.1');
  expect(portOwner(port)).toContain(`(pid ${process.pid})`);
  expect(isListening(process.pid, port)).toBe(true);
  expect(isListening(process.ppid, port)).toBe(false);
  expect(portOwner(port, '/nowhere')).toBeUndefined();
  expect(isListening(process.pid, port, '/nowhere')).toBeUndefined();
});
