// SPDX-License-Identifier: Apache-2.0

/** Whether this machine can link a program statically with its own C library. */

import { isAbsolute } from 'node:path';
import type { Runner } from '../build-env.ts';
import { oneLine, shown } from '../errors.ts';
import type { Host } from '../host.ts';
import { cmd } from '../process/command.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMEDY = 'for the quick way install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';

/**
 * Why no static supervisor can be built in the gateway's run; `undefined` where one can. It is then
 * cross-built, and the reason is shown, which ends with how to get the quick way. For Linux hosts.
 */
export async function whyNoStaticLibc(runner: Runner, root: string, host: Host): Promise<string | undefined> {
  if (host.arch === undefined) return 'this machine is neither amd64 nor arm64';
  // Rust's own default linker.
  const result = await runner.probe(cmd({ cwd: root })`cc -print-file-name=libc.a`, PROBE_TIMEOUT_MS);
  if (!result.ok) return `cc cannot say where libc.a is (${oneLine(result.reason)}); ${REMEDY}`;
  // Without the file, the compiler prints the bare name.
  if (isAbsolute(result.output)) return undefined;
  return `there is no libc.a (cc prints ${shown(result.output)}); ${REMEDY}`;
}
