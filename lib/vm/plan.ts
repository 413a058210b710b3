// SPDX-License-Identifier: Apache-2.0

/** What a bundle is made from and what its dry run shows, pure. */

import { relative } from 'node:path';
import type { Runner } from '../build-env.ts';
import type { MissingTool } from '../cargo/toolchain.ts';
import type { Change } from '../fs/atomic-write.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../stage/plan.ts';
import { type Built, buildLines, builtText, CHECKS, megabytes } from '../stage/report.ts';
import type { BundleConfig } from './config.ts';
import type { ExistingBundle } from './existing-bundle.ts';

/** A bundle that is planned: nothing but questions has been started. */
export interface PreparedBundle {
  readonly config: BundleConfig;
  /** What builds the supervisor; without a tool-chain the existing bundle that is used instead. */
  readonly way:
    | { readonly kind: 'build'; readonly stage: PreparedStage }
    | { readonly kind: 'existing'; readonly bundle: ExistingBundle; readonly lack: MissingTool };
}

/** A bundle that is ready to be embedded. */
export interface Bundle {
  readonly path: string;
  readonly change: Change;
  /** Of its content, in bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, for users. */
  readonly verified: string;
  /** How the supervisor was built; `undefined` for a existing bundle. */
  readonly built?: Built;
  /** For a existing bundle: when it was written. */
  readonly existingSince?: Date;
}

/** The supervisor that goes into the bundle. */
export function supervisorOf(config: BundleConfig): Artifact {
  const [artifact] = artifactsOf(config.build);
  if (artifact === undefined) throw new TypeError('a bundle is built for one architecture');
  return artifact;
}

/** The plan: the commands in their order, ready to paste, and the file that is written. */
export function bundleDryRunLines(runner: Runner, { config, way }: PreparedBundle): string[] {
  if (way.kind === 'existing') {
    return [`# keeps ${config.path}, written on ${dayOf(way.bundle.date)}: nothing can be built here`];
  }
  const { check } = supervisorOf(config);
  return buildLines(
    runner,
    way.stage,
    () => `compresses it to ${config.path} where its content is new (${CHECKS[check]})`,
  );
}

/** The closing report of a bundle. */
export function bundleReportLine(root: string, bundle: Bundle): string {
  const { path, size, compressedSize, change, built } = bundle;
  const sizes = `${megabytes(size)} in ${megabytes(compressedSize)}`;
  const what = change === 'written' ? 'bundled' : 'unchanged';
  const shownPath = path.startsWith(`${root}/`) ? relative(root, path) : path;
  return `${what}: ${shownPath} (${sizes}, ${built === undefined ? bundle.verified : builtText(built)})`;
}

/** A date for users: `2026-11-24 18:03`, in the time of this machine. */
export function dayOf(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
