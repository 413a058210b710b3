// SPDX-License-Identifier: Apache-2.0

/**
 * From the command to the answering port, with real cargo, docker and gateway: the docker launcher
 * beside the same steps as bash runs them, one after the other. Nothing has changed since the last start.
 */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { linuxTriple, thisHost } from '../../lib/host.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { findTool, toolEnvironment } from '../support/real-tools.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { startDockerd } from '../support/services/dockerd.ts';
import { stopServices } from '../support/services/service.ts';
import type { ToolName } from '../support/tool-table.ts';
import { type Contestant, timeInTurn } from './measure.ts';
import { ratioText, type Summary, summarise } from './numbers.ts';
import { COMPILE_CACHE, type Place } from './place.ts';
import { tableText } from './table.ts';

/** What the launcher may take of the time of bash's sequence. */
const TIMES_BASH = 0.5;
const ROUNDS = 15;
/** A built checkout of OpenShell, with its bash tasks. */
const CHECKOUT_VARIABLE = 'OPENSHELL_BENCH_CHECKOUT';
const NEEDED: readonly ToolName[] = ['cargo', 'rustup', 'gnu-x86_64', 'glibc-static', 'docker', 'dockerd', 'buildx'];

/** @returns what to print, and whether everything that could run did */
export async function gatewaySection(place: Place): Promise<{ text: string; ok: boolean }> {
  const missing = NEEDED.map((name) => findTool(name, process.env)).find((finding) => !finding.ok);
  if (missing?.ok === false) return { text: `Real gateway, warm: left out, ${missing.reason}\n`, ok: true };
  try {
    return await measureGateway(place);
  } finally {
    await stopServices();
  }
}

/** A workspace that both ways launch on. */
interface Ground {
  readonly title: string;
  /** A checkout of its own for each way, or one for both. */
  rootOf(way: string): string;
  /** What bash does there. */
  bash(root: string): readonly [string, ...string[]];
}

async function measureGateway(place: Place): Promise<{ text: string; ok: boolean }> {
  const dockerd = await startDockerd();
  const parts: { text: string; ok: boolean }[] = [];
  for (const ground of groundsOf(place)) parts.push(await measureOn(place, ground, dockerd.env));
  return { text: parts.map(({ text }) => text).join('\n'), ok: parts.every(({ ok }) => ok) };
}

/** The miniature, and OpenShell itself where a checkout is named that both ways can build. */
function groundsOf(place: Place): Ground[] {
  const triple = linuxTriple(thisHost().arch ?? 'amd64', 'gnu');
  const miniature: Ground = {
    title: 'the miniature',
    rootOf: (way) => makeMiniature({ at: join(place.root, `gateway-${way}`) }).root,
    bash: (root) => ['bash', writeSequence(root, triple)],
  };
  const checkout = process.env[CHECKOUT_VARIABLE];
  if (checkout === undefined || checkout === '') return [miniature];
  const root = resolve(checkout);
  const script = join(root, 'tasks/scripts/gateway-docker.sh');
  return [miniature, { title: root, rootOf: () => root, bash: () => ['bash', script] }];
}

async function measureOn(place: Place, ground: Ground, docker: Readonly<Record<string, string>>) {
  const launcher = [process.execPath, join(SUITE_ROOT, 'tasks/gateway-docker.ts')] as const;
  const entrants = await Promise.all([
    contestantOn(place, ground, 'bash', docker, (root) => ground.bash(root)),
    contestantOn(place, ground, 'ours', docker, () => launcher),
  ]);
  const { times, failures } = await timeInTurn(entrants, { warmUp: 2, counted: ROUNDS });
  const problems = [...failures].map(([{ name }, why]) => `FAILED TO RUN: gateway, ${name}: ${why}\n`);
  if (problems.length > 0) return { text: problems.join('\n'), ok: false };
  const [bash, ours] = entrants.map((one) => summarise(times.get(one) ?? [])) as [Summary, Summary];
  const cells = [bash, ours].map(({ median }) => median.toFixed(0));
  const verdict = ours.median <= TIMES_BASH * bash.median ? 'met' : 'MISSED';
  const heading = ['bash, ms', 'ours, ms', 'ours / bash'];
  return {
    text: [
      `Real gateway, warm, on ${ground.title}: from the command to the answering port, ${ROUNDS} rounds, medians\n`,
      tableText([heading, [...cells, ratioText(ours, bash)]], 0),
      `  at most ${TIMES_BASH} of bash: ${verdict}\n`,
    ].join('\n'),
    ok: true,
  };
}

/** What starts a gateway on a ground, waits for its port, and stops it. */
async function contestantOn(
  place: Place,
  ground: Ground,
  way: string,
  docker: Readonly<Record<string, string>>,
  args: (root: string) => readonly string[],
): Promise<Contestant> {
  const root = ground.rootOf(way);
  const port = String(await freePort());
  const env = {
    ...toolEnvironment(process.env),
    ...docker,
    OPENSHELL_ROOT: root,
    OPENSHELL_SERVER_PORT: port,
    // Nothing of it stays behind in a checkout of somebody's.
    OPENSHELL_DOCKER_GATEWAY_STATE_DIR: mkdtempSync(join(place.root, `state-${way}-`)),
    XDG_CONFIG_HOME: join(place.root, `config-${way}`),
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
  // The launcher itself listens for a moment, to see whether the port is free.
  const isUp = `case $(readlink /proc/$pid/exe) in */openshell-gateway) ;; *) false ;; esac && (exec 3<>/dev/tcp/127.0.0.1/${port})`;
  const wait = `"$@" & pid=$!
until { ${isUp}; } 2>/dev/null; do kill -0 $pid 2>/dev/null || exit 1; sleep 0.005; done
kill -TERM $pid; wait $pid || test $? -eq 143`;
  return { name: way, argv: ['bash', '-c', wait, 'bash', ...args(root)], cwd: root, env, removed: [] };
}

/** The steps of OpenShell's bash task for docker on native Linux, in their order. */
function writeSequence(root: string, triple: string): string {
  const state = join(root, '.cache/bash');
  const supervisor = `${state}/supervisor/openshell-sandbox`;
  const path = join(root, 'bash-sequence.sh');
  const names = ['127.0.0.1', 'localhost', 'host.openshell.internal'].map((name) => `--server-san ${name}`).join(' ');
  writeFileSync(
    path,
    `set -euo pipefail
docker info >/dev/null 2>&1
docker info --format '{{.Architecture}}' >/dev/null
cargo build -q -p openshell-server --bin openshell-gateway
target/debug/openshell-gateway generate-certs --output-dir ${state}/tls ${names} >/dev/null
rustup target add ${triple} >/dev/null 2>&1
cargo build -q -p openshell-sandbox --target ${triple}
mkdir -p ${state}/supervisor
cp target/${triple}/debug/openshell-sandbox ${supervisor}.new
chmod 0755 ${supervisor}.new
mv ${supervisor}.new ${supervisor}
cat >${state}/gateway.toml <<END
[openshell]
version = 1
[openshell.gateway]
compute_drivers = ["docker"]
disable_tls = true
[openshell.gateway.auth]
allow_unauthenticated_users = true
[openshell.drivers.docker]
supervisor_bin = "${supervisor}"
END
exec target/debug/openshell-gateway --config ${state}/gateway.toml --port "$OPENSHELL_SERVER_PORT" --drivers docker \\
  --disable-tls --db-url "sqlite:${state}/gateway.db?mode=rwc"
`,
  );
  return path;
}
