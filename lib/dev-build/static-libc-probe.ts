// SPDX-License-Identifier: Apache-2.0

/** Whether this machine can link a program statically with its own C library. */

import { isAbsolute } from 'node:path';
import type { Runner } from '../build-env.ts';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import { targetKey } from '../cargo/settings.ts';
import { oneLine, shown } from '../errors.ts';
import { type Host, linuxTriple } from '../host.ts';
import { cmd } from '../process/command.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMEDY = 'for static links install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';

/** Why the linker that cargo would use cannot link glibc statically; `undefined` where it can. For Linux hosts. */
export async function whyNoStaticLibc(
  runner: Runner,
  root: string,
  { arch }: Host,
  { env, settings: { linkers } }: Pick<Toolchain, 'env' | 'settings'>,
): Promise<string | undefined> {
  if (arch === undefined) return 'this machine is neither amd64 nor arm64';
  // Rust's own default is cc.
  const linker = linkers.FLAGS ?? linkers[targetKey(linuxTriple(arch, 'gnu'))] ?? 'cc';
  const command = cmd({ cwd: root, base: env, asInvoker: true })`${linker} -print-file-name=libc.a`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (!result.ok) return `${linker} cannot say where libc.a is (${oneLine(result.reason)}); ${REMEDY}`;
  // Without the file, the compiler prints the bare name.
  if (isAbsolute(result.output)) return undefined;
  return `there is no libc.a (${linker} prints ${shown(result.output)}); ${REMEDY}`;
}
