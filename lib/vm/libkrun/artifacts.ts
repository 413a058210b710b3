// SPDX-License-Identifier: Apache-2.0

/**
 * What a build leaves for staging and packaging. The files are put in place together, when everything is built: a build
 * that fails leaves those of the one before.
 */

import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { artifactsOfCargo } from '../../cargo/messages.ts';
import { inspectLibrary } from '../../elf/verify.ts';
import { failure } from '../../errors.ts';
import { copyWhole, sweepTemporary, writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import type { Arch } from '../../host.ts';
import { writeBuildRecord } from './build-record.ts';
import type { LibkrunConfig, Source } from './config.ts';
import { type Firmware, librariesIn } from './kernel.ts';
import { OWN_FILES } from './plan.ts';

/** A repository and the commit of it that was built. */
interface BuiltFrom {
  readonly ref: string;
  readonly commit: string;
}

/** `build.json`: what the files of the build directory were built from. It is there only while they are complete. */
export interface BuildRecord {
  readonly libkrunfw: BuiltFrom;
  readonly libkrun: BuiltFrom;
  /** `linux-6.12.76`. */
  readonly kernel: string;
  readonly abi: string;
  /** The names of the files. */
  readonly files: readonly string[];
}

/** What cargo has built. */
export interface Library {
  readonly commit: string;
  readonly path: string;
}

/**
 * The library that cargo says it has built.
 * @param output cargo's messages
 * @throws failure where it is not there, or is not a whole one for this machine
 */
export function builtLibrary({ directory }: Source, arch: Arch, output: string): string {
  const names = artifactsOfCargo(output).filter((path) => path.endsWith('/libkrun.so'));
  // A cargo that says nothing has the layout that was asked for.
  const path = names.at(-1) ?? join(directory, 'target/release/libkrun.so');
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) {
    throw failure(`cargo has ended, and has left no ${path}; look at what it says`);
  }
  const verdict = inspectLibrary(path, { machine: arch });
  if (!verdict.ok) throw failure(`cargo has built another library than is wanted: ${verdict.reasons.join('; ')}`);
  return path;
}

/** Puts everything in place, and removes libraries of other versions. */
export function putInPlace(config: LibkrunConfig, firmware: Firmware, library: Library): BuildRecord {
  const { directory } = config;
  const place = (name: string) => join(directory, name);
  const from = (name: string) => join(config.firmware.directory, name);
  const record = {
    libkrunfw: { ref: config.firmware.ref, commit: firmware.commit },
    libkrun: { ref: config.library.ref, commit: library.commit },
    kernel: firmware.kernel,
    abi: firmware.abi,
    files: ['libkrun.so', ...firmware.libraries, 'kernel.c', 'ABI_VERSION'],
  };
  for (const name of [...record.files, OWN_FILES.record]) sweepTemporary(place(name));
  asOwner(directory, () => rmSync(place(OWN_FILES.record), { force: true }));
  for (const name of firmware.libraries) copyWhole(from(name), place(name), 0o755);
  copyWhole(from('kernel.c'), place('kernel.c'), 0o644);
  writeWhole(place('ABI_VERSION'), `${firmware.abi}\n`, 0o644);
  copyWhole(library.path, place('libkrun.so'), 0o755);
  const stale = librariesIn(directory).filter((name) => !firmware.libraries.includes(name));
  for (const name of stale) asOwner(directory, () => rmSync(place(name), { force: true }));
  writeBuildRecord(directory, record);
  return record;
}
