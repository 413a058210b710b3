// SPDX-License-Identifier: Apache-2.0

/**
 * The third section: a cold publish of both images for two platforms, beside the same commands one after the other as
 * bash runs them. Real cargo, zig, buildx, BuildKit and registry; the miniature workspace.
 */

import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { makeMiniature } from '../support/miniature.ts';
import { findTool, toolEnvironment } from '../support/real-tools.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { startBuildkitd } from '../support/services/buildkitd.ts';
import { startDockerd } from '../support/services/dockerd.ts';
import { startRegistry } from '../support/services/registry.ts';
import { stopServices } from '../support/services/service.ts';
import type { ToolName } from '../support/tool-table.ts';
import { type Contestant, childProcessorTime, inOrder, timeInTurn } from './measure.ts';
import { leastPart, ratioText, summarise } from './numbers.ts';
import { COMPILE_CACHE, type Place } from './place.ts';
import { tableText } from './table.ts';

/** What the publish may take of the time of the sequence. */
const TIMES_SEQUENCE = 0.7;
const NEEDED: readonly ToolName[] = [
  ...(['cargo', 'rustup', 'zigbuild', 'zig', 'musl-x86_64', 'musl-aarch64', 'gnu-x86_64', 'gnu-aarch64'] as const),
  ...(['docker', 'dockerd', 'buildx', 'buildkitd', 'docker-registry', 'setpriv', 'runc'] as const),
];
const CPUS = { amd64: 'x86_64', arm64: 'aarch64' } as const;

/** @returns what to print, and whether everything that could run did */
export async function publishSection(place: Place, rounds: number): Promise<{ text: string; ok: boolean }> {
  const missing = NEEDED.map((name) => findTool(name, process.env)).find((finding) => !finding.ok);
  if (missing?.ok === false) return { text: `Real publish: left out, ${missing.reason}\n`, ok: true };
  try {
    return await measurePublish(place, rounds);
  } finally {
    await stopServices();
  }
}

async function measurePublish(place: Place, rounds: number): Promise<{ text: string; ok: boolean }> {
  const { root } = makeMiniature({ at: join(place.root, 'published-miniature') });
  const [dockerd, buildkitd, registry] = await Promise.all([startDockerd(), startBuildkitd(), startRegistry()]);
  buildkitd.createBuilder('far', dockerd.env);
  const zig = findTool('zig', process.env);
  const env = {
    ...toolEnvironment(process.env),
    ...dockerd.env,
    ...{ OPENSHELL_ROOT: root, NODE_COMPILE_CACHE: COMPILE_CACHE, ZIG: zig.ok ? zig.path : '' },
    ...{ CONTAINER_ENGINE: 'docker', DOCKER_BUILDER: 'far' },
  };
  const wrappers = zigExports(root, env);
  let published = 0;
  const contestants = ['one after the other, as bash', 'publish'] as const;
  /** Every run has a registry path, a build cache and a target directory that are empty. */
  const prepared = (name: (typeof contestants)[number]): Contestant => {
    execFileSync('docker', ['buildx', 'prune', '--builder', 'far', '--all', '--force'], { env, stdio: 'ignore' });
    const to = `${registry.host}/run${++published}`;
    const task = [process.execPath, join(SUITE_ROOT, 'tasks/docker-publish-multiarch.ts')] as const;
    const argv = name === 'publish' ? task : (['bash', '-c', sequence(wrappers, to)] as const);
    const removed = ['target', 'deploy/docker/.build'];
    return { name, argv, cwd: root, env: { ...env, DOCKER_REGISTRY: to }, removed };
  };
  const times = new Map<string, number[]>(contestants.map((name) => [name, []]));
  const leastParts: number[] = [];
  // The first round does not count: zig makes its C library for a target once and keeps it.
  for (let round = 0; round <= rounds; round++) {
    for (const name of inOrder(contestants, round)) {
      const contestant = prepared(name);
      const before = childProcessorTime();
      const outcome = await timeInTurn([contestant], { warmUp: 0, counted: 1 });
      const processor = Number(childProcessorTime()) - Number(before);
      for (const [{ name: who }, why] of outcome.failures)
        return { text: `FAILED TO RUN: ${who}: ${why}\n`, ok: false };
      const [wall] = outcome.times.get(contestant) ?? [];
      if (round === 0 || wall === undefined) continue;
      times.get(name)?.push(wall);
      if (name !== 'publish') leastParts.push(leastPart(wall, processor, availableParallelism()));
    }
  }
  return { text: reportText(times, rounds, leastParts), ok: true };
}

/** The `export` lines for zig's compiler wrappers, which stand outside of the target directory: writing them costs nothing. */
function zigExports(root: string, env: Record<string, string>): string {
  const script = join(SUITE_ROOT, 'tasks/setup-zig-cc-wrapper.ts');
  return Object.values(CPUS)
    .map((cpu) => {
      const target = `${cpu}-unknown-linux-gnu.2.28`;
      const args = [script, target, target, join(root, 'wrappers', cpu)];
      return execFileSync(process.execPath, args, { env, encoding: 'utf8', cwd: root });
    })
    .join('\n');
}

/**
 * What bash's publish starts, in its order: for each image the engine is asked, then each platform is compiled by a
 * cargo run of its own, then the image is built and pushed.
 */
function sequence(exports: string, registry: string): string {
  const stage = (name: string, binary: string, suffix: string, args: string) =>
    Object.entries(CPUS).map(([arch, cpu]) => {
      const bare = `${cpu}-unknown-linux-${suffix.split('.')[0]}`;
      return `rustup target add ${bare} >/dev/null 2>&1
CARGO_INCREMENTAL=0 cargo zigbuild --release --target ${cpu}-unknown-linux-${suffix} -p ${name} --bin ${binary} ${args}
install -D -m 0755 target/${bare}/release/${binary} deploy/docker/.build/prebuilt-binaries/${arch}/${binary}`;
    });
  const image = (name: string) =>
    `docker buildx build --builder far --platform linux/amd64,linux/arm64 -f deploy/docker/Dockerfile.${name} \
--target ${name} -t ${registry}/${name}:dev --provenance=false --push .`;
  const ask = 'docker info >/dev/null; docker buildx inspect far >/dev/null; docker info >/dev/null';
  return [
    'set -euo pipefail',
    exports,
    ask,
    ...stage('openshell-server', 'openshell-gateway', 'gnu.2.28', '--features bundled-z3'),
    image('gateway'),
    ask,
    ...stage('openshell-sandbox', 'openshell-sandbox', 'musl', ''),
    image('supervisor'),
  ].join('\n');
}

/** The work is the same in any order; with all cores busy all the time it would take this long. */
function boundText(least: number): string {
  const cores = availableParallelism();
  return `The sequence computes for ${(least * cores).toFixed(2)} of ${cores} cores: here no order of its work takes less than ${least.toFixed(2)} of its time\n`;
}

function reportText(times: ReadonlyMap<string, number[]>, rounds: number, leastParts: readonly number[]): string {
  const summaries = [...times].map(([name, values]) => [name, summarise(values)] as const);
  const base = summaries[0]?.[1];
  const rows = summaries.map(([name, time]) => [
    name,
    ...[time.min, time.median, time.max].map((ms) => (ms / 1000).toFixed(1)),
    ratioText(time, base),
  ]);
  const least = Math.min(...leastParts);
  const ratio = (summaries[1]?.[1].median ?? 0) / (base?.median ?? 1);
  return [
    `Real tools: a cold publish of both images for two platforms, ${rounds} round(s) in turn after one to warm up\n`,
    tableText([['', 'min s', 'median s', 'max s', '/ sequence'], ...rows], 1),
    `Limit: publish at most ${TIMES_SEQUENCE} of the sequence (of medians): ${ratio.toFixed(2)}, ${ratio <= TIMES_SEQUENCE ? 'met' : 'MISSED'}\n`,
    ...(Number.isFinite(least) ? [boundText(least)] : []),
  ].join('\n');
}
