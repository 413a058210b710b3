// SPDX-License-Identifier: Apache-2.0

/**
 * Preloaded with `--import` into a Node that is to run under the open-file limit of a stock macOS shell.
 *
 * A limit that is set before Node starts is no use: Node raises its soft limit to the hard one at start-up, and what it
 * starts inherits that. This runs after that, and before the first line of the task. `prlimit` is a part of util-linux;
 * nothing else lowers the limit of a running process.
 */

import { execFileSync } from 'node:child_process';
import { ownLimits } from '../../../lib/process/identity.ts';
import { LOW_LIMIT } from './run.ts';

execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${LOW_LIMIT}:`]);
const { soft } = ownLimits();
if (soft !== LOW_LIMIT) throw new Error(`prlimit did not lower the limit of open files to ${LOW_LIMIT}: it is ${soft}`);
