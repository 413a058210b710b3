// SPDX-License-Identifier: Apache-2.0

/** What the demo shows, scene by scene, and what has to come out of each. */

import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import type { Terminal } from '../../../lib/cli/terminal.ts';
import { type BinaryFacts, inspectStatic } from '../../../lib/elf/verify.ts';
import { failure, type TaskError } from '../../../lib/errors.ts';
import type { Signals } from '../../../lib/process/signals.ts';
import { findProgram } from '../../../lib/process/which.ts';
import type { Miniature } from '../miniature.ts';
import { type Ended, LOW_LIMIT, runShown } from './run.ts';

const SUITE_ROOT = join(import.meta.dirname, '../../..');
/** What zig says when it may not open another file. */
export const FAULT = 'ProcessFdQuotaExceeded';
/** Every compiler at work costs cargo a few open files; many of them would fail in another way than the link. */
const JOBS_MAX = 16;

export interface Stage {
  readonly terminal: Terminal;
  readonly signals: Signals;
  /** The environment of the real tools. */
  readonly env: Readonly<Record<string, string>>;
  readonly miniature: Miniature;
}

/** The binary that was linked, verified and run. */
export interface Linked {
  readonly ended: Ended;
  readonly facts: BinaryFacts;
  /** What the binary says about itself; `undefined` where it cannot run (it is made for Linux). */
  readonly said: string | undefined;
  /** The limit that the guard raised to; `undefined` where it had nothing to raise. */
  readonly limit: string | undefined;
}

/** Whether the limit of a running Node can be lowered here. */
export function canLowerLimit(env: Stage['env']): boolean {
  return findProgram('prlimit', env) !== undefined;
}

/**
 * Stages the supervisor under the low limit with the guard off.
 *
 * @throws TaskError when it does not die of the fault
 */
export async function dieUnguarded(stage: Stage): Promise<Ended> {
  const ended = canLowerLimit(stage.env) ? await stageSupervisor(stage, 'off') : await pasteDryRun(stage);
  if (ended.status === 0) {
    throw failure(`the unguarded run did not die: it linked under a limit of ${LOW_LIMIT}, so the demo shows nothing`);
  }
  if (!ended.output.includes(FAULT)) {
    const last = ended.output.trimEnd().split('\n').at(-1) ?? '';
    throw failure(`the unguarded run died with status ${ended.status}, but not of ${FAULT}: ${last.trim()}`);
  }
  if (existsSync(stage.miniature.staged)) throw failure(`the unguarded run died, but left ${stage.miniature.staged}`);
  return ended;
}

/**
 * Stages the supervisor under the same limit with the guard on, verifies the binary, and runs it.
 *
 * @throws TaskError when it does not link, or the binary is not what it has to be
 */
export async function linkGuarded(stage: Stage): Promise<Linked> {
  stage.terminal.say(
    '  (the first link with a new zig takes up to a minute longer: zig builds its parts of the C library)',
  );
  const ended = await stageSupervisor(stage, 'on');
  if (ended.status !== 0) throw failure(`the guarded run failed with status ${ended.status}, see above`);
  const path = ended.stdout.trim();
  if (!existsSync(path)) throw failure(`the guarded run ended well, but named no binary: ${path || 'nothing'}`);
  const limit = /raised[^\n]* (\d+) -> (\d+)/.exec(ended.output);
  if (canLowerLimit(stage.env) && limit?.[1] !== String(LOW_LIMIT)) throw failure('the guard did not raise the limit');
  const verdict = inspectStatic(path);
  if (!verdict.ok) throw failure(verdict.reasons.join('; '));
  return { ended, facts: verdict.facts, limit: limit?.[2], said: await runBinary(stage, path) };
}

/** The binary in one line: `x86-64 static-pie executable, 26214400 bytes`. */
export function describeLinked({ facts }: Linked): string {
  return `${facts.machine} ${facts.kind} executable, ${facts.size} bytes`;
}

/** `node tasks/stage.ts supervisor`, by a Node whose limit is lowered, where that can be done. */
async function stageSupervisor(stage: Stage, guard: 'on' | 'off', more: readonly string[] = []): Promise<Ended> {
  const preload = canLowerLimit(stage.env) ? ['--import', join(import.meta.dirname, 'low-limit.ts')] : [];
  const args = [...preload, join(SUITE_ROOT, 'tasks/stage.ts'), 'supervisor', ...more];
  const echoed = args.map((word) => (isAbsolute(word) ? `./${relative(SUITE_ROOT, word)}` : word));
  stage.terminal.echo(`OPENSHELL_BUILD_NOFILE_GUARD=${guard} node ${echoed.join(' ')}`);
  return start(stage, process.execPath, args, { OPENSHELL_BUILD_NOFILE_GUARD: guard });
}

/**
 * Without prlimit: the very commands that the task would run, as its dry run prints them, in a shell that has the
 * low limit. Nothing between that shell and the linker raises it.
 */
async function pasteDryRun(stage: Stage): Promise<Ended> {
  stage.terminal.say(
    'prlimit (Linux, util-linux) is not here, and Node raises its own limit when it starts: so the commands of the ' +
      `task's dry run are run in a shell with a limit of ${LOW_LIMIT}, and the guard's raising is not shown`,
  );
  const plan = await stageSupervisor(stage, 'off', ['--dry-run']);
  if (plan.status !== 0) throw failure(`the dry run failed with status ${plan.status}, see above`);
  const script = `set -euo pipefail\nulimit -S -n ${LOW_LIMIT}\n${plan.stdout}`;
  stage.terminal.echo(`bash -c ${JSON.stringify(script.split('\n').slice(0, 2).join('; '))} and the dry run`);
  return start(stage, 'bash', ['-c', script], {});
}

function start(
  stage: Stage,
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<Ended> {
  const env = {
    ...stage.env,
    OPENSHELL_ROOT: stage.miniature.root,
    CARGO_BUILD_JOBS: String(Math.min(availableParallelism(), JOBS_MAX)),
    ...variables,
  };
  const { terminal, signals } = stage;
  return runShown(program, args, { cwd: stage.miniature.root, env, terminal, signals });
}

async function runBinary(stage: Stage, path: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  stage.terminal.echo(relative(stage.miniature.root, path));
  const ended = await start(stage, path, [], {});
  const said = ended.stdout.trim();
  const wanted = `linked crates: ${stage.miniature.wideCrates.length},`;
  if (ended.status === 0 && said.includes(wanted)) return said;
  throw badAnswer(path, ended, wanted);
}

function badAnswer(path: string, ended: Ended, wanted: string): TaskError {
  return failure(`${path} ended with status ${ended.status} and did not say '${wanted}': ${ended.output.trim()}`);
}
