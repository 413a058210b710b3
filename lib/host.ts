// SPDX-License-Identifier: Apache-2.0

/** Architectures, Rust target triples, and what this machine is: facts as values. */

import { getCompileCacheDir } from 'node:module';
import type { Environment } from './cli/env.ts';
import { oneLine, shown, usageError } from './errors.ts';
import { homeIn, type Invoker, invokerOf, isOfOther } from './fs/ownership.ts';
import { argvText, type Command, cmd } from './process/command.ts';
import { type Limits, ownLimits, shellSoftLimit } from './process/identity.ts';
import type { ProbeResult } from './process/result.ts';

/** In the words of image builds; staged paths and Dockerfiles use these two. */
export type Arch = 'amd64' | 'arm64';

export const ARCHES: readonly Arch[] = ['amd64', 'arm64'];

const HOME_TIMEOUT_MS = 15_000;

export interface Host {
  readonly platform: NodeJS.Platform;
  /** `undefined` on a machine that is neither amd64 nor arm64. */
  readonly arch: Arch | undefined;
}

const WORDS: Readonly<Record<Arch, readonly string[]>> = {
  amd64: ['x86_64', 'amd64', 'x64'],
  arm64: ['aarch64', 'arm64'],
};

/** The architecture that a word of uname, docker, podman or Node means; `undefined` for any other. */
export function archOf(word: string): Arch | undefined {
  return ARCHES.find((arch) => WORDS[arch].includes(word));
}

export function thisHost(): Host {
  return { platform: process.platform, arch: archOf(process.arch) };
}

/** The architectures of a platform list (`linux/amd64, linux/arm64`), each once. @throws usageError for any other */
export function platformArches(source: string, text: string): Arch[] {
  const arches = text.split(',').map((entry) => {
    const platform = entry.trim();
    const arch = ARCHES.find((known) => platform === `linux/${known}`);
    if (arch !== undefined) return arch;
    const problem = platform === '' ? 'an entry is empty' : `${shown(platform)} is not supported`;
    const allowed = 'allowed is a comma list of linux/amd64 and linux/arm64';
    throw usageError(`${source} is ${shown(text)}: ${problem}; ${allowed}; change it or unset it`);
  });
  return [...new Set(arches)];
}

/** The Rust target triple for Linux: `x86_64-unknown-linux-musl`; the mark of an unknown architecture stays as it is. */
export function linuxTriple(arch: Arch, libc: 'musl' | 'gnu'): string {
  return `${WORDS[arch]?.[0] ?? arch}-unknown-linux-${libc}`;
}

export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly limits: Limits;
  /** The soft open-file limit of the user's shell, where it is known. */
  readonly shellLimit: number | undefined;
  readonly canReplace: boolean;
  readonly invoker: Invoker | undefined;
}

export function thisMachine(env: Environment): Machine {
  return {
    platform: process.platform,
    limits: ownLimits(),
    shellLimit: shellSoftLimit(),
    // Node writes its cache before it is replaced, too.
    canReplace: process.platform !== 'win32' && !isOfOther(getCompileCacheDir() ?? '/'),
    invoker: invokerOf(env),
  };
}

/** The home of a user whom `/etc/passwd` does not have (a directory service, macOS), or why there is none; never a guess. */
export async function probeHome(
  probe: (command: Command, timeoutMs: number) => Promise<ProbeResult>,
  platform: NodeJS.Platform,
  { uid, user }: Invoker,
): Promise<Pick<Invoker, 'home' | 'homeProblem'>> {
  const start = cmd({ cwd: '/' });
  const isMac = platform === 'darwin';
  const command = isMac ? start`dscl . -read ${`/Users/${user}`} NFSHomeDirectory` : start`getent passwd ${uid}`;
  const result = await probe(command, HOME_TIMEOUT_MS);
  const said = result.ok ? result.output : '';
  // In what dscl prints, a value with a blank stands on a line of its own.
  const home = isMac ? /^NFSHomeDirectory:\s+(\/.*)$/m.exec(said)?.[1] : homeIn(said, uid);
  if (home?.startsWith('/')) return { home };
  const reason = result.ok ? `it printed ${said}` : result.reason;
  return { home: undefined, homeProblem: oneLine(`${argvText(command)}: ${reason}`) };
}
