// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { whyNoVm } from '../../../../lib/gateway/drivers/vm.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

test('AM-7: a device that is not there, or may not be opened, is said; only Linux has one', () => {
  expect(whyNoVm('linux', join(temporaryDirectory(), 'kvm'))).toMatch(
    /^no sandbox will start: \S+\/kvm: .*; load the module kvm, or join the group/,
  );
  expect(whyNoVm('linux', '/dev/null')).toBeUndefined();
  expect(whyNoVm('darwin', '/none/kvm')).toBeUndefined();
});
