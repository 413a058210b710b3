// SPDX-License-Identifier: Apache-2.0

/**
 * A real service for tests: a program with a directory of its own (sockets, data, log), started, waited for, stopped.
 *
 * Nothing outlives the test run: a service that nobody stops gets SIGTERM from the kernel when the process that started
 * it ends, however that ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { type RequestOptions, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seconds } from '../../../lib/cli/terminal.ts';

const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 25;
const STOP_TIMEOUT_MS = 20_000;
const LOG_LINES_SHOWN = 30;

/** How a service is started, and how one knows that it serves. */
export interface ServiceSpec {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Where its files are; `serviceDirectory` makes one. */
  readonly directory: string;
  /** Whether it serves; asked again and again. */
  readonly isReady: (log: () => string) => Promise<boolean>;
  /** What is left to do when the program has ended and before its directory is removed. */
  readonly afterwards?: () => void;
}

/** A service that runs. */
export interface Service {
  /** Everything of it, removed by `stop`. */
  readonly directory: string;
  readonly pid: number;
  /** What the program has said so far. */
  log(): string;
  /** Ends the program and removes its directory; a second call does nothing. */
  stop(): Promise<void>;
  /** Ends the program with SIGKILL, as a crash would, and keeps its directory until `stop`. */
  kill(): Promise<void>;
}

const running = new Set<Service>();

/** Stops every service that this process has started and not stopped. */
export async function stopServices(): Promise<void> {
  const results = await Promise.allSettled([...running].map((service) => service.stop()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** A new directory for a service, with a path short enough for a socket in it (108 bytes on Linux). */
export function serviceDirectory(name: string): string {
  return mkdtempSync(join(realpathSync(tmpdir()), `os-${name}-`));
}

/**
 * Starts a service and waits until it serves.
 *
 * @throws Error with the last lines of its log, when it ends at once or does not serve in time
 */
export async function startService(spec: ServiceSpec): Promise<Service> {
  const logPath = join(spec.directory, 'log');
  const log = () => readFileSync(logPath, 'utf8');
  const output = openSync(logPath, 'a');
  // The kernel ends it with its parent: a test run that is killed leaves nothing behind.
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...spec.argv], {
    cwd: spec.directory,
    env: spec.env,
    stdio: ['ignore', output, output],
    detached: true,
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
  });
  const end = () => endService(spec, child, ended);
  const service: Service = {
    directory: spec.directory,
    pid: child.pid ?? 0,
    log,
    stop: async () => {
      if (!running.delete(service)) return;
      await end();
      spec.afterwards?.();
      rmSync(spec.directory, { recursive: true, force: true });
    },
    kill: async () => {
      signalService(child, 'SIGKILL');
      await ended;
    },
  };
  running.add(service);
  const problem = await whyNotReady(spec, ended, log);
  if (problem === undefined) return service;
  const said = log().trimEnd().split('\n').slice(-LOG_LINES_SHOWN).join('\n');
  await service.stop();
  throw new Error(`${spec.name} ${problem}; it said:\n${said}`);
}

/** Waits until the service serves. @returns why it does not, or nothing */
async function whyNotReady(spec: ServiceSpec, ended: Promise<string>, log: () => string): Promise<string | undefined> {
  let end: string | undefined;
  void ended.then((how) => (end = how));
  for (const start = Date.now(); Date.now() - start < READY_TIMEOUT_MS; await sleep(READY_POLL_MS)) {
    if (end !== undefined) return `ended at once (${end})`;
    if (await spec.isReady(log)) return undefined;
  }
  return `does not serve after ${seconds(READY_TIMEOUT_MS)}`;
}

async function endService(spec: ServiceSpec, child: ChildProcess, ended: Promise<string>): Promise<void> {
  signalService(child, 'SIGTERM');
  const timeout = new AbortController();
  const tooLong = sleep(STOP_TIMEOUT_MS, 'too long', { signal: timeout.signal }).catch(() => '');
  const how = await Promise.race([ended, tooLong]);
  timeout.abort();
  if (how !== 'too long') return;
  signalService(child, 'SIGKILL');
  await ended;
  throw new Error(`${spec.name} did not end within ${seconds(STOP_TIMEOUT_MS)} of SIGTERM and was killed`);
}

/** The service itself, not its group: a daemon ends what it has started in its own order. */
function signalService(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
}

/** Whether somebody accepts connections on a Unix socket. */
export function acceptsConnections(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The status that an HTTP server answers with; `undefined` where none answers. */
export function httpStatus(where: RequestOptions): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request(where, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.once('error', () => resolve(undefined)).end();
  });
}
