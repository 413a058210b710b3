// SPDX-License-Identifier: Apache-2.0

/** What is removed and what is kept, pure: the whole plan before anything is removed. */

import type { EngineName } from '../engine/types.ts';
import type { CleanupConfig } from './config.ts';
import type { Image, Inventory } from './inventory.ts';
import { isCostlyImage, isOwnImage, isOwnVolume, isReplacedImage, shortName, tagOf } from './names.ts';

export type KeptReason = 'used' | 'current' | 'others' | 'costly' | 'shared';

/** What is to happen to a name of an image, a volume, or the cache. */
export interface Verdict {
  readonly kind: 'image' | 'volume' | 'build cache';
  /** Why it is kept; `undefined` where it is removed. */
  readonly kept: KeptReason | undefined;
  /** The arguments of the engine's program that remove it. */
  readonly args: readonly string[];
  /** What goes with it at most: images share their layers. */
  readonly bytes: number;
}

/** What removes a build cache that does not consist of images. */
const CACHES: Readonly<Record<EngineName, readonly (readonly string[])[]>> = {
  docker: [['builder', 'prune', '--all', '--force']],
  podman: [],
};

/** The verdicts in the order of the removals. */
export function planCleanup(
  { images, used, volumes }: Inventory,
  config: CleanupConfig,
  engine: EngineName,
): Verdict[] {
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
