// SPDX-License-Identifier: Apache-2.0

/** The kinds of environment variables: what a declaration says of one. */

/** What may be said of a variable besides its kind and meaning. */
interface Details {
  /** The value where the variable is unset or empty. */
  readonly default?: string | number | boolean;
  /** What decides where it is unset and no constant does, for users. */
  readonly otherwise?: string;
  /** The least `count`; 1 where nothing is said. */
  readonly min?: number;
  /** The greatest `count`. */
  readonly max?: number;
  /** A `boolean` of another system, not ours: any text that is not a false word is true. */
  readonly isAnyText?: true;
}

export interface Variable extends Details {
  /** `count` is a whole number, `path` is relative to the directory that the task was started in. */
  readonly kind: 'text' | 'path' | 'boolean' | 'count' | 'choice';
  /** A phrase for `--help` and the tables. */
  readonly meaning: string;
  /** The values of a `choice`. */
  readonly choices?: readonly string[];
}

const none = {} as const;

function declare<K extends Variable['kind']>(kind: K) {
  return <const D extends Details = typeof none>(meaning: string, details: D = none as D) => {
    return { kind, meaning, ...details };
  };
}

export const text = declare('text');
export const path = declare('path');
export const boolean = declare('boolean');
export const count = declare('count');

export function choice<const C extends readonly string[]>(choices: C, meaning: string, details: Details = none) {
  return { kind: 'choice', choices, meaning, ...details } as const;
}
