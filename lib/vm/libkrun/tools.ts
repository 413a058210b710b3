// SPDX-License-Identifier: Apache-2.0

/** What libkrun is built with: the packages of the system, and which python, which libclang, which cargo. */

import { globSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { refuseMissing } from '../../cargo/settings.ts';
import { refuseOrNote } from '../../cli/dry-run-marks.ts';
import { MissingTool, shown, usageError } from '../../errors.ts';
import { namesIn } from '../../fs/paths.ts';
import { linuxTriple } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import type { LibkrunConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;
/** What libkrunfw's `bin2cbundle.py` imports. */
const PYTHON_CHECK = 'from elftools.elf.elffile import ELFFile';

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

/** What installs what is missing; empty where nothing is. @throws usageError where packages may not be installed */
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
  const installed = (await runner.read(cmd({ cwd: root })`${query}`)).split('\n');
  const missing = packages.filter((name) => !installed.includes(`${lead}${name}`));
  if (missing.length === 0) return [];
  const by = isRoot ? [program] : ['sudo', program];
  const install = ['install', '-y', ...missing];
  if (installDeps) return [...before, install].map((args) => cmd({ cwd: root })`${by} ${args}`);
  const text = `packages are missing; run this with --install-deps, or: ${[...by, ...install].join(' ')}`;
  refuseOrNote(unknowns, usageError(text));
  return [];
}

/**
 * Finds python, the directory of libclang, and what cargo gets on top of the task's environment.
 * @param system the root of the file system, for tests
 * @throws MissingTool where one is missing or cannot be used; usageError for a wrong setting
 */
export async function findTools(ctx: RunnerContext, config: LibkrunConfig, system = '/') {
  for (const program of ['git', 'make']) requireProgram(program, ctx.env, 'install it');
  const [python, libclang, cargo] = await Promise.all([
    findPython(ctx, config.root, join(system, 'usr/bin/python3')),
    findLibclang(ctx, config, system),
    findCargo(ctx, config),
  ]);
  return { python, libclang, cargo };
}

/** A virtual environment or mise often puts a python without pyelftools before the system's. */
async function findPython({ env, runner }: RunnerContext, root: string, system: string): Promise<string> {
  for (const python of [findProgram('python3', env), findProgram(system, env)]) {
    if (python === undefined) continue;
    const command = cmd({ cwd: root, asInvoker: true })`${python} -c ${PYTHON_CHECK}`;
    if ((await runner.probe(command, PROBE_TIMEOUT_MS)).ok) return python;
  }
  throw new MissingTool('libkrunfw needs python3 with pyelftools; install the package python3-pyelftools');
}

/** Where bindgen finds libclang: the user's directory, llvm-config's, or the newest of the system. */
async function findLibclang({ env, runner }: RunnerContext, config: LibkrunConfig, system: string): Promise<string> {
  const { arch, libclang = '', root } = config;
  const llvm = findProgram('llvm-config', env);
  const probed =
    llvm === undefined ? undefined : await runner.probe(cmd({ cwd: root })`${llvm} --libdir`, PROBE_TIMEOUT_MS);
  const lib = join(system, 'usr/lib');
  const newestFirst = globSync('llvm-*/lib', { cwd: lib }).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const multiarch = linuxTriple(arch, 'gnu').replace('-unknown', '');
  const places = [...newestFirst, multiarch, '../lib64'].map((name) => join(lib, name));
  const found = [libclang, probed?.ok ? probed.output : '', ...places].find(hasLibclang);
  if (found !== undefined) return found;
  throw new MissingTool(
    'libkrun needs libclang.so; install libclang-dev (clang-devel), or set LIBCLANG_PATH to its directory',
  );
}

/** Whether a directory has what bindgen opens: `libclang.so` or `libclang-14.so`, and not `libclang-cpp.so`. */
function hasLibclang(directory: string): boolean {
  return namesIn(directory).some((name) => /^libclang(?:-\d[\w.]*)?\.so$/.test(name));
}

/** The cargo of every task. @throws MissingTool where it is too old: on many machines Debian's is before the user's */
export async function findCargo(ctx: RunnerContext, { minCargo, root }: Pick<LibkrunConfig, 'minCargo' | 'root'>) {
  const { env, missingPrograms } = await findToolchain(ctx, root, false);
  refuseMissing(missingPrograms);
  const output = await ctx.runner.cargo(cmd({ cwd: root, base: env })`cargo --version`);
  const version = /^cargo (\d+\.\d+\.\d+)/m.exec(output)?.[1] ?? '';
  if (version.localeCompare(minCargo, 'en', { numeric: true }) >= 0) return env;
  throw new MissingTool(
    `libkrun needs cargo ${minCargo} or newer, and that on PATH is ${shown(version)}; run: rustup update, ` +
      'put ~/.cargo/bin first on PATH, or set LIBKRUN_MIN_CARGO_VERSION',
  );
}
