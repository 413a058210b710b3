// SPDX-License-Identifier: Apache-2.0

/** The packages of the system that a build needs: which are missing, and the commands that install them. */

import type { RunnerContext } from '../../build-env.ts';
import { refuseOrNote } from '../../cli/unknowns.ts';
import { usageError } from '../../errors.ts';
import { type Command, cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import type { LibkrunConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** A package manager: what it calls the packages, and how it is asked. What our own code does needs none of them. */
interface PackageManager {
  readonly program: string;
  readonly packages: readonly string[];
  /** Prints each installed package, and after apt's its state. */
  readonly query: readonly string[];
  /** A line of that for a package that is installed, and not only known. */
  readonly line: (name: string) => string;
  /** The arguments before the packages, one command each; only the last one names them. */
  readonly install: readonly (readonly string[])[];
}

const MANAGERS: readonly PackageManager[] = [
  {
    program: 'apt-get',
    packages: [
      ...['build-essential', 'git', 'python3', 'python3-pyelftools', 'flex', 'bison', 'libelf-dev', 'libssl-dev'],
      ...['libcap-ng-dev', 'bc', 'curl', 'libclang-dev', 'cpio'],
    ],
    query: ['dpkg-query', '-W', '-f', `\${db:Status-Status} \${Package}\\n`],
    line: (name) => `installed ${name}`,
    install: [['update'], ['install', '-y']],
  },
  {
    program: 'dnf',
    packages: [
      ...['make', 'git', 'python3', 'python3-pyelftools', 'gcc', 'flex', 'bison', 'elfutils-libelf-devel'],
      ...['openssl-devel', 'libcap-ng-devel', 'bc', 'glibc-static', 'curl', 'clang-devel', 'cpio', 'patch', 'xz'],
    ],
    query: ['rpm', '-qa', '--qf', '%{NAME}\\n'],
    line: (name) => name,
    install: [['install', '-y']],
  },
];

/**
 * The commands that install what is missing; empty where nothing is.
 * @throws usageError where packages are missing and may not be installed, or nothing tells which are
 */
export async function missingPackages(ctx: RunnerContext, config: LibkrunConfig): Promise<Command[]> {
  const manager = MANAGERS.find(({ program }) => findProgram(program, ctx.env) !== undefined);
  if (manager === undefined) {
    const [{ packages }] = MANAGERS as [PackageManager];
    ctx.terminal.warn(`neither apt-get nor dnf is on PATH; what Debian calls ${packages.join(' ')} has to be here`);
    return [];
  }
  const result = await ctx.runner.probe(cmd({ cwd: config.root })`${manager.query}`, PROBE_TIMEOUT_MS);
  if (!result.ok) {
    const text = `${manager.query[0]} does not tell which packages are installed; repair it or install them: ${result.reason}`;
    refuseOrNote(ctx.unknowns, usageError(text));
    return [];
  }
  const installed = new Set(result.output.split('\n'));
  const missing = manager.packages.filter((name) => !installed.has(manager.line(name)));
  if (missing.length === 0) return [];
  const sudo = config.isRoot ? [] : ['sudo'];
  const commands = manager.install.map((args, index) => {
    const names = index === manager.install.length - 1 ? missing : [];
    return cmd({ cwd: config.root })`${[...sudo, manager.program]} ${args} ${names}`;
  });
  if (config.installDeps) {
    if (!config.isRoot) requireProgram('sudo', ctx.env, 'install the packages as root');
    return commands;
  }
  const by = [...sudo, manager.program, ...(manager.install.at(-1) ?? []), ...missing].join(' ');
  refuseOrNote(ctx.unknowns, usageError(`packages are missing; run this with --install-deps, or: ${by}`));
  return [];
}
