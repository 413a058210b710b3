// SPDX-License-Identifier: Apache-2.0

/** A network of one's own, in which containers can publish ports without a trace on the machine. It needs root. */

import { execFileSync, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { pathOfTool } from './real-tools.ts';
import { until } from './until.ts';

export interface Network {
  /** The program with arguments that starts others in it. */
  readonly through: readonly string[];
  remove(): void;
}

export async function makeNetwork(): Promise<Network> {
  const holder = spawn('setpriv', ['--pdeathsig', 'KILL', pathOfTool('unshare'), '--net', 'sleep', 'infinity'], {
    stdio: 'ignore',
  });
  const namespace = `/proc/${holder.pid}/ns/net`;
  await until(() => readlinkSync(namespace) !== readlinkSync('/proc/self/ns/net'));
  const through = [pathOfTool('nsenter'), `--net=${namespace}`];
  execFileSync(through[0] as string, [...through.slice(1), pathOfTool('busybox'), 'ip', 'link', 'set', 'lo', 'up']);
  return { through, remove: () => void holder.kill('SIGKILL') };
}
