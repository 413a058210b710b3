// SPDX-License-Identifier: Apache-2.0

/**
 * What a publish leaves on this machine when it is killed: names in podman's storage and a directory for
 * temporary files. Each bears the run that made it, so that the next publish removes those of dead runs.
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskContext } from '../cli/task.ts';
import { question } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { oneLine } from '../errors.ts';
import { isSameProcess, thisProcess } from '../process/identity.ts';
import { publishingOf } from './engines/index.ts';
import { SCRATCH_PREFIX } from './plan.ts';

const PROBE_TIMEOUT_MS = 30_000;

/** A word for this run that no other one has; letters that a tag may have. */
export function runWord(): string {
  const { pid, startTicks } = thisProcess();
  return `${pid}-${startTicks ?? 0}-${randomBytes(4).toString('hex')}`;
}

/** Whether a name ends with the word of a run that has ended. */
export function isLeftover(name: string): boolean {
  const [, pid, startTicks] = /[-:]([1-9][0-9]*)-([0-9]+)-[0-9a-f]{8}$/.exec(name) ?? [];
  if (pid === undefined) return false;
  return !isSameProcess({ pid: Number(pid), startTicks: startTicks === '0' ? undefined : startTicks });
}

/** Removes what dead runs have left. */
export async function sweep(ctx: TaskContext, engine: Engine, root: string, temporary: string): Promise<void> {
  for (const name of readdirSync(temporary)) {
    if (name.startsWith(SCRATCH_PREFIX) && isLeftover(name)) rmSync(join(temporary, name), { recursive: true });
  }
  const words = publishingOf(engine.record.name).leftovers;
  if (words === undefined) return;
  const answer = await ctx.runner.probe(question([engine.program, ...words], root), PROBE_TIMEOUT_MS);
  if (answer.ok) await removeNames(ctx, engine, root, answer.output.split('\n').filter(isLeftover));
  else ctx.terminal.warn(`what killed runs may have left cannot be listed: ${oneLine(answer.reason)}`);
}

/** Removes names on this machine. They are in nobody's way, so one that cannot be removed does not stop a publish. */
export async function removeNames(
  ctx: TaskContext,
  engine: Engine,
  root: string,
  names: readonly string[],
): Promise<void> {
  // A signal has ended this task, and the runner is closed: the next publish removes them.
  if (names.length === 0 || ctx.signals.aborted.aborted) return;
  const words = publishingOf(engine.record.name).removal(names);
  const answer = await ctx.runner.probe(question([engine.program, ...words], root), PROBE_TIMEOUT_MS);
  if (!answer.ok) ctx.terminal.warn(`${names.join(', ')} cannot be removed: ${oneLine(answer.reason)}`);
}
