// SPDX-License-Identifier: Apache-2.0

/**
 * The second section: real cargo, cargo-zigbuild and zig on the miniature workspace, made as wide as
 * the real supervisor. They are taken from PATH; what is not there is skipped, with the reason.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findProgram } from '../../lib/process/which.ts';
import { makeMiniature } from '../support/miniature.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { type Contestant, timeInTurn, tryAll } from './measure.ts';
import { type Summary, summarise } from './numbers.ts';
import { COMPILE_CACHE, type Place } from './place.ts';
import { tableText } from './table.ts';

/** As many crates as the real supervisor links, and some. */
const WIDTH = 400;
/** What a second staging may cost more than cargo's own check. */
const EXTRA_MS = 100;
const CPUS = process.arch === 'arm64' ? ['aarch64', 'x86_64'] : ['x86_64', 'aarch64'];
const TARGETS = CPUS.map((cpu) => `${cpu}-unknown-linux-musl`);
const SUPERVISOR = '-p openshell-sandbox --bin openshell-sandbox';

export interface RealOptions {
  /** Rounds of the second staging. */
  readonly rounds: number;
  /** Rounds of the cold builds for two targets, a minute or two each; 0 leaves them out. */
  readonly coldRounds: number;
}

/** @returns what to print, and whether everything that could run did */
export async function realSection(place: Place, options: RealOptions): Promise<{ text: string; ok: boolean }> {
  const lack = whatIsMissing();
  if (lack !== undefined) return { text: `Real tools: skipped, ${lack}\n`, ok: true };
  const { root } = makeMiniature({ at: join(place.root, 'miniature'), width: WIDTH });
  try {
    const parts = [await secondStaging(place, root, options.rounds)];
    if (options.coldRounds > 0) parts.push(await twoTargets(place, root, options.coldRounds));
    return { text: parts.join('\n'), ok: true };
  } catch (error) {
    if (!(error instanceof RealFailure)) throw error;
    return { text: `FAILED TO RUN: ${error.message}\n`, ok: false };
  }
}

class RealFailure extends Error {}

function whatIsMissing(): string | undefined {
  const absent = ['cargo', 'cargo-zigbuild', 'rustup'].find((name) => findProgram(name, process.env) === undefined);
  if (absent !== undefined) return `${absent} is not on PATH`;
  const zig = spawnSync('cargo-zigbuild', ['zig', 'cc', '--', '--version'], { encoding: 'utf8' });
  if (zig.status !== 0) return `cargo-zigbuild finds no zig: ${zig.stderr.trim().split('\n').at(-1) ?? ''}`;
  const installed = spawnSync('rustup', ['target', 'list', '--installed'], { encoding: 'utf8' }).stdout.split('\n');
  const target = TARGETS.find((triple) => !installed.includes(triple));
  return target === undefined ? undefined : `the Rust target ${target} is not installed: rustup target add ${target}`;
}

/** The environment of the benchmark without what npm, Node and cargo would let leak into a build. */
function realEnvironment(root: string): Record<string, string> {
  const leaking = /^(npm_|NODE_|CARGO_(?!HOME$)|RUSTC_|RUSTFLAGS$|OPENSHELL_|DOCKER_|PREBUILT_)/;
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !leaking.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), OPENSHELL_ROOT: root, NODE_COMPILE_CACHE: COMPILE_CACHE };
}

/** A second `stage supervisor` with nothing changed, beside the cargo command that it runs, and beside bash's. */
async function secondStaging(place: Place, root: string, rounds: number): Promise<string> {
  const env = realEnvironment(root);
  const argv = [process.execPath, join(SUITE_ROOT, 'tasks', 'stage.ts'), 'supervisor'] as const;
  const contestant = (name: string, args: Contestant['argv']) => ({ name, argv: args, cwd: root, env, removed: [] });
  const ours = contestant('stage supervisor', argv);
  const cargo = contestant('its cargo command by itself', ['bash', '-c', cargoCommand(argv, root, env)]);
  const hasBash = findProgram('mise', env) !== undefined && place.copyBashTasks(root);
  const script = join(root, 'tasks/scripts/stage-prebuilt-binaries.sh');
  const bash = hasBash ? [contestant('the bash task (real mise too)', ['bash', script, 'supervisor'])] : [];
  const times = await measure([ours, cargo, ...bash], { warmUp: 2, counted: rounds });
  const base = times.get(cargo) as Summary;
  const mine = times.get(ours) as Summary;
  const rows = [...times].map(([{ name }, time]) => [name, ...milliseconds(time), difference(time, base)]);
  const heading = ['', 'min ms', 'median ms', 'max ms', 'over cargo, ms'];
  const isMet = mine.median - base.median <= EXTRA_MS;
  return [
    `Real tools: nothing changed since the last staging, ${WIDTH} generated crates, ${rounds} rounds in turn\n`,
    tableText([heading, ...rows], 1),
    ...(hasBash ? [] : ['  (no bash row: it needs OPENSHELL_BASH_CHECKOUT and mise)\n']),
    `Limit: stage supervisor over cargo at most ${EXTRA_MS} ms (of medians), ${isMet ? 'met' : 'MISSED'}\n`,
  ].join('\n');
}

/** The command that the task would run, from its own plan. */
function cargoCommand(argv: readonly [string, ...string[]], root: string, env: Record<string, string>): string {
  const dryRun = spawnSync(argv[0], [...argv.slice(1), '--dry-run'], { cwd: root, env, encoding: 'utf8' });
  const line = dryRun.stdout.split('\n').find((text) => /\bcargo (zig)?build /.test(text));
  if (line === undefined) throw new RealFailure(`stage supervisor --dry-run names no cargo command: ${dryRun.stderr}`);
  return line;
}

/** One cargo run for two targets, beside two runs one after the other; both from an empty target directory. */
async function twoTargets(place: Place, root: string, rounds: number): Promise<string> {
  const build = (targets: readonly string[]) =>
    `cargo zigbuild --release ${targets.map((target) => `--target ${target}`).join(' ')} ${SUPERVISOR}`;
  const contestant = (name: string, script: string, cwd = root): Contestant => ({
    name,
    argv: ['bash', '-c', script],
    cwd,
    env: { ...realEnvironment(cwd), CARGO_INCREMENTAL: '0', CARGO_TARGET_DIR: join(cwd, 'cold') },
    removed: ['cold'],
  });
  // Zig builds its C library for each target once and keeps it; that is no part of what is compared.
  const small = makeMiniature({ at: join(place.root, 'small-miniature') });
  await measure([contestant('the first build of all', build(TARGETS), small.root)], { warmUp: 0, counted: 1 });
  const ways = [
    contestant('one cargo run, two --target', build(TARGETS)),
    contestant('two cargo runs, one after the other', TARGETS.map((target) => build([target])).join(' && ')),
  ];
  const { times, failures } = await timeInTurn(ways, { warmUp: 0, counted: rounds });
  verifyNone(failures);
  const rows = [...times].map(([{ name }, values]) => {
    const { min, median, max } = summarise(values);
    return [name, ...[min, median, max].map((time) => (time / 1000).toFixed(1))];
  });
  return [
    `Real tools: the supervisor for ${TARGETS.join(' and ')} from an empty target directory, ${rounds} round(s) in turn\n`,
    tableText([['', 'min s', 'median s', 'max s'], ...rows], 1),
  ].join('\n');
}

/** Tries every contestant once, then times them in turn. @throws RealFailure when one does not run */
async function measure(
  contestants: readonly Contestant[],
  rounds: { readonly warmUp: number; readonly counted: number },
): Promise<Map<Contestant, Summary>> {
  verifyNone(await tryAll(contestants));
  const { times, failures } = await timeInTurn(contestants, rounds);
  verifyNone(failures);
  return new Map([...times].map(([contestant, values]) => [contestant, summarise(values)]));
}

function verifyNone(failures: ReadonlyMap<Contestant, string>): void {
  for (const [{ name }, why] of failures) throw new RealFailure(`${name}: ${why}`);
}

function milliseconds({ min, median, max }: Summary): string[] {
  return [min, median, max].map((time) => time.toFixed(0));
}

/** The difference of medians, then that of minima in parentheses. */
function difference(time: Summary, base: Summary): string {
  return `${(time.median - base.median).toFixed(0)} (${(time.min - base.min).toFixed(0)})`;
}
