// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Watched, watch } from '../../../lib/gateway/activation-watcher.ts';
import { type ProcessIdentity, thisProcess } from '../../../lib/process/identity.ts';
import { freePort } from '../../support/free-port.ts';
import { listen } from '../../support/listener.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A gateway that would become the active one in a config home. */
function watched(port: number, process: ProcessIdentity, home: string): Watched {
  return {
    process,
    isReplaced: true,
    address: '127.0.0.1',
    port,
    name: 'docker-dev',
    endpoint: `http://127.0.0.1:${port}`,
    activateIn: home,
    startedAt: Date.now(),
  };
}

const activeIn = (home: string) => readFileSync(join(home, 'openshell/active_gateway'), 'utf8');

describe('H22: the watcher', () => {
  test('a gateway that responds becomes the active one', async () => {
    const home = temporaryDirectory();
    const said: string[] = [];
    await watch(watched(await listen('127.0.0.1'), thisProcess(), home), (text) => said.push(text));
    expect(activeIn(home)).toBe('docker-dev');
    expect(said.join()).toMatch(
      /^docker-dev is up at http:\/\/127.0.0.1:\d+ after \d.* s, now the active gateway of the CLI$/,
    );
  });

  test('one that does not respond yet is not the active one', async () => {
    const home = temporaryDirectory();
    const port = await freePort();
    const said: string[] = [];
    // The first look is over when this is back.
    const watching = watch(watched(port, thisProcess(), home), (text) => said.push(text));
    expect([said, existsSync(join(home, 'openshell'))]).toEqual([[], false]);
    const server = createServer().listen({ host: '127.0.0.1', port });
    onTestFinished(() => void server.close());
    await watching;
    expect(activeIn(home)).toBe('docker-dev');
  });

  test('one that has ended changes nothing, although another program listens on its port', async () => {
    const home = temporaryDirectory();
    mkdirSync(join(home, 'openshell'));
    writeFileSync(join(home, 'openshell/active_gateway'), 'prod');
    const port = await listen('127.0.0.1');
    const gateway = spawn('cat');
    onTestFinished(() => void gateway.kill());
    await once(gateway, 'spawn');
    const said: string[] = [];
    // The first look, at a gateway that lives and a port that responds, is over when this is back.
    const watching = watch(watched(port, { pid: gateway.pid as number }, home), (text) => said.push(text));
    gateway.stdin.end();
    await watching;
    expect(said).toEqual([]);
    expect(activeIn(home)).toBe('prod');
  });
});
