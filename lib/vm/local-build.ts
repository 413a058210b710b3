// SPDX-License-Identifier: Apache-2.0

/** A local build of the runtime's libraries: where it is, what it says of itself, and how it is run. */

import { join } from 'node:path';
import type { TaskContext } from '../cli/task.ts';
import { writeWhole } from '../fs/atomic-write.ts';

/** The name of the record: what was built from what. It is there only while the files are complete. */
export const BUILD_RECORD = 'build.json';

/** A build that is planned: nothing but probes has been started. */
export interface LibraryBuild {
  /** What a dry run prints. */
  readonly lines: readonly string[];
  /** Builds; gives the closing report, and the paths of the files. */
  run(): Promise<{ readonly report: string; readonly files: readonly string[] }>;
}

/** Runs a build, or prints its plan. */
export async function runBuild({ terminal }: TaskContext, build: LibraryBuild, isDryRun: boolean): Promise<void> {
  if (isDryRun) return terminal.result(...build.lines);
  const { files, report } = await build.run();
  terminal.say(report);
  terminal.say(`done: ${terminal.timings()}`);
  terminal.result(...files);
}

/** Where a checkout's libraries are built, whatever cargo's target directory is. */
export function buildDirectory(root: string): string {
  return join(root, 'target/libkrun-build');
}

export function writeBuildRecord(directory: string, record: object): void {
  writeWhole(join(directory, BUILD_RECORD), `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
}
