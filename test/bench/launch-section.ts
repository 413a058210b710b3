// SPDX-License-Identifier: Apache-2.0

/**
 * The third section: what a docker or podman launch has cargo build, on a workspace over real crates, beside bash's two
 * runs one after the other; and where the supervisor is cross-built, beside its release build. Cold, after an edit, and
 * with nothing changed.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Arch, linuxTriple, thisHost } from '../../lib/host.ts';
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
  const missing = ['cargo', 'cc', 'cargo-zigbuild', 'zig'].find((name) => findProgram(name, env) === undefined);
  if (missing !== undefined) return skipped(`${missing} is not on PATH`);
  const native = nativeComparison(place, env, arch);
  const fetched = spawnSync('cargo', ['fetch', '--locked'], { cwd: native.base.cwd, env, encoding: 'utf8' });
  if (fetched.status !== 0) return skipped(`the crates cannot be fetched: ${fetched.stderr.trim().split('\n').at(-1)}`);
  const texts = [];
  for (const comparison of [native, crossComparison(place, env, arch === 'amd64' ? 'arm64' : 'amd64')]) {
    texts.push(await compare(comparison, await situations(place, env, coldRounds, comparison.edited)));
  }
  return { text: texts.map(({ text }) => text).join('\n'), ok: texts.every(({ ok }) => ok) };
}

/** Two ways to the same binaries. */
interface Comparison {
  readonly title: string;
  /** The way that the other is compared with. */
  readonly base: Contestant;
  readonly ours: Contestant;
  /** The crate that is edited. */
  readonly edited: 'core' | 'sandbox';
}

type Env = Readonly<Record<string, string>>;

function nativeComparison(place: Place, env: Env, arch: Arch): Comparison {
  const sequence = bashSequence(linuxTriple(arch, 'gnu'));
  return {
    title: "A launch's build: gateway and supervisor over real crates, dev profile, medians",
    base: contestantIn(place, 'bash', env, () => sequence),
    ours: contestantIn(place, 'ours', env, (root) => driverText({ root, supervisor: 'with-gateway' })),
    edited: 'core',
  };
}

function crossComparison(place: Place, env: Env, arch: Arch): Comparison {
  const stage = `"$0" ${join(SUITE_ROOT, 'tasks/stage.ts')} supervisor`;
  return {
    title: `A launch's build where sandboxes are linux/${arch}: the gateway, and the supervisor cross-built, medians`,
    base: contestantIn(place, 'release', env, (root) => {
      return `${driverText({ root })} && OPENSHELL_ROOT="$PWD" PREBUILT_ARCH=${arch} ${stage}`;
    }),
    ours: contestantIn(place, 'dev', env, (root) => driverText({ root, supervisor: { arch, missing: [] } })),
    edited: 'sandbox',
  };
}

function driverText(order: DevBuildOrder): string {
  return `"$0" ${DRIVER} '${JSON.stringify({ ...order, install: '.cache/supervisor/openshell-sandbox' })}'`;
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
  edited: Comparison['edited'],
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
      name: `an edit of the ${edited} crate`,
      before: `touch crates/openshell-${edited}/src/*.rs`,
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

async function compare({ title, base, ours }: Comparison, all: readonly Situation[]) {
  const rows: string[][] = [];
  const problems: string[] = [];
  for (const situation of all.filter(({ rounds }) => rounds > 0)) {
    const entrants = [base, ours].map((one) => prepared(one, situation));
    const { times, failures } = await timeInTurn(entrants, { warmUp: situation.warmUp, counted: situation.rounds });
    stopServer(situation, entrants);
    for (const [{ name }, why] of failures) problems.push(`FAILED TO RUN: ${situation.name}, ${name}: ${why}\n`);
    if (failures.size > 0) continue;
    const [first, second] = entrants.map((one) => summarise(times.get(one) ?? []));
    if (first === undefined || second === undefined) continue;
    const cells = [first, second].map(({ median }) => (median / 1000).toFixed(2));
    rows.push([situation.name, String(situation.rounds), ...cells, ratioText(second, first)]);
  }
  const heading = ['', 'rounds', `${base.name}, s`, `${ours.name}, s`, `${ours.name} / ${base.name}`];
  return { text: [`${title}\n`, tableText([heading, ...rows], 1), ...problems].join('\n'), ok: problems.length === 0 };
}

function prepared(contestant: Contestant, { before, env }: Situation): Contestant {
  const [bash, flag = '', script = '', ...rest] = contestant.argv;
  return { ...contestant, argv: [bash, flag, `${before} && ${script}`, ...rest], env: { ...contestant.env, ...env } };
}

function stopServer({ env }: Situation, [one]: readonly Contestant[]): void {
  if (env.RUSTC_WRAPPER === undefined || one === undefined) return;
  spawnSync('sccache', ['--stop-server'], { env: one.env, stdio: 'ignore' });
}
