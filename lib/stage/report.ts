// SPDX-License-Identifier: Apache-2.0

/** What staging prints: the plan of a dry run, and the closing report. */

import { relative } from 'node:path';
import type { Runner } from '../build-env.ts';
import { addTargets, toolchainLines } from '../cargo/find-toolchain.ts';
import { megabytes } from '../cli/terminal.ts';
import type { Change } from '../fs/atomic-write.ts';
import { shellQuote } from '../process/command.ts';
import type { Artifact, PreparedStage } from './plan.ts';
import type { Built } from './verify-built.ts';

/** The plan, ready to paste. @param place what is done with a built artifact, for users */
export function dryRunLines(
  runner: Runner,
  { plan, toolchain, missing }: PreparedStage,
  place = ({ check, path }: Artifact) => `stages ${path} (${CHECKS[check]})`,
): string[] {
  const { config, overlay } = plan;
  const runs = plan.runs.flatMap((run) => [
    ...run.wrappers.flatMap((wrapper) => wrapper.files.map((file) => `# writes ${file.path}`)),
    runner.describe(run.command),
    ...run.artifacts.map((artifact) => `# ${place(artifact)}`),
  ]);
  return [
    `cd ${shellQuote(config.root)}`,
    ...toolchainLines(toolchain, config.root),
    ...(missing.length > 0 ? [runner.describe(addTargets(toolchain, config.root, missing))] : []),
    ...(overlay ? [`# creates ${overlay.directory}: version ${overlay.version}`] : []),
    ...runs,
  ];
}

/** What is checked before an artifact is used. */
export const CHECKS = {
  executable: 'after checking: machine, complete',
  static: 'after checking: machine, complete, static',
  'glibc-floor': 'after checking: machine, complete, glibc 2.28 at most',
} as const;

/** The closing report: a line for each artifact. */
export function reportLines(root: string, staged: readonly (Built & { readonly change: Change })[]): string[] {
  return staged.map((one) => {
    const path = relative(root, one.artifact.path);
    return `${one.change === 'written' ? 'staged' : 'unchanged'}: ${path} (${megabytes(one.size)}, ${builtText(one)})`;
  });
}

/** How an artifact was built: `x86_64-unknown-linux-musl; x86-64, complete, static; 3 of 9 crates compiled`. */
export function builtText({ artifact, verified, compiled, total }: Built): string {
  return `${artifact.triple}; ${verified}; ${compiled} of ${total} crates compiled`;
}
