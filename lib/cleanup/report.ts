// SPDX-License-Identifier: Apache-2.0

/** What a clean-up prints: what it keeps and why, and the amounts. */

import type { CleanupConfig } from './config.ts';
import type { KeptReason, Verdict } from './plan.ts';

const MB = 1_000_000;
const KINDS = ['image', 'volume', 'build cache'] as const;

/** What is kept and why, as comments of a shell. */
export function keptLines(verdicts: readonly Verdict[], { hasVolumes, tags }: CleanupConfig): string[] {
  const whys: Readonly<Record<KeptReason, string>> = {
    used: 'that containers use, running or stopped',
    current: `of OpenShell with a current tag (${tags.join(', ')}), or that no build replaces`,
    others: 'of other projects, or of nobody knows which (--all-projects)',
    costly: 'that many projects use and that take long to get again',
    shared: 'that all projects share (--all-projects, without --skip-cache)',
  };
  const lines = KINDS.flatMap((kind) =>
    Object.entries(whys).flatMap(([reason, why]) => {
      const these = verdicts.filter(({ kept }) => kept === reason);
      const counted = countText(these, kind);
      return counted === undefined ? [] : [`${counted} ${why}`];
    }),
  );
  return [...lines, ...(hasVolumes ? [] : ['all volumes (--volumes)'])].map((line) => `# keeps ${line}`);
}

/** `3 images, 1 volume (images of 1.2 MB at most)`, as much as there is. */
export function amountText(verdicts: readonly Verdict[]): string {
  const megabytes = verdicts.reduce((sum, { bytes }) => sum + bytes, 0) / MB;
  const size = megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
  const counts = KINDS.map((kind) => countText(verdicts, kind)).filter((text) => text !== undefined);
  return `${counts.join(', ') || 'nothing'}${megabytes === 0 ? '' : ` (images of ${size} at most)`}`;
}

function countText(verdicts: readonly Verdict[], kind: Verdict['kind']): string | undefined {
  const { length } = verdicts.filter((one) => one.kind === kind);
  return length === 0 ? undefined : `${length} ${kind}${length === 1 ? '' : 's'}`;
}
