// SPDX-License-Identifier: Apache-2.0

/** From times to what is told about them: minimum, median, maximum, ratios, and limits met or missed. */

import { FLOOR_TIMES, type Limits } from './cases.ts';

/** Wall times of one contestant, in milliseconds. */
export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @throws RangeError without any value */
export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((left, right) => left - right);
  const half = sorted.length / 2;
  const [min, max] = [sorted[0], sorted.at(-1)];
  const [lower, upper] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]];
  if (min === undefined || max === undefined || lower === undefined || upper === undefined) {
    throw new RangeError('no values to summarise');
  }
  return { min, median: (lower + upper) / 2, max };
}

/** A ratio of medians, then that of minima in parentheses: noise only ever adds, so the minima are steadier. */
export function ratioText(summary: Summary, base: Summary | undefined): string {
  if (base === undefined) return '-';
  return `${(summary.median / base.median).toFixed(2)} (${(summary.min / base.min).toFixed(2)})`;
}

/**
 * The part of its time that no other order of the same work can go under: its processor time, spread evenly over
 * all cores.
 *
 * @param wall and `processor` in milliseconds
 */
export function leastPart(wall: number, processor: number, cores: number): number {
  return processor / cores / wall;
}

/** What a case is judged by; `undefined` is not measured. */
export interface Measured {
  readonly programs: number | undefined;
  readonly time: Summary;
  readonly node: Summary;
  /** What no task can go under: Node, zx/core and the chain of its programs. */
  readonly floor: Summary | undefined;
}

/** A line for each limit: what was found, what is allowed, met or missed. */
export function verdicts(limits: Limits, { programs, time, node, floor }: Measured): string[] {
  const rows: [string, number | undefined, number | undefined, number][] = [
    ['programs', limits.programs, programs, 0],
    ['times node -e 0', limits.timesNode, time.median / node.median, 2],
    ['times its floor', FLOOR_TIMES, floor && time.median / floor.median, 2],
  ];
  return rows.flatMap(([what, limit, found, digits]) => {
    if (limit === undefined) return [];
    if (found === undefined) return [`${what}: not measured (at most ${limit})`];
    return [`${what}: ${found.toFixed(digits)} of at most ${limit}, ${found <= limit ? 'met' : 'MISSED'}`];
  });
}
