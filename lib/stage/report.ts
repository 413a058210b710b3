// SPDX-License-Identifier: Apache-2.0

/** What staging tells people: the plan of a dry run, and the closing report. */

import { relative } from 'node:path';
import type { Door } from '../build-env.ts';
import { addTargets } from '../cargo/targets.ts';
import { oneLine } from '../errors.ts';
import type { Change } from '../fs/atomic-write.ts';
import { shellQuote } from '../process/command.ts';
import type { Artefact, PreparedStage } from './plan.ts';

/** An artefact that was built and verified. */
export interface Built {
  readonly artefact: Artefact;
  /** Where cargo made it. */
  readonly source: string;
  /** In bytes. */
  readonly size: number;
  /** What was verified, for people. */
  readonly verified: string;
  /** Crates compiled in its cargo run, of all crates in it. */
  readonly compiled: number;
  readonly total: number;
}

/** An artefact that stands where image builds find it. */
export interface Staged extends Built {
  readonly change: Change;
}

/** The plan of a staging, see `buildLines`. */
export function dryRunLines(door: Door, prepared: PreparedStage): string[] {
  return buildLines(door, prepared, ({ check, path }) => `stages ${path} (${CHECKS[check]})`);
}

/**
 * The plan: the folder, the files that are written, and the commands in their order, ready to paste.
 *
 * @param place what is done with an artefact that was built, in words
 */
export function buildLines(
  door: Door,
  { plan, toolchain, missing }: PreparedStage,
  place: (artefact: Artefact) => string,
): string[] {
  const { root } = plan.config;
  const change = (folder: string) => `cd ${shellQuote(folder)}`;
  const note = (text: string) => `# ${oneLine(text)}`;
  const add = missing.length > 0 ? [door.describe(addTargets(toolchain, root, missing))] : [];
  const overlay =
    plan.overlay === undefined
      ? []
      : [note(`makes ${plan.overlay.folder}: version ${plan.overlay.version}`), change(plan.overlay.folder)];
  const runs = plan.runs.flatMap((run) => [
    ...run.wrappers.flatMap((wrapper) => wrapper.files.map((file) => note(`writes ${file.path}`))),
    door.describe(run.command),
    ...run.artefacts.map((artefact) => note(place(artefact))),
  ]);
  return [change(root), ...add, ...overlay, ...runs];
}

/** What is checked before an artefact is used. */
export const CHECKS = {
  executable: 'after checking: machine, complete',
  static: 'after checking: machine, complete, static',
  'glibc-floor': 'after checking: machine, complete, glibc 2.28 at most',
} as const;

/** The closing report: a line for each artefact, then what took how long. */
export function reportLines(root: string, staged: readonly Staged[], timings: string): string[] {
  return [
    ...staged.map((one) => {
      const path = relative(root, one.artefact.path);
      return `${one.change === 'written' ? 'staged' : 'unchanged'}: ${path} (${megabytes(one.size)}, ${builtText(one)})`;
    }),
    `done: ${timings}`,
  ];
}

/** How an artefact was built: `x86_64-unknown-linux-musl; x86-64, complete, static; 3 of 9 crates compiled`. */
export function builtText({ artefact, verified, compiled, total }: Built): string {
  return `${artefact.triple}; ${verified}; ${compiled} of ${total} crates compiled`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
