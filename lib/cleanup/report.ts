// SPDX-License-Identifier: Apache-2.0

/** What a clean-up prints: what it keeps and why, and the amounts. */

import type { CleanupConfig } from './config.ts';
import type { CleanupPlan, KeptReason, Removal } from './plan.ts';

const MB = 1_000_000;

/** What is kept and why, as comments of a shell. */
export function keptLines({ kept }: CleanupPlan, { hasCache, hasVolumes, isForAll, tags }: CleanupConfig): string[] {
  const whys: Readonly<Record<KeptReason, string>> = {
    used: 'that containers use, running or stopped',
    current: `of OpenShell with a current tag (${tags.join(', ')})`,
    others: 'of other projects, or of nobody knows whom (--all-projects)',
    costly: 'that many projects use and that take long to get again',
  };
  const linesOf = (kind: 'image' | 'volume') =>
    Object.entries(whys).map(([reason, why]) => {
      const { length } = kept[kind].filter((one) => one === reason);
      return length === 0 ? '' : `${counted(length, kind)} ${why}`;
    });
  const cache = `the build cache${isForAll ? '' : ', which all projects share (--all-projects)'}`;
  const lines = [...linesOf('image'), ...(hasVolumes ? linesOf('volume') : ['all volumes (--volumes)'])];
  return [...lines, hasCache ? '' : cache].filter((line) => line !== '').map((line) => `# keeps ${line}`);
}

/** `3 images (1.2 MB at most), 1 volume, the build cache`, as much as there is. */
export function amountText(removals: readonly Removal[]): string {
  const countOf = (kind: Removal['kind']) => removals.filter((one) => one.kind === kind).length;
  const [images, volumes] = [countOf('image'), countOf('volume')];
  const megabytes = removals.reduce((sum, { bytes }) => sum + bytes, 0) / MB;
  const size = megabytes < 1000 ? `${megabytes.toFixed(1)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
  const parts = [
    images === 0 ? '' : `${counted(images, 'image')} (${size} at most)`,
    volumes === 0 ? '' : counted(volumes, 'volume'),
    countOf('build cache') === 0 ? '' : 'the build cache',
  ];
  return parts.filter((part) => part !== '').join(', ') || 'nothing';
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
