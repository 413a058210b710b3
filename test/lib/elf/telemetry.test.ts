// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { inspectTelemetry } from '../../../lib/elf/telemetry.ts';
import { TELEMETRY } from '../../../lib/product.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { machO } from '../../support/runtime-parts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const [ENDPOINT, CLIENT] = TELEMETRY.markers;
const ELF = buildElf({}).bytes;
const MIB = 1024 * 1024;

function file(...parts: readonly (string | Uint8Array)[]): string {
  const path = join(temporaryDirectory(), 'binary');
  writeFileSync(path, Buffer.concat(parts.map((part) => Buffer.from(part))));
  return path;
}

const reasonsOf = (path: string, wanted: 'present' | 'absent') => {
  const verdict = inspectTelemetry(path, wanted);
  return verdict.ok ? [] : verdict.reasons;
};

describe('each marker is judged', () => {
  test('both, between other bytes', () => {
    const path = file(ELF, `\0https://${ENDPOINT}/v1`, CLIENT, CLIENT, '\xff');
    expect(inspectTelemetry(path, 'present')).toEqual({
      ok: true,
      facts: `the telemetry marker '${ENDPOINT}' 1 times, the telemetry marker '${CLIENT}' 2 times`,
    });
    expect(reasonsOf(path, 'absent')).toEqual([
      `${path}: has the telemetry marker '${ENDPOINT}' 1 times, wanted none; build with --no-default-features`,
      `${path}: has the telemetry marker '${CLIENT}' 2 times, wanted none; build with --no-default-features`,
    ]);
  });

  test('one of the two fails either way, and is the one that is named', () => {
    const path = file(ELF, CLIENT);
    expect(reasonsOf(path, 'absent')).toEqual([expect.stringContaining(`'${CLIENT}' 1 times, wanted none`)]);
    expect(reasonsOf(path, 'present')).toEqual([expect.stringContaining(`'${ENDPOINT}' 0 times, wanted it`)]);
  });

  test('neither, and what is nearly one', () => {
    const path = file(ELF, ENDPOINT.slice(0, -1), '\0m', CLIENT.slice(1), ENDPOINT.toUpperCase());
    expect(inspectTelemetry(path, 'absent').ok).toBe(true);
    expect(reasonsOf(path, 'present')).toHaveLength(2);
  });

  test('SHL-3: every occurrence counts, wherever it is: also where two reads meet', () => {
    for (const shift of [-1, 0, 1, ENDPOINT.length - 1, ENDPOINT.length, ENDPOINT.length + 1]) {
      const padding = Buffer.alloc(4 * MIB - ELF.length - shift);
      const path = file(ELF, padding, ENDPOINT, ENDPOINT, Buffer.alloc(4 * MIB - 20), ENDPOINT, CLIENT);
      expect(inspectTelemetry(path, 'present'), `${shift}`).toMatchObject({
        facts: `the telemetry marker '${ENDPOINT}' 3 times, the telemetry marker '${CLIENT}' 1 times`,
      });
    }
  });

  test('a program for macOS has no ELF sections, and is searched all the same', () => {
    for (const arch of ['amd64', 'arm64'] as const) {
      const program = (text: string) => machO(arch, false, Buffer.from(text));
      expect(inspectTelemetry(file(program('x')), 'absent').ok).toBe(true);
      expect(inspectTelemetry(file(program(`${ENDPOINT}${CLIENT}`)), 'present').ok).toBe(true);
    }
  });
});

describe('what is not a whole program proves nothing', () => {
  test.each([
    ['L14: an empty file', '', /is not an ELF file: it is empty/],
    ['a text', '#!/bin/sh\n', /is not an ELF file: it is a script/],
    ['three bytes', 'abc', /is not an ELF file/],
    ['AR-4: the mark of a program for macOS', Buffer.from('cffaedfe', 'hex'), /is not a whole program for macOS/],
    ["AR-4: Java's class", Buffer.from(`cafebabe${'0'.repeat(40)}`, 'hex'), /is not a whole program for macOS/],
    ['a program that was cut', ELF.subarray(0, ELF.length - 1), /wanted a complete ELF file/],
    ['an object file', buildElf({ type: 1 }).bytes, /a relocatable object/],
  ])('%s', (_, content, reason) => {
    for (const wanted of ['present', 'absent'] as const) {
      const path = file(content);
      expect(reasonsOf(path, wanted)).toEqual([expect.stringMatching(reason)]);
      expect(reasonsOf(path, wanted)[0]?.startsWith(`${path}: `)).toBe(true);
    }
  });

  test('what is not there, or no file', () => {
    const directory = join(temporaryDirectory(), 'directory');
    mkdirSync(directory);
    expect(reasonsOf(join(directory, 'x'), 'absent')).toEqual([expect.stringContaining('no such file')]);
    expect(reasonsOf(directory, 'absent')).toEqual([expect.stringContaining('is a directory, wanted a regular file')]);
  });
});
