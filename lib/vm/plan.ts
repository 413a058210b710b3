// SPDX-License-Identifier: Apache-2.0

/** What a bundle is built from, and what it is in the end. */

import type { MissingTool } from '../errors.ts';
import type { Change } from '../fs/atomic-write.ts';
import { files, type Place } from '../fs/writable-places.ts';
import { buildPlaces, type PreparedStage } from '../stage/plan.ts';
import type { Built } from '../stage/verify-built.ts';
import type { BundleConfig } from './config.ts';
import { lockPlace } from './runtime/stage.ts';

/** A bundle that is ready to be embedded. */
export interface Bundle {
  readonly path: string;
  readonly change: Change;
  /** Of its content, in bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, for users. */
  readonly verified: string;
  /** How the supervisor was built; `undefined` for an existing bundle. */
  readonly built?: Built;
}

/** A verified bundle of an earlier run, which is used because nothing can be built. */
export interface ExistingBundle {
  readonly bundle: Bundle;
  /** When it was written. */
  readonly date: Date;
  readonly reason: MissingTool;
}

/** A bundle that is planned: nothing but probes has been started. */
export interface PreparedBundle {
  readonly config: BundleConfig;
  readonly source: { readonly stage: PreparedStage } | ExistingBundle;
}

/** What is written; nothing where an existing bundle is used. */
export function bundlePlaces({ config, source }: PreparedBundle): Place[] {
  if (!('stage' in source)) return [];
  const remedy = 'set OPENSHELL_VM_RUNTIME_COMPRESSED_DIR to another directory';
  return [
    { kind: 'directory', path: config.directory, remedy },
    lockPlace(config.directory),
    ...files(config.path),
    ...buildPlaces(source.stage.plan),
  ];
}
