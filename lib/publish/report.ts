// SPDX-License-Identifier: Apache-2.0

/** What a publish tells users: the plan of a dry run, the table of references, and how far a failed one came. */

import type { RunnerContext } from '../build-env.ts';
import { type Command, shellQuote } from '../process/command.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import { isSameContent, type Published } from './engines/types.ts';
import { buildImages, engineCommands, type PublishPlan, publishBuilt } from './plan.ts';
import type { RegistryState } from './registry-contents.ts';

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
  const built = await buildImages(engine, plan);
  lines.push('# pushes what is built, and sets the tags that point at something else');
  await publishBuilt(plan, built, new Map());
  return [...lines, ...references.map((reference) => `# reads back ${reference}`)];
}

/** A reference and what became of it. */
export type Row = Published & { readonly state: 'new' | 'moved' | 'unchanged' };

/** What became of a reference, from what the registry had under it before. */
export function rowOf(published: Published, before: RegistryState | undefined): Row {
  if (before?.kind === 'absent') return { ...published, state: 'new' };
  const isSame = before?.content !== undefined && isSameContent(before.content, published.content);
  return { ...published, state: isSame ? 'unchanged' : 'moved' };
}

/** The table, a line each, in columns. */
export function tableLines(rows: readonly Row[]): string[] {
  const heading = ['component', 'reference', 'digest', 'platforms', 'state'];
  const cells = rows.map(({ component, content, platforms, reference, state }) => {
    return [component, reference, content.digest ?? '', platforms.join(','), state];
  });
  const all = [heading, ...cells];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
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
