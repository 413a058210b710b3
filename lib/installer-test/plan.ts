// SPDX-License-Identifier: Apache-2.0

/** What install.sh has to do in each shell, pure: the cases, their commands, and how a result is judged. */

import type { Environment } from '../cli/env.ts';
import { shown } from '../errors.ts';
import { type Command, cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { PRODUCT } from '../product.ts';

/** The shells that users run it with; `sh` is what its first line and `curl … | sh` name. */
export const SHELLS = [['sh'], ['dash'], ['bash'], ['busybox', 'sh']] as const;

/** Where it is set to 1, install.sh only defines its functions, and reads the others. */
export const TEST_VARIABLE = 'OPENSHELL_INSTALL_SH_TEST';

/** Whether the text of install.sh expands the variable, which a usage text or a comment only names. Pure. */
export function readsVariable(text: string): boolean {
  return new RegExp(`^[^#\n]*\\$\\{?${TEST_VARIABLE}\\b`, 'm').test(text);
}

/** Nothing of the user's own may answer, or run before install.sh does. */
const REMOVED = {
  ...{ BASH_ENV: undefined, OPENSHELL_TEST_LDD_OUTPUT: undefined, OPENSHELL_TEST_LDD_UNAVAILABLE: undefined },
  ...{ OPENSHELL_TEST_GETCONF_OUTPUT: undefined, OPENSHELL_TEST_GETCONF_UNAVAILABLE: undefined },
};

export interface InstallerCase {
  readonly name: string;
  readonly call: string;
  readonly env: Environment;
  /** What the call prints on stdout; anything where it is not said. */
  readonly output?: string;
  /** The line on stderr with which the call fails. */
  readonly refusal?: string | undefined;
}

export const CASES: readonly InstallerCase[] = [
  glibc('glibc 2.28', undefined),
  glibc('glibc 2.31', undefined),
  glibc('ldd (GNU libc) 2.35', undefined),
  glibc(undefined, 'glibc 2.35'),
  glibc('not ldd', 'glibc 2.35'),
  glibc('ldd (GNU libc) 2.27', undefined, 'detected glibc 2.27.'),
  glibc(undefined, undefined, 'could not detect glibc.'),
  glibc(undefined, 'musl libc', 'detected musl or unsupported libc.'),
  glibc('musl libc (x86_64)', undefined, 'detected musl or unsupported libc.'),
  // A name that TLS of the platform takes.
  { name: 'on darwin', call: 'PLATFORM=darwin local_gateway_endpoint', env: {}, output: 'https://localhost:17670' },
  { name: 'on linux', call: 'PLATFORM=linux local_gateway_endpoint', env: {}, output: 'https://127.0.0.1:17670' },
];

/** Linux packages are refused where the C library is too old: `ldd` tells it, and `getconf` where that does not. */
function glibc(ldd: string | undefined, getconf: string | undefined, reason?: string): InstallerCase {
  const name = `ldd: ${ldd ?? 'unavailable'}, getconf: ${getconf ?? 'unavailable'}`;
  const env = { ...hook('LDD', ldd), ...hook('GETCONF', getconf) };
  const refusal = reason && `openshell: error: OpenShell Linux packages require glibc >= 2.28; ${reason}`;
  return { name, call: 'require_linux_package_glibc >/dev/null', env, refusal };
}

/** What a tool prints, or that it is not there. */
function hook(tool: string, output?: string): Environment {
  return { [`OPENSHELL_TEST_${tool}_${output === undefined ? 'UNAVAILABLE' : 'OUTPUT'}`]: output ?? '1' };
}

export function caseCommand(root: string, shell: readonly string[], { call, env }: InstallerCase): Command {
  const options = { cwd: root, base: REMOVED, env: { [TEST_VARIABLE]: '1', ...env }, asInvoker: true };
  return cmd(options)`${shell} -c ${`. ./${PRODUCT.installer}; ${call}`}`;
}

/** What is wrong with a result; `undefined` where nothing is. */
export function faultOf({ output, refusal }: InstallerCase, result: ProbeResult): string | undefined {
  if (refusal === undefined) {
    if (!result.ok) return `failed: ${result.reason}`;
    if (output === undefined || result.output === output) return undefined;
    return `printed ${shown(result.output)}, wanted ${shown(output)}`;
  }
  const wanted = `wanted status 1 and ${shown(refusal)}`;
  if (result.ok) return `was accepted, ${wanted}`;
  if (result.status === 1 && result.reason.split('\n').includes(refusal)) return undefined;
  return `failed with status ${result.status ?? 'unknown'} and ${shown(result.reason)}, ${wanted}`;
}
