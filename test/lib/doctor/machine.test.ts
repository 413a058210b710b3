// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { spaceFinding } from '../../../lib/doctor/machine.ts';
import { refusalOf } from '../../support/task-errors.ts';

test('AQ-14: a disk that is nearly full hinders every build', () => {
  expect(spaceFinding(20e9, '/t')).toBe('20.0 GB free for /t');
  expect(spaceFinding(5e9, '/t')).toEqual({ note: '5.0 GB free for /t, which a first build may use up' });
  expect(refusalOf(() => spaceFinding(0.2e9, '/t'))).toBe(
    '2: 0.2 GB free for /t; set CARGO_TARGET_DIR to a larger disk, or run: cargo clean',
  );
});
