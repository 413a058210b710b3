// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun prints: the plan of a dry run, and the closing report. */

import { join, relative } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { toolchainLines } from '../../cargo/find-toolchain.ts';
import { shellQuote } from '../../process/command.ts';
import type { BuildRecord } from './artifacts.ts';
import type { LibkrunConfig, Source } from './config.ts';
import { kernelCommands, LINUX_FILES, libraryCommands, type PreparedLibkrun, shimDirectory } from './plan.ts';
import { sourceCommands } from './sources.ts';

/** Stands for the kernel, which only the Makefile of libkrunfw names. */
const SOME_KERNEL = 'linux-VERSION';

/** The plan: the commands in their order, ready to paste, and the files that are written. */
export function libkrunDryRunLines(runner: Runner, prepared: PreparedLibkrun): string[] {
  const { config, installs, tools } = prepared;
  const { directory, firmware, fragment, library } = config;
  const describe = runner.describe.bind(runner);
  const kernel = kernelCommands(prepared, SOME_KERNEL);
  const { build, init } = libraryCommands(prepared);
  const merge =
    fragment === undefined ? [] : [`cp ${shellQuote(fragment)} .`, ...[kernel.merge, kernel.complete].map(describe)];
  return [
    ...installs.map(describe),
    ...(tools === undefined ? ['# python3, libclang and cargo are looked for when the packages are installed'] : []),
    ...sourceLines(runner, firmware, directory),
    `# ${SOME_KERNEL} stands for the kernel that the Makefile names; its tree is kept where it was made from the same`,
    `cd ${shellQuote(firmware.directory)}`,
    ...(tools?.python === undefined ? [] : [`export PATH=${shellQuote(shimDirectory(config))}:"$PATH"`]),
    ...[kernel.remove, kernel.prepare].map(describe),
    ...merge,
    describe(kernel.build),
    ...sourceLines(runner, library, directory),
    `cd ${shellQuote(library.directory)}`,
    `# where there is an init/Makefile: ${describe(init)}`,
    ...(tools === undefined ? [] : toolchainLines({ env: tools.cargo.base, isFromMise: false }, config.root)),
    describe(build),
    ...LINUX_FILES.map((name) => `# writes ${join(directory, name)}`),
    `# and libkrunfw.so* beside them, as its Makefile names it`,
  ];
}

function sourceLines(runner: Runner, source: Source, cwd: string): string[] {
  const { checkout, fetch, init } = sourceCommands(source, cwd);
  return [
    `# ${source.name} ${source.ref}, where it is not there already`,
    ...[init, fetch, checkout('FETCH_HEAD')].map((command) => runner.describe(command)),
  ];
}

/** The closing report: what was built from what. */
export function libkrunReportLines({ directory, root }: LibkrunConfig, record: BuildRecord): string[] {
  const { files, kernel, libkrun, libkrunfw } = record;
  const of = ({ commit, ref }: BuildRecord['libkrun']) => (commit === ref ? commit : `${ref} (${commit})`);
  return [
    `built: libkrunfw ${of(libkrunfw)} with ${kernel}, libkrun ${of(libkrun)}`,
    `in ${relative(root, directory)}: ${files.join(', ')}`,
  ];
}
