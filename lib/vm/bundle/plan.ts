// SPDX-License-Identifier: Apache-2.0

/** What a bundle is built from, what is written, and what is printed of it. */

import { relative } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { megabytes } from '../../cli/terminal.ts';
import type { MissingTool } from '../../errors.ts';
import type { Change } from '../../fs/atomic-write.ts';
import { files, type Place } from '../../fs/writable-places.ts';
import { buildPlaces, type PreparedStage } from '../../stage/plan.ts';
import { CHECKS, dryRunLines } from '../../stage/report.ts';
import { DIRECTORY_REMEDY, runtimeLock } from '../runtime-files.ts';
import type { BundleConfig } from './config.ts';

/** A bundle that is ready to be embedded. */
export interface Bundle {
  readonly change: Change;
  /** Of its content, in bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, or how it was built, for users. */
  readonly text: string;
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
  return [
    { kind: 'directory', path: config.directory, remedy: DIRECTORY_REMEDY },
    { kind: 'opened', ...runtimeLock(config.directory) },
    ...files(config.path),
    ...buildPlaces(source.stage.plan),
  ];
}

/** The plan: the commands in their order, ready to paste, and the file that is written. */
export function bundleDryRunLines(runner: Runner, { config, source }: PreparedBundle): string[] {
  if (!('stage' in source)) {
    return [`# keeps ${config.path}, written on ${dayOf(source.date)}: nothing can be built here`];
  }
  return dryRunLines(
    runner,
    source.stage,
    ({ check }) => `compresses it to ${config.path} where its content is new (${CHECKS[check]})`,
  );
}

/** The closing report of a bundle. */
export function bundleReportLine({ path, stage: { root } }: BundleConfig, bundle: Bundle): string {
  const sizes = `${megabytes(bundle.size)} in ${megabytes(bundle.compressedSize)}`;
  const shownPath = path.startsWith(`${root}/`) ? relative(root, path) : path;
  return `${bundle.change === 'written' ? 'bundled' : 'unchanged'}: ${shownPath} (${sizes}, ${bundle.text})`;
}

/** A date for users: `2026-11-24 18:03`, in the time of this machine. */
export function dayOf(date: Date): string {
  // Swedish dates are those of ISO 8601.
  return date.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
