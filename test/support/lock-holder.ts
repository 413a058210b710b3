// SPDX-License-Identifier: Apache-2.0

/**
 * A process that takes a lock ROUNDS times, holds it for PAUSE milliseconds (or until the file PAUSE
 * is there), and says what happens.
 * With GUARDED (a path) it makes that file while it holds the lock, and fails where the file is there.
 */

import { existsSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Terminal } from '../../lib/cli/terminal.ts';
import { TaskError } from '../../lib/errors.ts';
import { whileLocked } from '../../lib/fs/lock.ts';
import { Signals } from '../../lib/process/signals.ts';

const [path = '', task = '', rounds = '1', pause = '0', guarded = ''] = process.argv.slice(2);
const say = (text: string) => writeSync(1, `${text}\n`);
const signals = new Signals();
const out = { write: (text: string | Uint8Array) => writeSync(1, String(text)) };
const terminal = new Terminal(out, out, {});
signals.listen();
try {
  for (let round = 0; round < Number(rounds); round++) {
    await whileLocked({ signals, terminal }, { path, task, other: 'another holder', remedy: 'move it' }, async () => {
      say('held');
      if (guarded !== '') writeFileSync(guarded, '', { flag: 'wx' });
      if (pause.startsWith('/')) while (!existsSync(pause)) await sleep(5);
      else await sleep(Number(pause));
      if (guarded !== '') rmSync(guarded);
    });
  }
  say('done');
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  say(error.message);
  process.exitCode = error.exitCode;
} finally {
  signals.stop();
}
