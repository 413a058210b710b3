// SPDX-License-Identifier: Apache-2.0

/** Names of runs that have ended, as `newRunName` gives them. */

import { newRunName } from '../../lib/fs/temporary-directory.ts';

/** @param digit tells two of them apart */
export function endedRun(digit = 5): string {
  return `999999999-${newRunName().split('-')[1]}-0123abc${digit}`;
}
