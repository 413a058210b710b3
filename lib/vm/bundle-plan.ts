// SPDX-License-Identifier: Apache-2.0

/** What a bundle is made from and what its dry run shows, pure. */

import { relative } from 'node:path';
import type { Door } from '../build-env.ts';
import { type Artefact, artefactsOf } from '../stage/plan.ts';
import { buildLines, builtText, CHECKS, megabytes } from '../stage/report.ts';
import type { Bundle, PreparedBundle } from './bundle.ts';
import type { BundleConfig } from './bundle-config.ts';

/** The supervisor that goes into the bundle. */
export function supervisorOf(config: BundleConfig): Artefact {
  const [artefact] = artefactsOf(config.build);
  if (artefact === undefined) throw new TypeError('a bundle is built for one architecture');
  return artefact;
}

/** The plan: the commands in their order, ready to paste, and the file that is written. */
export function bundleDryRunLines(door: Door, { config, way }: PreparedBundle): string[] {
  if (way.kind === 'proven') {
    return [`# keeps ${config.path}, written on ${dayOf(way.bundle.date)}: nothing can be built here`];
  }
  const { check } = supervisorOf(config);
  return buildLines(
    door,
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

/** A date for people: `2026-11-24 18:03`, in the time of this machine. */
export function dayOf(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
