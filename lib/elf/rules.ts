// SPDX-License-Identifier: Apache-2.0

/**
 * The rules that a shipped binary has to keep, as pure functions from a file that was read to the reasons against it:
 * what was found, what is wanted, what to do. Nothing is concluded from what a damaged file does not have.
 */
import { shown } from '../errors.ts';
import { EM, PT } from './format.ts';
import { type GlibcNeed, type GlibcVersion, glibcName } from './glibc.ts';
import type { ElfFile } from './read.ts';

/** The machines that binaries are shipped for, in the names of container platforms. */
export type BinaryMachine = 'amd64' | 'arm64';

/** What a file is to the one who runs it. `other`: an object file, a core dump, or what has no name. */
export type BinaryKind = 'static' | 'static-pie' | 'dynamic' | 'shared-library' | 'other';

/** Both are 64-bit and little-endian; x32 and big-endian ARM share the number but not the images. */
const MACHINES: Record<BinaryMachine, { machine: number; name: string }> = {
  amd64: { machine: EM.x86_64, name: 'x86-64' },
  arm64: { machine: EM.aarch64, name: 'aarch64' },
};

const TYPES: Record<string, string> = {
  NONE: 'a file of no type (ET_NONE)',
  REL: 'a relocatable object (ET_REL)',
  CORE: 'a core dump (ET_CORE)',
};

const MAKE_IT_STATIC = "build it for a *-linux-musl target, or with '-C target-feature=+crt-static'";

/** How it is linked, and whether it is a program at all. */
export function kindOf(file: ElfFile): BinaryKind {
  if (!isProgram(file)) return 'other';
  if (file.interpreter !== undefined) return 'dynamic';
  if (file.type === 'DYN' && !file.dynamic?.isPie) return 'shared-library';
  if (file.dynamic !== undefined && file.dynamic.needed.length > 0) return 'dynamic';
  return file.type === 'DYN' ? 'static-pie' : 'static';
}

/** Against a complete executable or shared library for the machine; any machine is good when it is undefined. */
export function programReasons(file: ElfFile, machine: BinaryMachine | undefined): string[] {
  const damage = file.defects.map((defect) => `${defect}; wanted a complete ELF file: build or copy it again`);
  return [...typeReasons(file), ...machineReasons(file, machine), ...damage, ...loadReasons(file)];
}

/** Against an executable, over those of `programReasons`. libc.so.6 has an interpreter, and can be executed. */
export function executableReasons(file: ElfFile): string[] {
  if (file.defects.length > 0 || kindOf(file) !== 'shared-library') return [];
  return ['is a shared library (ET_DYN without DF_1_PIE), wanted an executable; name the program, not its library'];
}

/** Against a static executable, over those of `executableReasons`. */
export function staticReasons(file: ElfFile): string[] {
  const reasons: string[] = [];
  const hasInterpreter = file.segments.some((segment) => segment.type === PT.interp);
  if (hasInterpreter) {
    const name = file.interpreter === undefined ? '' : ` ${shown(file.interpreter)}`;
    reasons.push(
      `is dynamically linked, with the interpreter (PT_INTERP)${name}, wanted a static executable; ${MAKE_IT_STATIC}`,
    );
  }
  const needed = file.dynamic?.needed ?? [];
  if (needed.length > 0) {
    reasons.push(`depends on shared libraries (DT_NEEDED) ${listed(needed)}, wanted none; ${MAKE_IT_STATIC}`);
  }
  return reasons;
}

/** Against a glibc need that is over the limit, or that no limit allows. */
export function glibcReason(need: GlibcNeed, max: GlibcVersion): string {
  const found = `needs ${shown(need.name).slice(1, -1)} of ${shown(need.library)}`;
  const limit = `allowed is up to ${glibcName(max)}`;
  if (need.name === 'GLIBC_PRIVATE') {
    return `${found}, which only the glibc it was linked with has for sure, ${limit}; do not use glibc's internals`;
  }
  if (need.version === undefined) {
    return `${found}, a version that is not known here, ${limit}; find out which release of glibc has it`;
  }
  const { major, minor } = need.version;
  const release = need.name === glibcName(need.version) ? '' : ` (glibc ${major}.${minor})`;
  const remedy = need.name.endsWith('DT_RELR')
    ? "link it without '-z pack-relative-relocs'"
    : `build it against an older glibc, with cargo-zigbuild for a target that ends in .${max.major}.${max.minor}`;
  return `${found}${release}, ${limit}; ${remedy}`;
}

function isProgram(file: ElfFile): boolean {
  return file.type === 'EXEC' || file.type === 'DYN';
}

function typeReasons(file: ElfFile): string[] {
  if (isProgram(file)) return [];
  return [
    `is ${TYPES[file.type] ?? `of the ELF type ${file.type}`}, wanted an executable; link it, or name the program`,
  ];
}

function machineReasons(file: ElfFile, wanted: BinaryMachine | undefined): string[] {
  if (wanted === undefined) return [];
  const { machine, name } = MACHINES[wanted];
  if (file.machine === machine && file.class === 64 && file.endian === 'little') return [];
  const found = `${file.machineName} (${file.class}-bit, ${file.endian}-endian)`;
  return [`is for ${found}, wanted ${wanted} (${name}, 64-bit, little-endian); build it for ${wanted}`];
}

function loadReasons(file: ElfFile): string[] {
  if (!isProgram(file) || file.defects.length > 0) return [];
  if (file.segments.some((segment) => segment.type === PT.load)) return [];
  return ['has no PT_LOAD segment, so nothing of it would be loaded, wanted an executable; build or copy it again'];
}

function listed(names: string[]): string {
  const [first, rest] = [names.slice(0, 10).map(shown).join(', '), names.length - 10];
  return rest > 0 ? `${first} and ${rest} more` : first;
}
