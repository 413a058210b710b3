// SPDX-License-Identifier: Apache-2.0

/** Building the workload images of the GPU tests, and recording which there are. */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import { probeBuilder } from '../engine/inspect-builder.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { runImageCommands } from '../image/execute.ts';
import { commandLines } from '../image/plan.ts';
import { BASE_IMAGE, resolveWorkloadsConfig } from './config.ts';
import {
  fingerprint,
  manifestText,
  planWorkloads,
  recordPaths,
  variablesText,
  type WorkloadImage,
  type WorkloadsPlan,
} from './plan.ts';

/** Enough for a registry far away. */
const DIGEST_TIMEOUT_MS = 30_000;

/** Builds the images of the selected workloads and records them once all are built, or prints the plan. */
export async function buildWorkloads(ctx: RunnerContext, isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const { manifest, variables } = recordPaths(root);
  const problems = new Problems();
  const config = resolveWorkloadsConfig(env, root, problems);
  notePlaces(problems, files(manifest, variables));
  problems.throwIfAny(terminal);
  const engine = await detectEngine(ctx, root);
  await probeBuilder(ctx, engine, root, config.builder);
  const plan = planWorkloads(config, engine, startDirectory);
  const builds = plan.images.filter(({ isSelected }) => isSelected);
  terminal.say(`fingerprint of the inputs: ${fingerprint(config.inputs, builds)}`);
  if (isDryRun) {
    const commands = builds.flatMap((image) => image.commands);
    return terminal.result(...commandLines(ctx, commands), `# writes ${manifest}`, `# writes ${variables}`);
  }
  for (const { commands, reference } of builds) await runImageCommands(ctx, reference, commands);
  await record(ctx, plan);
  terminal.result(...builds.map(({ reference }) => reference));
  terminal.say(`done: ${builds.length} loaded into ${engine.record.name}; ${terminal.timings()}`);
}

/** Also records the images of other workloads that the engine has, built from the same inputs by an earlier run. */
async function record(ctx: RunnerContext, plan: WorkloadsPlan): Promise<void> {
  const { terminal } = ctx;
  const { inputs, root, tag } = plan.config;
  const { manifest, variables } = recordPaths(root);
  const base = inputs[BASE_IMAGE];
  const digest = await digestOf(ctx, plan, base);
  if (digest === undefined) terminal.warn(`the digest of ${base} is not recorded: the engine does not tell it`);
  const images: WorkloadImage[] = [];
  for (const image of plan.images) {
    // A tag of the user's says nothing of the inputs.
    const isThere = tag === undefined && (await digestOf(ctx, plan, image.reference)) !== undefined;
    if (image.isSelected || isThere) images.push(image);
  }
  writeWhole(manifest, manifestText(plan, digest, images), 0o644);
  writeWhole(variables, variablesText(plan, digest, images), 0o644);
  for (const path of [manifest, variables]) terminal.say(`wrote ${path}`);
}

/** The digest that the engine knows an image by; `undefined` where it has no such image. */
async function digestOf({ runner }: RunnerContext, { config, engine }: WorkloadsPlan, image: string) {
  for (const args of engine.record.digestProbes(image)) {
    const result = await runner.probe(probeCommand([engine.program, ...args], config.root), DIGEST_TIMEOUT_MS);
    const [digest] = (result.ok && /sha256:[0-9a-f]{64}/.exec(result.output)) || [];
    if (digest !== undefined) return digest;
  }
  return undefined;
}
