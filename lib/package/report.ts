// SPDX-License-Identifier: Apache-2.0

/** What a packaging prints: the plan of a dry run, and the closing report. */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner } from '../build-env.ts';
import type { Change } from '../fs/atomic-write.ts';
import { shellQuote } from '../process/command.ts';
import { megabytes } from '../stage/report.ts';
import type { PackagePlan } from './plan.ts';

/** The plan: every file with its mode, and the commands, ready to paste. */
export function packageLines(
  runner: Runner,
  { commands, config, files, scratch, stage, target }: PackagePlan,
): string[] {
  const staged = files.map(({ from, mode, path }) => {
    const source = typeof from === 'string' ? `a copy of ${from}` : `${from.length} bytes`;
    return `# in ${join(stage, path)} (0${mode.toString(8)}): ${source}`;
  });
  return [
    `cd ${shellQuote(config.root)}`,
    `# creates ${scratch}`,
    ...staged,
    ...commands.map((command) => runner.describe(command)),
    `# writes ${target}`,
  ];
}

/** The closing report: `packaged: /x/openshell_1.2.3_amd64.deb (1.2.3 for amd64, 12.3 MB)`. */
export function packageReportLine({ config, target }: PackagePlan, change: Change): string {
  const { arch, version } = config;
  const what = change === 'written' ? 'packaged' : 'unchanged';
  return `${what}: ${target} (${version} for ${arch}, ${megabytes(lstatSync(target).size)})`;
}
