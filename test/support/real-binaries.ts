// SPDX-License-Identifier: Apache-2.0

/** Real ELF binaries for tests: built by the machine's own C compiler, as far as it can, and readelf's view of them. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfFile } from '../../lib/elf/read.ts';

/** What is built, each with the flags of the compiler. */
const KINDS = {
  static: ['-static'],
  'static-pie': ['-static-pie'],
  'dynamic-pie': ['-pie', '-fPIE'],
  'dynamic-exec': ['-no-pie'],
  'shared-library': ['-shared', '-fPIC'],
  relocatable: ['-c'],
  'packed-relocations': ['-pie', '-fPIE', '-Wl,-z,pack-relative-relocs'],
} as const;

export type RealKind = keyof typeof KINDS;

/** Builds every kind that can be built here. @returns the paths; a kind without one could not be built */
export function buildRealBinaries(directory: string): Map<RealKind, string> {
  const source = join(directory, 'hello.c');
  writeFileSync(source, '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n');
  const built = new Map<RealKind, string>();
  for (const [kind, flags] of Object.entries(KINDS) as [RealKind, readonly string[]][]) {
    const path = join(directory, kind);
    const result = spawnSync('cc', [...flags, source, '-o', path], { encoding: 'utf8' });
    // An old linker warns about an option that it does not know, and goes on without it.
    if (result.status === 0 && result.stderr === '' && existsSync(path)) built.set(kind, path);
  }
  return built;
}

/** `cc` is here, and is one for Linux. */
export function canCompile(): boolean {
  return process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0;
}

/** readelf's output in the C locale; undefined when there is no readelf. */
export function readelf(path: string): string | undefined {
  const result = spawnSync('readelf', ['--wide', '-h', '-l', '-S', '-d', '-V', path], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 64 * 1024 * 1024,
  });
  return result.status === 0 ? result.stdout : undefined;
}

const MACHINES: Record<string, string> = { 'Advanced Micro Devices X86-64': 'x86-64', AArch64: 'aarch64' };

const TYPES: Record<string, number> = { REL: 1, EXEC: 2, DYN: 3 };

/** What both the reader and readelf tell of a file, as the reader has it. */
export function readerFacts(file: ElfFile) {
  return {
    machine: file.machine,
    type: file.type,
    segments: file.segments.length,
    sections: file.sections.length,
    loads: file.segments
      .filter((segment) => segment.type === 1)
      .map((segment) => [segment.offset, segment.address, segment.fileSize]),
    interpreter: file.interpreter,
    needed: file.dynamic?.needed ?? [],
    isPie: file.dynamic?.isPie ?? false,
    versions: (file.dynamic?.versionNeeds ?? []).map(({ library, name }) => `${library} ${name}`),
  };
}

/** The same from readelf's output. */
export function readelfFacts(output: string) {
  const one = (pattern: RegExp) => pattern.exec(output)?.[1];
  const all = (pattern: RegExp) => [...output.matchAll(pattern)].map((match) => match[1] ?? '');
  return {
    machine: MACHINES[one(/Machine: +(.*)/) ?? ''],
    type: TYPES[one(/Type: +(\w+)/) ?? ''],
    segments: Number(one(/Number of program headers: +(\d+)/)),
    sections: Number(one(/Number of section headers: +(\d+)/)),
    loads: all(/^ +LOAD +(.*)$/gm).map((row) => {
      const [offset = '', address = '', , fileSize = ''] = row.split(/ +/);
      return [offset, address, fileSize].map(BigInt);
    }),
    interpreter: one(/Requesting program interpreter: (.*)\]/),
    needed: all(/\(NEEDED\) +Shared library: \[(.*)\]/g),
    isPie: /\(FLAGS_1\) +Flags:.*\bPIE\b/.test(output),
    versions: readelfVersions(output),
  };
}

function readelfVersions(output: string): string[] {
  const versions: string[] = [];
  let library = '';
  const needs = output.slice(Math.max(0, output.indexOf('Version needs section')));
  for (const [, file, name] of needs.matchAll(/ File: (\S+) |(?<= {2})Name: (\S+) +Flags/g)) {
    if (file !== undefined) library = file;
    else versions.push(`${library} ${name}`);
  }
  return versions;
}
