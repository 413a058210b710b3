// SPDX-License-Identifier: Apache-2.0

/** What a publish tells users: the plan of a dry run, the table of references, and how far a failed one came. */

import type { RunnerContext } from '../build-env.ts';
import { type Command, shellQuote } from '../process/command.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import { isSameContent, type Published } from './engines.ts';
import { buildImages, engineCommands, type PublishPlan, publishBuilt } from './plan.ts';
import type { RegistryState } from './registry.ts';

/** Every command in its order, ready to paste; what is known only when it runs stands in angle brackets. */
export async function dryRunLines(ctx: RunnerContext, plan: PublishPlan): Promise<string[]> {
  const { builder, caches, references, scratch, staging } = plan;
  const lines: string[] = [];
  const print = async (command: Command) => void lines.push(ctx.runner.describe(command));
  const engine = engineCommands(ctx, plan, print, (what) => `<${what}>`);
  if (builder.creation !== undefined) await engine.run(builder.creation);
  lines.push(...(staging === undefined ? ['# verifies the staged binaries'] : stageLines(ctx.runner, staging)));
  lines.push(...[scratch, ...caches].map((directory) => `# creates ${directory}`));
  lines.push(`cd ${shellQuote(ctx.startDirectory)}`);
  await publishBuilt(plan, await buildImages(engine, plan));
  return [...lines, ...references.map((reference) => `# reads back ${reference}`)];
}

/** The references in columns, with whether they were there before and pointed at something else. */
export function tableLines(
  published: readonly Published[],
  before: ReadonlyMap<string, Pick<RegistryState, 'kind' | 'content'>>,
): string[] {
  const rows = published.map(({ component, content, platforms, reference }) => {
    const old = before.get(reference);
    const isSame = old?.content !== undefined && isSameContent(old.content, content);
    const state = old?.kind === 'absent' ? 'new' : isSame ? 'unchanged' : 'moved';
    return [component, reference, content.digest ?? '', platforms.join(','), state];
  });
  const all = [['component', 'reference', 'digest', 'platforms', 'state'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return all.map((row) => line(row).trimEnd());
}

/** How far a failed publish has come with all its references: those that are done, the current one, and the rest. */
export function progressText(all: readonly string[], done: readonly string[], current: string | undefined): string {
  const rest = all.filter((reference) => reference !== current && !done.includes(reference));
  return [
    done.length === 0 ? 'no reference was set before that' : `set before that: ${done.join(', ')}`,
    ...(current === undefined ? [] : [`${current} may have been set or not`]),
    ...(rest.length === 0 ? [] : [`as they were: ${rest.join(', ')}`]),
    'run it again to finish',
  ].join('; ');
}
