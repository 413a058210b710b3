// SPDX-License-Identifier: Apache-2.0

/** What install.sh has to do in each shell: all cases run, and all that fail are told. */

import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { failure, shown, usageError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { PRODUCT } from '../product.ts';

/** The shells that users run it with; `sh` is what its first line and `curl … | sh` name. */
const SHELLS = [['sh'], ['dash'], ['bash'], ['busybox', 'sh']] as const;
/** Where it is set to 1, install.sh only defines its functions, and takes what tools print from the hooks. */
export const TEST_VARIABLE = 'OPENSHELL_INSTALL_SH_TEST';
const TIMEOUT_MS = 20_000;
/** What of the user's own would take part; which hooks count, each case says. */
const REMOVED = {
  ...{ BASH_ENV: undefined, OPENSHELL_TEST_LDD_UNAVAILABLE: undefined, OPENSHELL_TEST_GETCONF_UNAVAILABLE: undefined },
};

type InstallerCase = ReturnType<typeof glibc>;

const CASES: readonly InstallerCase[] = [
  glibc('glibc 2.28', undefined),
  glibc('glibc 2.31', undefined),
  glibc('ldd (GNU libc) 2.35', undefined),
  glibc(undefined, 'glibc 2.35'),
  glibc('not ldd', 'glibc 2.35'),
  glibc('ldd (GNU libc) 2.27', undefined, 'detected glibc 2.27.'),
  glibc(undefined, undefined, 'could not detect glibc.'),
  glibc(undefined, 'musl libc', 'detected musl or unsupported libc.'),
  glibc('musl libc (x86_64)', undefined, 'detected musl or unsupported libc.'),
  endpoint('darwin', 'https://localhost:17670'),
  endpoint('linux', 'https://127.0.0.1:17670'),
];

/** Linux packages are refused where the C library is too old: `ldd` tells it, and `getconf` where that does not. */
function glibc(ldd: string | undefined, getconf: string | undefined, problem?: string) {
  const hook = (tool: string, output?: string) => {
    return { [`OPENSHELL_TEST_${tool}_${output === undefined ? 'UNAVAILABLE' : 'OUTPUT'}`]: output ?? '1' };
  };
  const refusal = problem && `openshell: error: OpenShell Linux packages require glibc >= 2.28; ${problem}`;
  return {
    name: `ldd: ${ldd ?? 'unavailable'}, getconf: ${getconf ?? 'unavailable'}`,
    call: 'require_linux_package_glibc >/dev/null',
    env: { ...hook('LDD', ldd), ...hook('GETCONF', getconf) },
    /** The only line on stdout, where that matters; or the line on stderr with which the call fails. */
    output: undefined as string | undefined,
    refusal,
  };
}

function endpoint(platform: string, output: string): InstallerCase {
  const call = `PLATFORM=${platform} local_gateway_endpoint`;
  return { name: `on ${platform}`, call, env: {}, output, refusal: undefined };
}

/** Tries the cases, or prints their commands. */
export async function testInstaller(ctx: RunnerContext, isDryRun: boolean): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const path = join(root, PRODUCT.installer);
  // One that does not read the variable, but for a comment or a usage text, would install, for real.
  if (!new RegExp(`^[^#\n]*\\$\\{?${TEST_VARIABLE}\\b`, 'm').test(contentOf(path).toString())) {
    throw failure(`${path} does not read ${TEST_VARIABLE}, so sourcing it would install; add that to it`);
  }
  const shells = SHELLS.filter(([program]) => findProgram(program, env) !== undefined);
  if (shells.length === 0) throw usageError('neither sh, dash, bash nor busybox is on PATH; add the directory of one');
  for (const [program] of SHELLS.filter((shell) => !shells.includes(shell))) {
    terminal.warn(`${program} is not on PATH, so ${PRODUCT.installer} is not tried with it; install it to try it`);
  }
  if (isDryRun) {
    const commands = shells.flatMap((shell) => CASES.map((one) => runner.describe(caseCommand(root, shell, one))));
    return terminal.result(`cd ${shellQuote(root)}`, ...commands);
  }
  let failed = 0;
  for (const shell of shells) {
    const results = await Promise.all(CASES.map((one) => runner.probe(caseCommand(root, shell, one), TIMEOUT_MS)));
    const faults = CASES.flatMap((one, index) => faultOf(one, results[index] as ProbeResult));
    for (const fault of faults) terminal.error(`${shell.join(' ')}: ${fault}`);
    terminal.result(`${shell.join(' ')}: ${CASES.length - faults.length} of ${CASES.length} cases passed`);
    failed += faults.length;
  }
  if (failed > 0) throw failure(`${failed} of ${shells.length * CASES.length} cases failed; correct ${path}`);
}

function caseCommand(root: string, shell: readonly string[], { call, env }: InstallerCase): Command {
  const options = { cwd: root, base: REMOVED, env: { [TEST_VARIABLE]: '1', ...env }, asInvoker: true };
  return cmd(options)`${shell} -c ${`. ./${PRODUCT.installer}; ${call}`}`;
}

/** What is wrong with a result; empty where nothing is. */
function faultOf({ name, output, refusal }: InstallerCase, result: ProbeResult): string[] {
  const isRight = result.ok
    ? refusal === undefined && (output ?? result.output) === result.output
    : refusal !== undefined && result.status === 1 && result.reason.split('\n').includes(refusal);
  if (isRight) return [];
  const said = result.ok ? `printed ${shown(result.output)}` : `failed: ${shown(result.reason)}`;
  return [`${name}: ${said}, wanted ${refusal === undefined ? (output ?? 'success') : `status 1: ${refusal}`}`];
}
