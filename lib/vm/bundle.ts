// SPDX-License-Identifier: Apache-2.0

/** The VM's supervisor bundle: built, verified and compressed, or a proven one that is there already. */

import type { Change } from '../files.ts';
import type { PreparedStage } from '../stage/run.ts';
import type { Workbench } from '../task.ts';
import type { BundleConfig } from './bundle-config.ts';
import type { ProvenBundle } from './proven.ts';

/** A bundle that is planned: nothing but questions has been started. */
export interface PreparedBundle {
  readonly config: BundleConfig;
  /** What builds the supervisor; without a tool-chain the proven bundle that is used instead. */
  readonly way:
    | { readonly kind: 'build'; readonly stage: PreparedStage }
    | { readonly kind: 'proven'; readonly bundle: ProvenBundle };
}

/** A bundle that is ready to be embedded. */
export interface Bundle {
  readonly path: string;
  readonly change: Change;
  /** In bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, for people. */
  readonly verified: string;
  /** Set where nothing was built: when the bundle that is used was written. */
  readonly fromProven?: Date;
}

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where nothing can be built here and no proven bundle is there
 */
export async function prepareBundle(bench: Workbench, config: BundleConfig): Promise<PreparedBundle> {
  throw new Error(`to come: ${bench.startDirectory} ${config.path}`);
}

/**
 * Brings the bundle up to date.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOutBundle(bench: Workbench, prepared: PreparedBundle): Promise<Bundle> {
  throw new Error(`to come: ${bench.startDirectory} ${prepared.config.path}`);
}
