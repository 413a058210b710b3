// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { abiVersion, kernelName } from '../../../../lib/vm/libkrun/kernel.ts';
import { refusalOf } from '../../../support/task-errors.ts';

describe("BLD-5: the kernel's name", () => {
  test.each([
    'KERNEL_VERSION = linux-6.12.76',
    'KERNEL_VERSION=linux-6.12.76  ',
    'x\nKERNEL_VERSION\t:= linux-6.12.76\ny',
  ])('%j', (text) => expect(kernelName(text)).toBe('linux-6.12.76'));

  test.each([
    '',
    'KERNEL_VERSION =',
    'KERNEL_VERSION = $(X)',
    'KERNEL_VERSION = ../x',
    'KERNEL_VERSION = linux-6.1/../x',
    '#KERNEL_VERSION = linux-6.1',
  ])('%j is an error', (text) =>
    expect(refusalOf(() => kernelName(text))).toMatch(/^1: the Makefile of libkrunfw has no line such as /),
  );
});

test.each([
  ['ABI_VERSION = 5\n', undefined, '5'],
  ['ABI_VERSION=5', '4', '5'],
  ['ABI_VERSION ?= 6 ', undefined, '6'],
  ['', '7\n', '7'],
  ['ABI_VERSION = $(shell x)', '7', '7'],
])('MAC-3: the ABI version of %j and a file with %j is %s', (makefile, file, expected) => {
  expect(abiVersion(makefile, file)).toBe(expected);
});

test.each([undefined, '', 'x', '5.1', '-5'])('MAC-3: no number: an error (%j)', (file) => {
  expect(refusalOf(() => abiVersion('', file))).toMatch(/^1: neither the Makefile of libkrunfw nor a file ABI_VERSION/);
});
