// SPDX-License-Identifier: Apache-2.0

/** What staging tells people: the plan of a dry run, and the closing report. */

import { relative } from 'node:path';
import type { Door } from '../build-env.ts';
import { shellQuote } from '../command.ts';
import { oneLine } from '../errors.ts';
import type { Change } from '../files.ts';
import { addTargets } from '../rust-targets.ts';
import type { Artefact } from './plan.ts';
import type { PreparedStage } from './run.ts';

/** An artefact that was built, verified and staged. */
export interface Staged {
  readonly artefact: Artefact;
  /** Where cargo made it. */
  readonly source: string;
  /** In bytes. */
  readonly size: number;
  /** What was verified, for people. */
  readonly verified: string;
  readonly change: Change;
  /** Crates compiled in its cargo run, of all crates in it. */
  readonly compiled: number;
  readonly total: number;
}

/** The plan: the folder, the files that are written, and the commands in their order, ready to paste. */
export function dryRunLines(door: Door, { plan, toolchain, missing }: PreparedStage): string[] {
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
    ...run.artefacts.map(({ check, path }) => note(`stages ${path} (${CHECKS[check]})`)),
  ]);
  return [change(root), ...add, ...overlay, ...runs];
}

const CHECKS = {
  static: 'after checking: machine, complete, static',
  'glibc-floor': 'after checking: machine, complete, glibc 2.28 at most',
} as const;

/** The closing report: a line for each artefact, then what took how long. */
export function reportLines(root: string, staged: readonly Staged[], timings: string): string[] {
  return [
    ...staged.map(({ artefact, size, verified, change, compiled, total }) => {
      const crates = `${compiled} of ${total} crates compiled`;
      const path = relative(root, artefact.path);
      return `${change === 'written' ? 'staged' : 'unchanged'}: ${path} (${megabytes(size)}, ${artefact.triple}; ${verified}; ${crates})`;
    }),
    `done: ${timings}`,
  ];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
