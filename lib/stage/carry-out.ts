// SPDX-License-Identifier: Apache-2.0

/** From the plan to staged files: cargo runs, what it made is verified, and then put in place. */

import { join } from 'node:path';
import type { Door } from '../build-env.ts';
import { readCargoMessages } from '../cargo-messages.ts';
import { failure } from '../errors.ts';
import { copyWhole, sweepTemporary } from '../files.ts';
import { holderText, waitForLock } from '../lock.ts';
import { addTargets, installTargets } from '../rust-targets.ts';
import type { Workbench } from '../task.ts';
import type { Terminal } from '../terminal.ts';
import { inspectExecutable } from '../verify-binary.ts';
import { makeOverlay } from '../version-overlay.ts';
import { writeZigWrapper } from '../zig-wrapper.ts';
import type { StageConfig } from './config.ts';
import type { Artefact, CargoRun, PreparedStage, StagePlan } from './plan.ts';
import type { Built, Staged } from './report.ts';
import { verifyArtefact } from './verify.ts';

/**
 * Carries a plan out, one staging at a time in a checkout.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOut(bench: Workbench, prepared: PreparedStage): Promise<Staged[]> {
  const { signals, terminal } = bench;
  const { plan } = prepared;
  const lockPath = join(plan.config.root, 'deploy/docker/.build/.stage.lock');
  const task = `stage ${plan.config.components.map(({ name }) => name).join(' ')}`;
  const lock = await waitForLock(lockPath, task, signals, (holder) =>
    terminal.say(`waiting for another staging in this checkout: ${holderText(holder)}`),
  );
  try {
    // Everything is built and verified before anything is staged: `all` never leaves one new and one old.
    const built = await buildAll(bench, prepared);
    return await terminal.section('staging', async () => built.map(putInPlace));
  } finally {
    await lock.release();
  }
}

/**
 * Builds and verifies what a plan names, and stages nothing.
 *
 * @throws TaskError: cargo's own status, 1 for a binary that fails verification, `MissingTool` for a Rust target
 */
export async function buildAll(bench: Workbench, { plan, toolchain, missing }: PreparedStage): Promise<Built[]> {
  const { door, terminal } = bench;
  if (missing.length > 0) {
    const add = addTargets(toolchain, plan.config.root, missing);
    await terminal.section('Rust targets', () => installTargets(door, add));
  }
  if (plan.overlay !== undefined) await makeOverlay(plan.overlay);
  const built: Built[] = [];
  for (const run of plan.runs) built.push(...(await build(bench, plan, run)));
  return built;
}

/** One cargo run, and the verification of what it made. */
async function build(bench: Workbench, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  const { door, terminal } = bench;
  const targets = run.artefacts.map(({ arch, triple }) => `linux/${arch} (${triple})`).join(', ');
  const heading = `${run.component.binary} for ${targets}`;
  return terminal.section(run.component.name, () => buildAndVerify(door, terminal, plan, run), heading);
}

async function buildAndVerify(door: Door, terminal: Terminal, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  await prepare(plan.config, run, terminal);
  const { executablesOf, compiled, total } = readCargoMessages(await door.cargo(run.command));
  const made = executablesOf(run.component.binary).map((path) => ({
    path,
    machine: inspectExecutable(path).facts?.machine,
  }));
  return run.artefacts.map((artefact) => {
    const source = made.find(({ machine }) => machine === MACHINES[artefact.arch])?.path;
    if (source === undefined) throw nothingFor(artefact, made);
    return { artefact, source, ...verifyArtefact(artefact, source), compiled, total };
  });
}

const MACHINES = { amd64: 'x86-64', arm64: 'aarch64' } as const;

async function prepare(config: StageConfig, run: CargoRun, terminal: Terminal): Promise<void> {
  for (const wrapper of run.wrappers) writeZigWrapper(wrapper);
  if (run.wrappers.length === 0) return;
  const { removeStaleCmakeCaches } = await import('../stale-cmake-cache.ts');
  for (const { triple } of run.artefacts) {
    const target = config.targetDirectory ?? join(config.root, 'target');
    for (const folder of removeStaleCmakeCaches(target, triple)) terminal.say(`removed a stale cmake cache: ${folder}`);
  }
}

function nothingFor(artefact: Artefact, found: readonly { path: string; machine: string | undefined }[]) {
  const made =
    found.map(({ path, machine }) => `${path} (${machine ?? 'no executable'})`).join(', ') || 'no executable';
  return failure(
    `nothing was put in place: cargo made ${made}, but ${artefact.component.binary} for ${artefact.triple} ` +
      `has to be an ${MACHINES[artefact.arch]} executable; check cargo's configuration and RUSTFLAGS`,
  );
}

/** The copy is verified once more: between cargo's end and now another cargo may have run. */
function putInPlace(built: Built): Staged {
  const { artefact, source } = built;
  sweepTemporary(artefact.path);
  return { ...built, change: copyWhole(source, artefact.path, 0o755, (copy) => verifyArtefact(artefact, copy)) };
}
