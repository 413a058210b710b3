// SPDX-License-Identifier: Apache-2.0

/**
 * What publishes leave on this machine: names in podman's storage, and a directory for temporary files. Each ends with
 * the name of its run, so that a publish removes its own at its end, and at its start those of runs that were killed.
 */

import type { RunnerContext } from '../build-env.ts';
import { probeCommand } from '../engine/detect.ts';
import { oneLine } from '../errors.ts';
import { removeScratch } from '../fs/temporary-directory.ts';
import { type PublishPlan, SCRATCH_PREFIX } from './plan.ts';

const TIMEOUT_MS = 30_000;
const ATTEMPTS = 3;

/** Removes what runs that are over have left. Where that fails a publish goes on: no other run needs those names. */
export async function cleanUp(
  { runner, signals, terminal }: RunnerContext,
  { config, engine, publishing, scratch }: Pick<PublishPlan, 'config' | 'engine' | 'publishing' | 'scratch'>,
  isOver: (name: string) => boolean,
): Promise<void> {
  const warn = (reason: string) => terminal.warn(`what a publish has left cannot be removed: ${reason}`);
  removeScratch(scratch, SCRATCH_PREFIX, isOver, warn);
  const { leftovers } = publishing;
  // After a signal the runner starts nothing more: the next publish removes the names.
  if (leftovers === undefined || signals.aborted.aborted) return;
  const probe = (args: readonly string[]) =>
    runner.probe(probeCommand([engine.program, ...args], config.root), TIMEOUT_MS);
  const remove = async () => {
    const listed = await probe(leftovers.list);
    const names = listed.ok ? listed.output.split('\n').filter(isOver) : [];
    return names.length > 0 ? probe([...leftovers.remove, ...names]) : listed;
  };
  let removed = await remove();
  // Podman 4.3 now and then does not find the content of a list that it is to remove, and finds it when asked again.
  for (let again = 1; !removed.ok && again < ATTEMPTS && !signals.aborted.aborted; again++) removed = await remove();
  if (!removed.ok) warn(oneLine(removed.reason));
}
