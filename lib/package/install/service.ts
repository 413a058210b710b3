// SPDX-License-Identifier: Apache-2.0

/** The packaged service of the user: whether it runs, and waiting until it responds. */

import type { RunnerContext } from '../../build-env.ts';
import { failure, MissingTool, oneLine, usageError } from '../../errors.ts';
import { canConnect, portOwner } from '../../gateway/port.ts';
import { cmd } from '../../process/command.ts';
import { poll } from '../../process/poll.ts';
import type { ProbeResult } from '../../process/result.ts';
import { requireProgram } from '../../process/which.ts';
import { DEB } from '../../product.ts';
import type { InstallFacts } from './plan.ts';

const PROBE_TIMEOUT_MS = 15_000;
const POLL_MS = 250;
/** The states of a unit that has no process, and will not start one by itself. */
const ENDED = ['inactive', 'failed'];

/** Probes the state of the service, one word. */
function probeState({ runner, startDirectory: cwd }: RunnerContext): Promise<ProbeResult> {
  const command = cmd({ cwd })`systemctl --user show --property=ActiveState --value ${DEB.service}`;
  return runner.probe(command, PROBE_TIMEOUT_MS);
}

/**
 * Whether the service runs now.
 * @throws MissingTool where the user has no systemd that responds, usageError where another program has the service's port
 */
export async function isServiceRunning(ctx: RunnerContext, port: number): Promise<boolean> {
  requireProgram('systemctl', ctx.env, 'the package runs its gateway as a systemd user service; install systemd');
  const state = await probeState(ctx);
  if (!state.ok) {
    throw new MissingTool(
      `the user's systemd does not respond: ${oneLine(state.reason)}; start this in a login session of your own ` +
        '(ssh or a desktop, not su or sudo), which sets XDG_RUNTIME_DIR',
    );
  }
  if (!ENDED.includes(state.output)) return true;
  if (!(await canConnect(DEB.address, port))) return false;
  const owner = portOwner(port) ?? 'another program';
  throw usageError(`${DEB.address}:${port}, where ${DEB.service} listens, is in use by ${owner}; stop it`);
}

/** @throws failure (1) where the service does not respond in time, after its log; InterruptedError for a signal */
export async function waitForService(ctx: RunnerContext, { port, waitMs }: InstallFacts): Promise<void> {
  const { runner, signals, startDirectory, terminal } = ctx;
  let state = 'unknown';
  const attempt = async () => {
    const result = await probeState(ctx);
    state = oneLine(result.ok ? result.output : result.reason);
    if (state === 'failed') return false;
    return state === 'active' && (await canConnect(DEB.address, port)) ? true : undefined;
  };
  if (await poll(attempt, { intervalMs: POLL_MS, timeoutMs: waitMs, signal: signals.aborted })) return;
  const log = cmd({ cwd: startDirectory })`journalctl --user -u ${DEB.service} -n 50 --no-pager`;
  const journal = await runner.probe(log, PROBE_TIMEOUT_MS);
  for (const line of (journal.ok ? journal.output : journal.reason).split('\n')) terminal.say(line);
  throw failure(
    `${DEB.service} is installed, and does not respond at ${DEB.address}:${port}: its state is ${state}; its log is ` +
      `above, and in: journalctl --user -u ${DEB.service}`,
  );
}
