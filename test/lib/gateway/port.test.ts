// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { verifyPortFree } from '../../../lib/gateway/port.ts';
import { freePort } from '../../support/free-port.ts';
import { listen } from '../../support/listener.ts';
import { refusalFrom } from '../../support/task-errors.ts';

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
    expect(await refusalFrom(() => verifyPortFree('192.0.2.1', 18080))).toContain('is not an address of this machine');
  });
});
