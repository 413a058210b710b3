// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun on macOS prints: the plan of a dry run, and the closing report. */

import { join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { shellQuote } from '../../process/command.ts';
import { sourceLines, sourceText } from '../libkrun/report.ts';
import { BUILD_RECORD } from '../local-build.ts';
import { listNeeded, type MacosPlan, portableCommands } from './plan.ts';

/** The plan: the commands in their order, ready to paste, and the files that are written. */
export function macosDryRunLines(runner: Runner, plan: MacosPlan): string[] {
  const { build, built, clean, compile, config, libraries, work } = plan;
  const [name, plain, versioned] = libraries;
  const describe = runner.describe.bind(runner);
  const copy = (from: string, to: string) => `cp ${shellQuote(from)} ${shellQuote(join(work, to))}`;
  return [
    `mkdir -p ${shellQuote(work)}`,
    describe(compile),
    copy(join(work, versioned), plain),
    ...sourceLines(runner, config.library),
    `cd ${shellQuote(config.library.directory)}`,
    describe(clean),
    'rm -f target/release/libkrun*.dylib',
    describe(build),
    copy(join(built, name), name),
    '# where libkrun.dylib names a libkrunfw, that becomes the one beside it',
    ...libraries.flatMap((one) => [...portableCommands(plan, one, []), listNeeded(plan, one)].map(describe)),
    ...[...libraries, BUILD_RECORD].map((one) => `# writes ${join(config.directory, one)}`),
  ];
}

/** The closing report: what was built from what. */
export function macosReportLine({ config: { abi, library } }: MacosPlan, commit: string): string {
  return `built: ${sourceText(library, commit)}, libkrunfw with ABI ${abi}`;
}
