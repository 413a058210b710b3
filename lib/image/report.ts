// SPDX-License-Identifier: Apache-2.0

/** What an image build prints: the plan of a dry run, and what came of it. */

import type { RunnerContext } from '../build-env.ts';
import type { ImageOutput } from '../engine/types.ts';
import { type Command, shellQuote } from '../process/command.ts';
import { dryRunLines } from '../stage/report.ts';
import type { PreparedImage } from './plan.ts';

/** The plan, ready to paste. */
export function imageLines(ctx: RunnerContext, { cache, commands, staging }: PreparedImage): string[] {
  const staged = staging === undefined ? [] : dryRunLines(ctx.runner, staging);
  const caches = cache === undefined ? [] : [`# creates ${cache}`];
  return [...staged, ...caches, ...commandLines(ctx, commands)];
}

/** The engine's part of a plan. */
export function commandLines({ runner, startDirectory }: RunnerContext, commands: readonly Command[]): string[] {
  return [`cd ${shellQuote(startDirectory)}`, ...commands.map((command) => runner.describe(command))];
}

/** Where an image went: `loaded into docker`, `pushed`, `written (type=oci,dest=/x)`. */
export function destinationText(output: ImageOutput, engine: string): string {
  if (output.kind === 'output') return `written (${output.value})`;
  return output.kind === 'push' ? 'pushed' : `loaded into ${engine}`;
}
