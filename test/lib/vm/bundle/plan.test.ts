// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { dayOf } from '../../../../lib/vm/bundle/plan.ts';

test('a date for users', () => {
  expect(dayOf(new Date(2026, 0, 2, 3, 4))).toBe('2026-01-02 03:04');
});
