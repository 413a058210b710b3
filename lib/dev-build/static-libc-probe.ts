// SPDX-License-Identifier: Apache-2.0

/** Whether this machine can link a program statically with its own C library. */

import { isAbsolute } from 'node:path';
import type { Runner } from '../build-env.ts';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import { oneLine, shown } from '../errors.ts';
import type { Host } from '../host.ts';
import { cmd } from '../process/command.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMEDY = 'for static links install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';

/** Why the linker cannot link glibc statically; `undefined` where it can. For Linux hosts. */
export async function whyNoStaticLibc(
  runner: Runner,
  root: string,
  { arch }: Host,
  { env }: Pick<Toolchain, 'env'>,
): Promise<string | undefined> {
  if (arch === undefined) return 'this machine is neither amd64 nor arm64';
  // Rust's own default; another linker that cargo's settings name finds the same C library.
  const command = cmd({ cwd: root, base: env, asInvoker: true })`cc -print-file-name=libc.a`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  if (!result.ok) return `cc cannot say where libc.a is (${oneLine(result.reason)}); ${REMEDY}`;
  // Without the file, the compiler prints the bare name.
  if (isAbsolute(result.output)) return undefined;
  return `there is no libc.a (cc prints ${shown(result.output)}); ${REMEDY}`;
}
