// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun on macOS prints: the plan of a dry run, and the closing report. */

import { join, relative } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { shellQuote } from '../../process/command.ts';
import { sourceCommands } from '../libkrun/sources.ts';
import { listNeeded, type MacosPlan, macosFiles, portableCommands } from './plan.ts';

/** The plan: the commands in their order, ready to paste, and the files that are written. */
export function macosDryRunLines(runner: Runner, plan: MacosPlan): string[] {
  const { build, built, clean, compile, config, libraries, work } = plan;
  const { directory, library } = config;
  const [name = '', plain = '', versioned = ''] = libraries;
  const { checkout, fetch, init } = sourceCommands(library, directory);
  const describe = runner.describe.bind(runner);
  const copy = (from: string, to: string) => `cp ${shellQuote(from)} ${shellQuote(join(work, to))}`;
  return [
    `mkdir -p ${shellQuote(work)}`,
    describe(compile),
    copy(join(work, versioned), plain),
    `# ${library.name} ${library.ref}, where it is not there already`,
    ...[init, fetch, checkout('FETCH_HEAD')].map(describe),
    `cd ${shellQuote(library.directory)}`,
    describe(clean),
    'rm -f target/release/libkrun*.dylib',
    describe(build),
    copy(built, name),
    ...libraries.flatMap((one) => [
      ...(one === name ? ['# where it names a libkrunfw, that becomes the one beside it'] : []),
      ...[...portableCommands(plan, one, []), listNeeded(plan, one)].map(describe),
    ]),
    ...macosFiles(plan).map((one) => `# writes ${join(directory, one)}`),
  ];
}

/** The closing report: what was built from what. */
export function macosReportLines({ config, libraries }: MacosPlan, commit: string): string[] {
  const { abi, directory, library, root } = config;
  return [
    `built: libkrun ${library.ref === commit ? commit : `${library.ref} (${commit})`}, libkrunfw with ABI ${abi}`,
    `in ${relative(root, directory)}: ${libraries.join(', ')}`,
  ];
}
