// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync } from 'node:fs';

/**
 * The pids of running processes that were started with a variable: `NAME=value`, with a value of the test's own.
 * What a task starts inherits it, so nothing that the task leaves behind is overlooked. From `/proc`.
 */
export function processesWith(variable: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .filter((pid) => {
      try {
        return `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(`\0${variable}\0`);
      } catch {
        // It has ended meanwhile, or belongs to somebody else.
        return false;
      }
    });
}
