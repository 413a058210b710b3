// SPDX-License-Identifier: Apache-2.0

/** What the machine is, as a value: a test passes another machine in. */

import type { Environment } from './environment.ts';
import { wholeNumberOf } from './environment.ts';
import { type Limits, ownLimits, personSoftLimit } from './limits.ts';
import { type Invoker, invokerOf } from './ownership.ts';
import { GUARD_VARIABLES } from './product.ts';

export interface Machine {
  readonly platform: NodeJS.Platform;
  /** The limits that a child inherits. */
  readonly limits: Limits;
  /** The soft open-file limit of the person's shell, where it is known. */
  readonly personLimit: number | undefined;
  /** Whether a process can be replaced by another program; where it cannot, `become` runs it as a child. */
  readonly canReplace: boolean;
  /** The person who called sudo. */
  readonly invoker: Invoker | undefined;
}

/**
 * Reads this machine.
 *
 * @throws usageError for a wrong limit handed over by a launcher
 */
export function thisMachine(env: Environment): Machine {
  return {
    platform: process.platform,
    limits: ownLimits(),
    personLimit: wholeNumberOf(env, GUARD_VARIABLES.personLimit, 1) ?? personSoftLimit(),
    canReplace: process.platform !== 'win32',
    invoker: invokerOf(env),
  };
}
