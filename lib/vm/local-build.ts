// SPDX-License-Identifier: Apache-2.0

/** A local build of the runtime's libraries: where it is, what it says of itself, and how it is run. */

import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TaskContext } from '../cli/task.ts';
import { copyWhole, sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { namesIn } from '../fs/paths.ts';

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

/** Puts the files of a build and its record in place, removes other libraries with such names, and gives the paths. */
export function putInPlace(directory: string, sources: readonly string[], library: RegExp, record: object): string[] {
  const place = (name: string) => join(directory, name);
  const remove = (path: string) => asOwner(directory, () => rmSync(path, { force: true }));
  const recordPath = place(BUILD_RECORD);
  remove(recordPath);
  const paths = sources.map((source) => {
    const path = place(basename(source));
    sweepTemporary(path);
    copyWhole(source, path, path.endsWith('.c') ? 0o644 : 0o755);
    return path;
  });
  const all = namesIn(directory).flatMap((name) => (library.test(name) ? [place(name)] : []));
  all.filter((path) => !paths.includes(path)).forEach(remove);
  sweepTemporary(recordPath);
  writeWhole(recordPath, `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
  return paths;
}
