// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { machOArches } from '../../../lib/vm/mach-o.ts';

const X86_64 = 0x01000007;
const ARM64 = 0x0100000c;

function thin(cpu: number, fileType = 2): Buffer {
  const head = Buffer.alloc(32);
  for (const [index, word] of [0xfeedfacf, cpu, 0, fileType].entries()) head.writeUInt32LE(word, index * 4);
  return head;
}

function universal(magic: number, size: number, cpus: readonly number[], count = cpus.length): Buffer {
  const head = Buffer.alloc(8 + size * cpus.length + 8);
  head.writeUInt32BE(magic, 0);
  head.writeUInt32BE(count, 4);
  for (const [index, cpu] of cpus.entries()) head.writeUInt32BE(cpu, 8 + index * size);
  return head;
}

test.each([
  ['arm64', thin(ARM64), ['arm64']],
  ['x86_64', thin(X86_64), ['amd64']],
  ['a library', thin(ARM64, 6), []],
  ['another processor', thin(18), []],
  ['universal', universal(0xcafebabe, 20, [X86_64, ARM64]), ['amd64', 'arm64']],
  ['cut off', universal(0xcafebabe, 20, [X86_64], 9).subarray(0, 30), ['amd64']],
  ["a class file of Java's", universal(0xcafebabe, 20, [X86_64], 61), []],
  ['ELF', Buffer.from('\u007fELF\u0002\u0001\u0001\0\0\0\0\0\0\0\0\0'), []],
  ['short', Buffer.from([0xcf, 0xfa]), []],
  ['empty', Buffer.alloc(0), []],
])('L13: the processors of a Mac’s executable: %s', (_, head, arches) => {
  expect(machOArches(head)).toEqual(arches);
});
