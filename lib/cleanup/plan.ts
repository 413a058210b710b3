// SPDX-License-Identifier: Apache-2.0

/** What is removed and what is kept, pure: the whole plan before anything is removed. */

import type { EngineName } from '../engine/types.ts';
import type { CleanupConfig } from './config.ts';
import type { Image, Inventory, Volume } from './inventory.ts';
import { isCostlyImage, isOwnImage, isOwnVolume, shortName, tagOf } from './names.ts';

export type KeptReason = 'used' | 'current' | 'others' | 'costly';

export interface Removal {
  readonly kind: 'image' | 'volume' | 'build cache';
  /** The arguments of the engine's program. */
  readonly args: readonly string[];
  /** What goes with it at most: images share their layers. */
  readonly bytes: number;
}

export interface CleanupPlan {
  /** In their order. */
  readonly removals: readonly Removal[];
  /** Why each of those is kept that are. */
  readonly kept: Readonly<Record<'image' | 'volume', readonly KeptReason[]>>;
}

/** What removes a build cache that does not consist of images. */
const CACHE: Readonly<Record<EngineName, readonly string[] | undefined>> = {
  docker: ['builder', 'prune', '--all', '--force'],
  podman: undefined,
};

export function planCleanup(inventory: Inventory, config: CleanupConfig, engine: EngineName): CleanupPlan {
  const used = new Set(inventory.used.map(shortName));
  const images = inventory.images.map((image) => ({ image, reasons: imageReasons(image, used, config) }));
  const volumes = inventory.volumes.map((volume) => ({ volume, reason: volumeReason(volume, config) }));
  const unkept = volumes.filter(({ reason }) => reason === undefined);
  const cache = config.hasCache ? CACHE[engine] : undefined;
  return {
    removals: [
      ...images.flatMap(({ image, reasons }) => imageRemovals(image, reasons)),
      ...unkept.map(({ volume }) => ({ kind: 'volume', args: ['volume', 'rm', volume.name], bytes: 0 }) as const),
      ...(cache === undefined ? [] : [{ kind: 'build cache', args: cache, bytes: 0 } as const]),
    ],
    kept: {
      image: images.flatMap(({ reasons }) => reasons).filter((reason) => reason !== undefined),
      volume: volumes.map(({ reason }) => reason).filter((reason) => reason !== undefined),
    },
  };
}

function volumeReason({ isUsed, labels, name }: Volume, { isForAll }: CleanupConfig): KeptReason | undefined {
  if (isUsed) return 'used';
  return isForAll || isOwnVolume(name, labels) ? undefined : 'others';
}

/** Why each name is kept, `undefined` for one that is removed; an image without a name has one verdict. */
function imageReasons({ id, isOwn, names }: Image, used: ReadonlySet<string>, config: CleanupConfig) {
  if (names.length === 0) return [used.has(id) ? 'used' : isOwn || config.isForAll ? undefined : 'others'] as const;
  return names.map((name): KeptReason | undefined => {
    if (used.has(id) || used.has(shortName(name))) return 'used';
    if (isOwnImage(name)) return config.tags.includes(tagOf(name)) ? 'current' : undefined;
    if (!config.isForAll) return 'others';
    return isCostlyImage(name) ? 'costly' : undefined;
  });
}

/** Each name by itself, and none by force: an image goes with its last name. */
function imageRemovals({ bytes, id, names }: Image, reasons: readonly (KeptReason | undefined)[]): Removal[] {
  const all = names.length === 0 ? [id] : names;
  const going = all.filter((_, index) => reasons[index] === undefined);
  const isLast = (index: number) => index === all.length - 1;
  return going.map((name, at) => ({ kind: 'image', args: ['image', 'rm', name], bytes: isLast(at) ? bytes : 0 }));
}
