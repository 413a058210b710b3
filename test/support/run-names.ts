// SPDX-License-Identifier: Apache-2.0

/** Names of runs that have ended, as `newRunName` gives them. */

import { newRunName } from '../../lib/fs/temporary-directory.ts';

/** @param start tells two of them apart */
export function endedRun(start = 5, pid = 999_999_999): string {
  return `${pid}-${start}-${newRunName().split('-')[2]}-0123abcd`;
}
