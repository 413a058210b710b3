// SPDX-License-Identifier: Apache-2.0

/** The compute drivers and the words that name them. */

import { shown, usageError } from '../errors.ts';

export const DRIVER_NAMES = ['docker', 'podman', 'vm', 'kubernetes'] as const;

export type DriverName = (typeof DRIVER_NAMES)[number];

const WORDS: Readonly<Record<string, DriverName>> = {
  docker: 'docker',
  podman: 'podman',
  vm: 'vm',
  microvm: 'vm',
  kubernetes: 'kubernetes',
  k8s: 'kubernetes',
};

/**
 * The driver that a word means, in any case.
 *
 * @param source the flag or variable that the word comes from
 * @throws usageError that lists the words
 */
export function driverOf(source: string, word: string): DriverName {
  const lower = word.trim().toLowerCase();
  const name = Object.hasOwn(WORDS, lower) ? WORDS[lower] : undefined;
  if (name !== undefined) return name;
  const several = word.includes(',') ? ': a gateway has one driver' : '';
  throw usageError(
    `${source} is ${shown(word)}${several}; allowed is one of ${Object.keys(WORDS).join(', ')}; change it or leave it out`,
  );
}
