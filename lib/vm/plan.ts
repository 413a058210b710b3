// SPDX-License-Identifier: Apache-2.0

/** What a bundle is built from, and what it is in the end; pure. */

import type { MissingTool } from '../cargo/toolchain.ts';
import type { Change } from '../fs/atomic-write.ts';
import type { Built } from '../stage/artifacts.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../stage/plan.ts';
import type { BundleConfig } from './config.ts';

/** A bundle of an earlier run that was verified. */
export interface ExistingBundle {
  /** Of its content, in bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, for users. */
  readonly verified: string;
  /** When it was written. */
  readonly date: Date;
}

/** A bundle that is planned: nothing but probes has been started. */
export interface PreparedBundle {
  readonly config: BundleConfig;
  /** What builds the supervisor; without a tool chain the existing bundle that is used instead, and the reason. */
  readonly way:
    | { readonly kind: 'build'; readonly stage: PreparedStage }
    | { readonly kind: 'existing'; readonly bundle: ExistingBundle; readonly reason: MissingTool };
}

/** A bundle that is ready to be embedded. */
export interface Bundle extends Omit<ExistingBundle, 'date'> {
  readonly path: string;
  readonly change: Change;
  /** How the supervisor was built; `undefined` for an existing bundle. */
  readonly built?: Built;
}

/** The supervisor that goes into the bundle. */
export function supervisorOf(config: BundleConfig): Artifact {
  const [artifact] = artifactsOf(config.stage);
  if (artifact === undefined) throw new TypeError('a bundle is built for one architecture');
  return artifact;
}
