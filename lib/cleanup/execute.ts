// SPDX-License-Identifier: Apache-2.0

/** Cleaning an engine up: everything is probed first, then the user is asked, and only then is anything removed. */

import type { RunnerContext } from '../build-env.ts';
import { mark } from '../cli/dry-run-marks.ts';
import { Problems } from '../cli/problems.ts';
import { canConfirm, confirm } from '../cli/terminal.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { failure, oneLine, shown, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/parse-json.ts';
import { argvText, cmd, echoText } from '../process/command.ts';
import {
  amountText,
  type CleanupFlags,
  type Inventory,
  imageOf,
  keysOf,
  planCleanup,
  resolveCleanupConfig,
  usedBy,
} from './plan.ts';

const QUERY_TIMEOUT_MS = 120_000;
/** A removal may wait for another one, and disks may be slow. */
const REMOVAL_TIMEOUT_MS = 600_000;

/** Removes what is stale, or prints the plan. @throws TaskError (1) where the user says no or something stays */
export async function cleanUpEngine(ctx: RunnerContext, flags: CleanupFlags): Promise<void> {
  const { env, runner, startDirectory: cwd, terminal } = ctx;
  const config = resolveCleanupConfig(flags, env);
  const asks = !flags.yes && !flags.force;
  if (asks && !flags['dry-run'] && !canConfirm(terminal)) {
    throw usageError('there is no terminal to ask at before something is removed; look at --dry-run, then give --yes');
  }
  const engine = await detectEngine(ctx, cwd);
  const { program, record, unknown } = engine;
  if (unknown !== undefined) return terminal.result(`# removes ${mark('stale images', unknown)}`);
  const verdicts = planCleanup(await takeInventory(ctx, engine, config.hasVolumes), config, record.name);
  const removals = verdicts.filter(({ isKept }) => !isKept);
  const steps = removals.map((removal) => ({ removal, command: cmd({ cwd })`${[program, ...removal.args]}` }));
  const others = flags['all-projects'] ? '' : ', or of others (--all-projects)';
  const lines = [
    ...steps.map(({ command }) => runner.describe(command)),
    `# keeps ${amountText(verdicts.filter(({ isKept }) => isKept))}: in use, current${others}`,
    ...(config.hasVolumes ? [] : ['# keeps all volumes (--volumes)']),
  ];
  if (flags['dry-run']) return terminal.result(...lines);
  for (const line of lines) terminal.say(line);
  if (steps.length > 0 && asks && !(await confirm(ctx, `Remove ${amountText(removals)} from ${record.name}?`))) {
    throw failure('not confirmed; nothing was removed');
  }
  const removed: typeof removals = [];
  for (const { command, removal } of steps) {
    terminal.echo(echoText(command));
    // What has come into use by now the engine refuses.
    const result = await runner.probe(command, REMOVAL_TIMEOUT_MS);
    if (result.ok) removed.push(removal);
    else terminal.warn(`${argvText(command)} failed: ${oneLine(result.reason)}`);
  }
  const failed = steps.length - removed.length;
  terminal.result(`removed ${amountText(removed)}; kept ${verdicts.length - steps.length}; failed ${failed}`);
  if (failed > 0) throw failure(`${failed} of ${steps.length} could not be removed; see the warnings`);
}

/** Asks for everything at once. @throws usageError where a query fails, after a line for each that does */
async function takeInventory(ctx: RunnerContext, engine: Engine, hasVolumes: boolean): Promise<Inventory> {
  const problems = new Problems();
  const list = (kind: string, ...options: readonly string[]) =>
    problems.attemptAsync(() => tablesOf(ctx, engine, kind, options));
  const [images = [], containers = [], volumes = [], unused = []] = await Promise.all([
    list('image', '--no-trunc'),
    // Those of buildah are podman's alone.
    list('container', '--no-trunc', '--all', ...(engine.record.name === 'podman' ? ['--external'] : [])),
    hasVolumes ? list('volume') : [],
    hasVolumes ? list('volume', '--filter', 'dangling=true') : [],
  ]);
  const used = problems.attempt(() => containers.flatMap(usedBy)) ?? [];
  problems.throwIfAny(ctx.terminal);
  const free = new Set(unused.map(({ Name }) => Name));
  return {
    // Podman lists an image once for each of its names, and all of them each time.
    images: [...new Map(images.map(imageOf).map((image) => [image.id, image])).values()],
    used,
    volumes: volumes.map(({ Labels, Name }) => {
      return { name: String(Name), labels: keysOf(Labels), isUsed: !free.has(Name) };
    }),
  };
}

/** Podman lists whole objects, and cannot inspect images of other platforms; docker lists ids, and inspects them. */
async function tablesOf(ctx: RunnerContext, { program, record }: Engine, kind: string, options: readonly string[]) {
  const ask = async (verb: string, args: readonly string[]) => {
    const command = probeCommand([program, kind, verb, ...args], ctx.startDirectory);
    const result = await ctx.runner.probe(command, QUERY_TIMEOUT_MS);
    if (result.ok) return result.output;
    throw refusal(`${verb} failed (${oneLine(result.reason)})`);
  };
  const refusal = (what: string) =>
    usageError(`${program} ${kind} ${what}, so nothing is removed; find out why, and try again`);
  const isPodman = record.name === 'podman';
  const listed = await ask('ls', [...options, ...(isPodman ? ['--format', 'json'] : ['--quiet'])]);
  const ids = [...new Set(listed.split('\n'))].filter((id) => id !== '');
  if (!isPodman && ids.length === 0) return [];
  const text = isPodman ? listed : await ask('inspect', ids);
  const parsed = parseJson(text);
  if (Array.isArray(parsed) && parsed.every(isTable)) return parsed;
  throw refusal(`${isPodman ? 'ls' : 'inspect'} gave ${shown(text)}, which is not a list`);
}
