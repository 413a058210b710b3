// SPDX-License-Identifier: Apache-2.0

/**
 * The third section: what a docker or podman launch has cargo build, beside bash's two runs one after
 * the other, on a workspace over real crates. Cold, after an edit, and with nothing changed.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { linuxTriple, thisHost } from '../../lib/host.ts';
import { findProgram } from '../../lib/process/which.ts';
import type { DevBuildOrder } from '../support/dev-build-driver.ts';
import { toolEnvironment } from '../support/real-tools.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { type Contestant, timeInTurn } from './measure.ts';
import { ratioText, summarise } from './numbers.ts';
import { COMPILE_CACHE, type Place } from './place.ts';
import { tableText } from './table.ts';

const FIXTURE = join(SUITE_ROOT, 'test/fixtures/launch');
const DRIVER = join(SUITE_ROOT, 'test/support/dev-build-driver.ts');
const WARM_ROUNDS = 15;
const EDIT_ROUNDS = 3;

/** A state that a launch finds the checkout in. */
interface Situation {
  readonly name: string;
  /** Bash that runs before each build. */
  readonly before: string;
  readonly warmUp: number;
  readonly rounds: number;
  readonly env: Readonly<Record<string, string>>;
}

/** @returns what to print, and whether everything that could run did */
export async function launchSection(place: Place, coldRounds: number): Promise<{ text: string; ok: boolean }> {
  const { arch, platform } = thisHost();
  if (platform !== 'linux' || arch === undefined) return skipped('it needs Linux on amd64 or arm64');
  const env = { ...toolEnvironment(process.env), NODE_COMPILE_CACHE: COMPILE_CACHE };
  const lack = ['cargo', 'cc'].find((name) => findProgram(name, env) === undefined);
  if (lack !== undefined) return skipped(`${lack} is not on PATH`);
  const sequence = bashSequence(linuxTriple(arch, 'gnu'));
  const contestants = [
    contestantIn(place, "bash's two cargo runs", env, () => sequence),
    contestantIn(place, 'ours', env, (root) => {
      const order: DevBuildOrder = { root, supervisor: 'with-gateway', install: '.cache/supervisor/openshell-sandbox' };
      return `"$0" ${DRIVER} '${JSON.stringify(order)}'`;
    }),
  ];
  const fetched = spawnSync('cargo', ['fetch', '--locked'], { cwd: contestants[0]?.cwd, env, encoding: 'utf8' });
  if (fetched.status !== 0) return skipped(`the crates cannot be fetched: ${fetched.stderr.trim().split('\n').at(-1)}`);
  return compare(contestants, await situations(place, env, coldRounds));
}

function skipped(why: string): { text: string; ok: boolean } {
  return { text: `A launch's build: skipped, ${why}\n`, ok: true };
}

/** What OpenShell's bash task for docker has cargo do. */
function bashSequence(triple: string): string {
  return `cargo build -p openshell-server --bin openshell-gateway && cargo build -p openshell-sandbox --target ${triple}`;
}

/** A copy of the workspace of its own, and the script that builds in it. */
function contestantIn(
  place: Place,
  name: string,
  env: Readonly<Record<string, string>>,
  script: (root: string) => string,
): Contestant {
  const cwd = join(place.root, `launch-${name.replaceAll(/[^a-z]+/g, '-')}`);
  mkdirSync(cwd);
  cpSync(FIXTURE, cwd, { recursive: true, filter: (from) => from !== join(FIXTURE, 'target') });
  return { name, argv: ['bash', '-c', script(cwd), process.execPath], cwd, env, removed: [] };
}

async function situations(
  place: Place,
  env: Readonly<Record<string, string>>,
  coldRounds: number,
): Promise<Situation[]> {
  const cold = { before: 'rm -rf target .cache', rounds: coldRounds };
  const plain = { warmUp: 0, env: {} };
  const cached =
    findProgram('sccache', env) === undefined
      ? []
      : [{ name: 'empty target directory, full sccache', ...cold, warmUp: 1, env: await sccacheVariables(place) }];
  return [
    { name: 'empty target directory', ...cold, ...plain },
    {
      name: 'an edit of the core crate',
      before: 'touch crates/openshell-core/src/lib.rs',
      rounds: EDIT_ROUNDS,
      ...plain,
    },
    { name: 'nothing changed', before: ':', rounds: WARM_ROUNDS, warmUp: 1, env: {} },
    ...cached,
  ];
}

/** An sccache of the benchmark's own. Crates that are compiled bit by bit are never cached. */
async function sccacheVariables(place: Place): Promise<Record<string, string>> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  const port = typeof address === 'object' && address !== null ? String(address.port) : '';
  const directory = join(place.root, 'sccache');
  return { RUSTC_WRAPPER: 'sccache', SCCACHE_DIR: directory, SCCACHE_SERVER_PORT: port, CARGO_INCREMENTAL: '0' };
}

async function compare(contestants: readonly Contestant[], all: readonly Situation[]) {
  const rows: string[][] = [];
  const problems: string[] = [];
  for (const situation of all.filter(({ rounds }) => rounds > 0)) {
    const entrants = contestants.map((one) => prepared(one, situation));
    const { times, failures } = await timeInTurn(entrants, { warmUp: situation.warmUp, counted: situation.rounds });
    stopServer(situation, entrants);
    for (const [{ name }, why] of failures) problems.push(`FAILED TO RUN: ${situation.name}, ${name}: ${why}\n`);
    if (failures.size > 0) continue;
    const [bash, ours] = entrants.map((one) => summarise(times.get(one) ?? []));
    if (bash === undefined || ours === undefined) continue;
    const cells = [bash, ours].map(({ median }) => (median / 1000).toFixed(2));
    rows.push([situation.name, String(situation.rounds), ...cells, ratioText(ours, bash)]);
  }
  const heading = ['', 'rounds', 'bash, s', 'ours, s', 'ours / bash'];
  const title = "A launch's build: gateway and supervisor over real crates, dev profile, medians\n";
  return { text: [title, tableText([heading, ...rows], 1), ...problems].join('\n'), ok: problems.length === 0 };
}

function prepared(contestant: Contestant, { before, env }: Situation): Contestant {
  const [bash, flag = '', script = '', ...rest] = contestant.argv;
  return { ...contestant, argv: [bash, flag, `${before} && ${script}`, ...rest], env: { ...contestant.env, ...env } };
}

function stopServer({ env }: Situation, [one]: readonly Contestant[]): void {
  if (env.RUSTC_WRAPPER === undefined || one === undefined) return;
  spawnSync('sccache', ['--stop-server'], { env: one.env, stdio: 'ignore' });
}
