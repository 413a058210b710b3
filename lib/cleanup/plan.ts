// SPDX-License-Identifier: Apache-2.0

/** What is removed and what is kept and why, pure: the whole plan before anything is removed. */

import { type Environment, readVariable } from '../cli/env.ts';
import { VARIABLES } from '../cli/variables.ts';
import type { EngineName } from '../engine/types.ts';
import { verifyTag } from '../image/reference.ts';
import {
  type Image,
  type Inventory,
  isCostlyImage,
  isOwnImage,
  isOwnVolume,
  isReplacedImage,
  shortName,
  tagOf,
} from './inventory.ts';

export type CleanupFlags = Readonly<
  Record<'all-projects' | 'volumes' | 'skip-cache' | 'yes' | 'force' | 'dry-run', boolean>
>;

type CleanupConfig = ReturnType<typeof resolveCleanupConfig>;

/** @throws usageError for a wrong tag */
export function resolveCleanupConfig(flags: CleanupFlags, env: Environment) {
  const isForAll = flags['all-projects'];
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  // Those that builds and launches use.
  const tags = [...new Set([VARIABLES.IMAGE_TAG.default, tag])];
  // All projects share the build cache.
  return { isForAll, hasVolumes: flags.volumes, hasCache: isForAll && !flags['skip-cache'], tags };
}

const KINDS = ['image', 'volume', 'build cache'] as const;
type KeptReason = 'used' | 'current' | 'others' | 'costly' | 'shared';

/** What is to happen to a name of an image, a volume, or the cache. */
export interface Verdict {
  readonly kind: (typeof KINDS)[number];
  /** Why it is kept; `undefined` where it is removed. */
  readonly kept: KeptReason | undefined;
  /** The arguments of the engine's program that remove it. */
  readonly args: readonly string[];
  /** What goes with it at most: images share their layers. */
  readonly bytes: number;
}

/** What removes a build cache; that of podman consists of images. */
const CACHES: Readonly<Record<EngineName, readonly (readonly string[])[]>> = {
  docker: [['builder', 'prune', '--all', '--force']],
  podman: [],
};

/** The verdicts in the order of the removals. */
export function planCleanup(inventory: Inventory, config: CleanupConfig, engine: EngineName): Verdict[] {
  const { images, used, volumes } = inventory;
  const usedNames = new Set(used.map(shortName));
  return [
    ...images.flatMap((image) => imageVerdicts(image, usedNames, config)),
    ...volumes.map(({ isUsed, labels, name }): Verdict => {
      const kept = isUsed ? 'used' : config.isForAll || isOwnVolume(name, labels) ? undefined : 'others';
      return { kind: 'volume', kept, args: ['volume', 'rm', name], bytes: 0 };
    }),
    ...CACHES[engine].map((args): Verdict => {
      return { kind: 'build cache', kept: config.hasCache ? undefined : 'shared', args, bytes: 0 };
    }),
  ];
}

/** Each name by itself, and none by force: an image goes with its last name. */
function imageVerdicts(image: Image, used: ReadonlySet<string>, config: CleanupConfig): Verdict[] {
  const names = image.names.length === 0 ? [undefined] : image.names;
  const reasons = names.map((name) => (used.has(image.id) ? 'used' : reasonOf(image, name, used, config)));
  const isGone = reasons.every((reason) => reason === undefined);
  return names.map((name, index) => {
    const bytes = isGone && index === names.length - 1 ? image.bytes : 0;
    return { kind: 'image', kept: reasons[index], args: ['image', 'rm', name ?? image.id], bytes };
  });
}

function reasonOf({ isOwn }: Image, name: string | undefined, used: ReadonlySet<string>, config: CleanupConfig) {
  if (name === undefined) return isOwn || config.isForAll ? undefined : 'others';
  if (used.has(shortName(name))) return 'used';
  if (isOwnImage(name)) {
    return isReplacedImage(name) && !config.tags.includes(tagOf(name)) ? undefined : 'current';
  }
  if (!config.isForAll) return 'others';
  return isCostlyImage(name) ? 'costly' : undefined;
}

/** What is kept and why, as comments of a shell. */
export function keptLines(verdicts: readonly Verdict[], { hasVolumes, tags }: CleanupConfig): string[] {
  const whys: Readonly<Record<KeptReason, string>> = {
    used: 'that containers use, running or stopped',
    current: `of OpenShell with a current tag (${tags.join(', ')}), or that no build replaces`,
    others: 'of other projects, or of nobody knows which (--all-projects)',
    costly: 'that many projects use and that take long to get again',
    shared: 'that all projects share (--all-projects, without --skip-cache)',
  };
  const lines = Object.entries(whys).flatMap(([reason, why]) => {
    return countsIn(verdicts.filter(({ kept }) => kept === reason)).map((count) => `${count} ${why}`);
  });
  return [...lines, ...(hasVolumes ? [] : ['all volumes (--volumes)'])].map((line) => `# keeps ${line}`);
}

/** `3 images, 1 volume (images of 1.2 MB at most)`, as much as there is. */
export function amountText(verdicts: readonly Verdict[]): string {
  const megabytes = verdicts.reduce((sum, { bytes }) => sum + bytes, 0) / 1_000_000;
  const size = megabytes === 0 ? '' : ` (images of ${megabytes.toFixed(1)} MB at most)`;
  return `${countsIn(verdicts).join(', ') || 'nothing'}${size}`;
}

function countsIn(verdicts: readonly Verdict[]): string[] {
  return KINDS.flatMap((kind) => {
    const { length } = verdicts.filter((one) => one.kind === kind);
    return length === 0 ? [] : [`${length} ${kind}${length === 1 ? '' : 's'}`];
  });
}
