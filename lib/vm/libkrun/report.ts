// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun prints: the plan of a dry run, and the closing report. */

import { dirname, join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { toolchainLines } from '../../cargo/find-toolchain.ts';
import { shellQuote } from '../../process/command.ts';
import { BUILD_RECORD } from '../local-build.ts';
import type { LibkrunConfig, Source } from './config.ts';
import { kernelCommands, LINUX_FILES, libraryCommands, type PreparedLibkrun, SHIM } from './plan.ts';
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
    ...sourceLines(runner, firmware),
    `# ${SOME_KERNEL} stands for the kernel that the Makefile names; its tree is kept where it was made from the same`,
    `cd ${shellQuote(firmware.directory)}`,
    `export PATH=${shellQuote(join(directory, dirname(SHIM)))}:"$PATH"`,
    ...[kernel.remove, kernel.prepare].map(describe),
    ...merge,
    describe(kernel.build),
    ...sourceLines(runner, library),
    `cd ${shellQuote(library.directory)}`,
    `# where there is an init/Makefile: ${describe(init)}`,
    ...(tools === undefined ? [] : toolchainLines({ env: tools.cargo, isFromMise: false }, config.root)),
    describe(build),
    ...[...LINUX_FILES, BUILD_RECORD].map((name) => `# writes ${join(directory, name)}`),
    `# and libkrunfw.so* beside them, as its Makefile names it`,
  ];
}

/** What gets a source. */
export function sourceLines(runner: Runner, source: Source): string[] {
  const { checkout, fetch, init } = sourceCommands(source);
  return [
    `# ${source.name} ${source.ref}, where it is not there already`,
    `mkdir -p ${shellQuote(source.directory)}`,
    ...[init, fetch, checkout('FETCH_HEAD')].map((command) => runner.describe(command)),
  ];
}

/** A source in a report: its commit, and what that was asked for as. */
export function sourceText({ name, ref }: Source, commit: string): string {
  return `${name} ${commit === ref ? commit : `${ref} (${commit})`}`;
}

/** The closing report: what was built from what. */
export function libkrunReportLine({ firmware, library }: LibkrunConfig, head: string, kernel: string, commit: string) {
  return `built: ${sourceText(firmware, head)} with ${kernel}, ${sourceText(library, commit)}`;
}
