// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import {
  httpEndpoint,
  isListening,
  parsePort,
  portOwner,
  reachableAddress,
  verifyPortFree,
} from '../../../lib/gateway/port.ts';
import { freePort } from '../../support/free-port.ts';
import { listen } from '../../support/listener.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';

describe('H20: ports', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['::1', '::1'],
    ['::', '::1'],
  ])('one that listens on %s is in the way of %s, and is named', async (taken, wanted) => {
    const port = await listen(taken);
    expect(await refusalFrom(() => verifyPortFree(wanted, port))).toMatch(
      new RegExp(
        `^2: \\S+:${port} is in use by \\S.* \\(pid ${process.pid}\\); stop it, or set OPENSHELL_SERVER_PORT$`,
      ),
    );
  });

  test('a free one is free, also right after it was tried', async () => {
    const port = await freePort();
    await verifyPortFree('127.0.0.1', port);
    await verifyPortFree('127.0.0.1', port);
  });

  test("launches that try one at once are not in each other's way", async () => {
    const port = await freePort();
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 4 }, () => verifyPortFree('127.0.0.1', port)));
    }
  });

  test('an address of another machine', async () => {
    expect(await refusalFrom(() => verifyPortFree('192.0.2.1', 18080))).toMatch(
      /^2: 192\.0\.2\.1:18080 cannot be listened on \(.*EADDRNOTAVAIL.*\); set OPENSHELL_SERVER_PORT or OPENSHELL_BIND_ADDRESS$/,
    );
  });
});

test('H20: who listens', async () => {
  const port = await listen('127.0.0.1');
  expect(portOwner(port)).toContain(`(pid ${process.pid})`);
  expect(isListening(process.pid, port)).toBe(true);
  expect(isListening(process.ppid, port)).toBe(false);
});

describe('H19: numbers of ports', () => {
  test.each(['1', '80', '18080', '65535'])('%s', (text) => expect(parsePort('P', text)).toBe(Number(text)));
  test.each(['', '0', '65536', '99999', 'abc', '-1', '1e3', '0x10', ' 80', '80 ', '1, "x": 2', '080000'])(
    'not %j',
    (text) =>
      expect(refusalOf(() => parsePort('OPENSHELL_SERVER_PORT', text))).toContain('at least 1 and at most 65535'),
  );
});

test.each([
  ['0.0.0.0', 'http://127.0.0.1:80'],
  ['::', 'http://[::1]:80'],
  ['0:0:0:0:0:0:0:0', 'http://[::1]:80'],
  ['::1', 'http://[::1]:80'],
  ['10.1.2.3', 'http://10.1.2.3:80'],
])('H23: what listens on %s is reached at %s', (bind, endpoint) => {
  expect(httpEndpoint(reachableAddress(bind), 80)).toBe(endpoint);
});
