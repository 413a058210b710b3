// SPDX-License-Identifier: Apache-2.0

/**
 * Loaded before a launch (`node --import`): makes the watcher of the launch add a byte to the file `WATCHER_LOOKS` each
 * time it looks for the gateway's port. So a test knows what the watcher has seen, and waits no time for it.
 */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { WATCHER_LOOKS: file } = process.env;
const { openSync } = fs;

if (file !== undefined && process.argv[1]?.endsWith('/activation-watcher.ts')) {
  fs.openSync = ((...args: Parameters<typeof openSync>) => {
    if (args[0] === '/proc/net/tcp') fs.appendFileSync(file, '.');
    return openSync(...args);
  }) as typeof openSync;
  syncBuiltinESMExports();
}
