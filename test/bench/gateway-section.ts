// SPDX-License-Identifier: Apache-2.0

/**
 * From the command to the answering port, with real cargo, docker and gateway: the docker launcher
 * beside the same steps as bash runs them, one after the other. Nothing has changed since the last start.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { linuxTriple, thisHost } from '../../lib/platform.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { findTool, toolEnvironment } from '../support/real-tools.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { startDockerd } from '../support/services/dockerd.ts';
import { stopServices } from '../support/services/service.ts';
import type { ToolName } from '../support/tool-table.ts';
import { type Contestant, timeInTurn } from './measure.ts';
import { ratioText, summarise } from './numbers.ts';
import { COMPILE_CACHE, type Place } from './place.ts';
import { tableText } from './table.ts';

/** What the launcher may take of the time of bash's sequence. */
const TIMES_BASH = 0.5;
const ROUNDS = 15;
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

async function measureGateway(place: Place): Promise<{ text: string; ok: boolean }> {
  const dockerd = await startDockerd();
  const triple = linuxTriple(thisHost().arch ?? 'amd64', 'gnu');
  const launcher = [process.execPath, join(SUITE_ROOT, 'tasks/gateway-docker.ts')];
  const entrants = await Promise.all([
    contestantIn(place, 'bash', dockerd.env, (root) => ['bash', writeSequence(root, triple)]),
    contestantIn(place, 'ours', dockerd.env, () => launcher),
  ]);
  const { times, failures } = await timeInTurn(entrants, { warmUp: 2, counted: ROUNDS });
  const problems = [...failures].map(([{ name }, why]) => `FAILED TO RUN: gateway, ${name}: ${why}\n`);
  const [bash, ours] = entrants.map((one) => summarise(times.get(one) ?? []));
  if (problems.length > 0 || bash === undefined || ours === undefined) return { text: problems.join('\n'), ok: false };
  const cells = [bash, ours].map(({ median }) => median.toFixed(0));
  const isMet = ours.median <= TIMES_BASH * bash.median;
  const table = tableText(
    [
      ['bash, ms', 'ours, ms', 'ours / bash'],
      [...cells, ratioText(ours, bash)],
    ],
    0,
  );
  return {
    text: `Real gateway, warm: from the command to the answering port, ${ROUNDS} rounds, medians\n\n${table}\n  at most ${TIMES_BASH} of bash: ${isMet ? 'met' : 'MISSED'}\n`,
    ok: true,
  };
}

/** A miniature of its own, and what starts its gateway, waits for the port, and stops it. */
async function contestantIn(
  place: Place,
  name: string,
  docker: Readonly<Record<string, string>>,
  words: (root: string) => readonly string[],
): Promise<Contestant> {
  const { root } = makeMiniature({ at: join(place.root, `gateway-${name}`) });
  const port = String(await freePort());
  const env = {
    ...toolEnvironment(process.env),
    ...docker,
    OPENSHELL_ROOT: root,
    OPENSHELL_SERVER_PORT: port,
    XDG_CONFIG_HOME: join(place.root, `config-${name}`),
    NODE_COMPILE_CACHE: COMPILE_CACHE,
  };
  // The launcher itself listens for a moment, to see whether the port is free.
  const isUp = `case $(readlink /proc/$pid/exe) in */openshell-gateway) ;; *) false ;; esac && (exec 3<>/dev/tcp/127.0.0.1/${port})`;
  const wait = `"$@" & pid=$!
until { ${isUp}; } 2>/dev/null; do kill -0 $pid 2>/dev/null || exit 1; sleep 0.005; done
kill -TERM $pid; wait $pid`;
  return { name, argv: ['bash', '-c', wait, 'bash', ...words(root)], cwd: root, env, removed: [] };
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
