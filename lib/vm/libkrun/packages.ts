// SPDX-License-Identifier: Apache-2.0

/** The packages of the system that a build needs: which are missing, and the commands that install them. */

import type { RunnerContext } from '../../build-env.ts';
import { refuseOrNote } from '../../cli/dry-run-marks.ts';
import { usageError } from '../../errors.ts';
import { type Command, cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import type { LibkrunConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** What each package manager calls the packages, and how it is asked. What our own code does needs none of them. */
const APT = {
  program: 'apt-get',
  packages: [
    ...['build-essential', 'git', 'python3', 'python3-pyelftools', 'flex', 'bison', 'libelf-dev', 'libssl-dev'],
    ...['libcap-ng-dev', 'bc', 'curl', 'libclang-dev', 'cpio'],
  ],
  // One that was removed is still known.
  query: ['dpkg-query', '-W', '-f', `\${db:Status-Status} \${Package}\\n`],
  lead: 'installed ',
  before: [['update']],
};
const DNF = {
  program: 'dnf',
  packages: [
    ...['make', 'git', 'python3', 'python3-pyelftools', 'gcc', 'flex', 'bison', 'elfutils-libelf-devel'],
    ...['openssl-devel', 'libcap-ng-devel', 'bc', 'glibc-static', 'curl', 'clang-devel', 'cpio', 'patch', 'xz'],
  ],
  query: ['rpm', '-qa', '--qf', '%{NAME}\\n'],
  lead: '',
  before: [],
};

/**
 * The commands that install what is missing; empty where nothing is.
 * @throws usageError where packages are missing and may not be installed, or nothing tells which are
 */
export async function missingPackages(
  { env, runner, terminal, unknowns }: RunnerContext,
  { installDeps, isRoot, root }: Pick<LibkrunConfig, 'installDeps' | 'isRoot' | 'root'>,
): Promise<Command[]> {
  const manager = [APT, DNF].find(({ program }) => findProgram(program, env) !== undefined);
  if (manager === undefined) {
    const names = APT.packages.join(' ');
    terminal.warn(`neither apt-get nor dnf is on PATH; what Debian calls ${names} has to be here`);
    return [];
  }
  const { before, lead, packages, program, query } = manager;
  const result = await runner.probe(cmd({ cwd: root })`${query}`, PROBE_TIMEOUT_MS);
  if (!result.ok) {
    const text = `${query[0]} does not tell which packages are installed; repair it or install them: ${result.reason}`;
    refuseOrNote(unknowns, usageError(text));
    return [];
  }
  const installed = result.output.split('\n');
  const missing = packages.filter((name) => !installed.includes(`${lead}${name}`));
  if (missing.length === 0) return [];
  const sudo = isRoot ? [] : ['sudo'];
  const install = ['install', '-y', ...missing];
  if (!installDeps) {
    const by = [...sudo, program, ...install].join(' ');
    refuseOrNote(unknowns, usageError(`packages are missing; run this with --install-deps, or: ${by}`));
    return [];
  }
  if (!isRoot) requireProgram('sudo', env, 'install the packages as root');
  return [...before, install].map((args) => cmd({ cwd: root })`${[...sudo, program]} ${args}`);
}
