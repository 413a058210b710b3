// SPDX-License-Identifier: Apache-2.0

/** The smallest whole libraries and programs that a VM runtime can have, each with a text at its end. */

import { PLATFORMS, type VmPlatform } from '../../lib/vm/runtime-files.ts';
import { buildElf } from './elf-builder.ts';

const MACHINES = { amd64: 62, arm64: 183 } as const;
const CPUS = { amd64: 0x01000007, arm64: 0x0100000c } as const;

/** A Mach-O file with one segment, which is all of it. */
export function machO(arch: 'amd64' | 'arm64', isLibrary: boolean, text: Buffer): Buffer {
  const head = Buffer.alloc(104);
  const words = [0xfeedfacf, CPUS[arch], 0, isLibrary ? 6 : 2, 1, 72, 0, 0, 0x19, 72];
  for (const [index, word] of words.entries()) head.writeUInt32LE(word, index * 4);
  head.writeBigUInt64LE(BigInt(head.length + text.length), 80);
  return Buffer.concat([head, text]);
}

/** What a platform has by this name, uncompressed. */
export function runtimePart(platform: VmPlatform, name: string, text: string | Buffer = ''): Buffer {
  const { arch, os } = PLATFORMS[platform];
  const isLibrary = name.startsWith('libkrun');
  const end = typeof text === 'string' ? Buffer.from(text) : text;
  if (os === 'darwin' && name !== 'umoci') return machO(arch, isLibrary, end);
  const elf = isLibrary ? { type: 3, dynamic: true } : {};
  return Buffer.concat([buildElf({ machine: MACHINES[arch], ...elf }).bytes, end]);
}

/** The text at the end of a part, as far as it is a text of words. */
export function textOfPart(part: Buffer): string {
  return /[\w ./:-]*$/.exec(part.toString('latin1'))?.[0] ?? '';
}
