// SPDX-License-Identifier: Apache-2.0

/** What a bundle prints: the plan of a dry run, and the closing report. */

import { relative } from 'node:path';
import type { Runner } from '../build-env.ts';
import { megabytes } from '../cli/terminal.ts';
import { builtText, CHECKS, dryRunLines } from '../stage/report.ts';
import type { Bundle, PreparedBundle } from './plan.ts';

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
export function bundleReportLine(root: string, bundle: Bundle): string {
  const { path, size, compressedSize, change, built } = bundle;
  const sizes = `${megabytes(size)} in ${megabytes(compressedSize)}`;
  const what = change === 'written' ? 'bundled' : 'unchanged';
  const shownPath = path.startsWith(`${root}/`) ? relative(root, path) : path;
  return `${what}: ${shownPath} (${sizes}, ${built === undefined ? bundle.verified : builtText(built)})`;
}

/** A date for users: `2026-11-24 18:03`, in the time of this machine. */
export function dayOf(date: Date): string {
  // Swedish dates are those of ISO 8601.
  return date.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
