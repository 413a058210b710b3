// SPDX-License-Identifier: Apache-2.0

/** Cleaning an engine up: everything is probed first, then the user is asked, and only then is anything removed. */

import type { RunnerContext } from '../build-env.ts';
import { mark } from '../cli/dry-run-marks.ts';
import { canConfirm, confirm } from '../cli/terminal.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { failure, oneLine, usageError } from '../errors.ts';
import { argvText, cmd, echoText } from '../process/command.ts';
import { takeInventory } from './inventory.ts';
import { amountText, type CleanupFlags, keptLines, planCleanup, resolveCleanupConfig, type Verdict } from './plan.ts';

/** A removal may wait for another one, and disks may be slow. */
const REMOVAL_TIMEOUT_MS = 600_000;
const CONTEXT_TIMEOUT_MS = 10_000;

/** Removes what is stale, or prints the plan. @throws TaskError (1) where the user says no or something stays */
export async function cleanUpEngine(ctx: RunnerContext, flags: CleanupFlags): Promise<void> {
  const { env, runner, startDirectory: cwd, terminal } = ctx;
  const config = resolveCleanupConfig(flags, env);
  const asks = !flags.yes && !flags.force;
  if (asks && !flags['dry-run'] && !canConfirm(terminal)) {
    throw usageError('there is no terminal to ask at before something is removed; look at --dry-run, then give --yes');
  }
  const engine = await detectEngine(ctx, cwd);
  const { program, record } = engine;
  const verdicts = planCleanup(await takeInventory(ctx, engine, config.hasVolumes), config, record.name);
  const removals = verdicts.filter(({ kept }) => kept === undefined);
  const isPruned = removals.some(({ kind }) => kind === 'build cache');
  const builder = isPruned ? await ownBuilder(ctx, engine) : '';
  const steps = removals.map((removal) => {
    const env = removal.kind === 'build cache' ? { BUILDX_BUILDER: builder } : {};
    return { removal, command: cmd({ cwd, env })`${[program, ...removal.args]}` };
  });
  const lines = [...steps.map(({ command }) => runner.describe(command)), ...keptLines(verdicts, config)];
  if (flags['dry-run']) return terminal.result(...lines);
  for (const line of lines) terminal.say(line);
  if (steps.length > 0 && asks && !(await confirm(ctx, `Remove ${amountText(removals)} from ${record.name}?`))) {
    throw failure('not confirmed; nothing was removed');
  }
  const removed: Verdict[] = [];
  for (const { command, removal } of steps) {
    terminal.echo(echoText(command));
    // What has come into use by now the engine refuses.
    const result = await runner.probe(command, REMOVAL_TIMEOUT_MS);
    // Another clean-up may have been first.
    if (result.ok || /no such image|image not known|no such volume/i.test(result.reason)) removed.push(removal);
    else terminal.warn(`${argvText(command)} failed: ${oneLine(result.reason)}`);
  }
  const failed = steps.length - removed.length;
  terminal.result(`removed ${amountText(removed)}; kept ${verdicts.length - steps.length}; failed ${failed}`);
  if (failed > 0) throw failure(`${failed} of ${steps.length} could not be removed; see the warnings`);
}

/** Docker's own builder, which is called as the context; the one that the user has chosen may be on another machine. */
async function ownBuilder({ runner, startDirectory }: RunnerContext, { program, unknown }: Engine): Promise<string> {
  if (unknown !== undefined) return mark('builder', unknown);
  const argv = [program, 'context', 'inspect', '--format', '{{.Name}}'];
  const result = await runner.probe(probeCommand(argv, startDirectory), CONTEXT_TIMEOUT_MS);
  if (result.ok) return result.output;
  const said = `${program} context inspect failed (${oneLine(result.reason)})`;
  throw usageError(`${said}, so its build cache is unknown; find out why, or --skip-cache`);
}
