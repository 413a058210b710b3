// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { NOT_FOUND, plain, whyNotConnected } from '../../../lib/sandbox/execute.ts';

test.each(['connected', 'connected_http'])('a gateway that is %s is connected', (status) => {
  expect(whyNotConnected(JSON.stringify({ status }))).toBeUndefined();
});

test('AL-12: both ways in which the CLI says "not found", wherever it breaks the line, in colour too', () => {
  const isNotFound = (text: string) => NOT_FOUND.test(plain(text));
  expect(isNotFound('  × code: \'Some requested entity was not found\', message: "sandbox not found"')).toBe(true);
  expect(isNotFound("  × code: 'Some requested entity was\n  │ not found', message: x")).toBe(true);
  expect(isNotFound('  × status: NotFound, message: "sandbox not found", details: []')).toBe(true);
  expect(isNotFound("  × code: 'Some requested entity was\n \x1b[31m│\x1b[0m not found', message: x"), 'AL-12').toBe(
    true,
  );
  expect(isNotFound('sh: openshell: not found')).toBe(false);
  expect(isNotFound('status: Unavailable, message: "host not found"')).toBe(false);
});
