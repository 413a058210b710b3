// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it made is verified and compressed.
 * Where nothing can be built, a proven bundle that is there already is used.
 */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { holderText, waitForLock } from '../lock.ts';
import { meanwhile } from '../meanwhile.ts';
import { buildAll } from '../stage/carry-out.ts';
import type { Workbench } from '../task.ts';
import { MissingTool } from '../toolchain.ts';
import type { BundleConfig } from './bundle-config.ts';
import { type Bundle, dayOf, type PreparedBundle } from './bundle-plan.ts';
import type { ProvenBundle } from './proven.ts';

/**
 * Brings the bundle up to date.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOutBundle(bench: Workbench, { config, way }: PreparedBundle): Promise<Bundle> {
  if (way.kind === 'proven') return useProven(bench, config, way.bundle, way.lack);
  const lock = await waitForLock(join(config.root, 'target/.vm-bundle.lock'), 'VM bundle', bench.signals, (holder) =>
    bench.terminal.say(`waiting for another bundle of this checkout: ${holderText(holder)}`),
  );
  try {
    const [[built], { bringUpToDate }] = await Promise.all([
      buildAll(bench, way.stage),
      meanwhile(() => import('./content.ts')),
    ]);
    if (built === undefined) throw new TypeError('a bundle is built by one cargo run');
    const change = await bringUpToDate(bench, config, built);
    const { size, verified } = built;
    return { path: config.path, change, size, compressedSize: lstatSync(config.path).size, verified, built };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    const { provenInstead } = await import('./proven.ts');
    return useProven(bench, config, await provenInstead(config, error), error);
  } finally {
    await lock.release();
  }
}

function useProven(bench: Workbench, config: BundleConfig, bundle: ProvenBundle, lack: MissingTool): Bundle {
  bench.terminal.warn(`the VM's supervisor is the one of ${dayOf(bundle.date)}, and may be old: ${lack.message}`);
  const { size, compressedSize, verified, date } = bundle;
  return { path: config.path, change: 'unchanged', size, compressedSize, verified, fromProven: date };
}
