// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { hasInitRule } from '../../../../lib/vm/libkrun/plan.ts';

test.each([
  // libkrun 1.17.
  ['INIT_SRC = init/init.c\nINIT_BINARY = init/init\n$(INIT_BINARY): $(INIT_SRC)\n', true],
  ['init/init: init/init.c\n', true],
  // libkrun 1.18, whose init is a crate.
  ['INIT_BINARY_BSD = init/init-freebsd\n$(INIT_BINARY_BSD): init/Cargo.toml\n', false],
  ['init/init.c', false],
  ['', false],
])('a Makefile with a rule for init/init: %j is %j', (makefile, expected) => {
  expect(hasInitRule(makefile)).toBe(expected);
});
