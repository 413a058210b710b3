// SPDX-License-Identifier: Apache-2.0

/** Building the workload images of the GPU tests, and recording which there are. */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import { probeBuilder } from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { runImageCommands } from '../image/execute.ts';
import { commandLines } from '../image/plan.ts';
import { BASE_IMAGE, resolveWorkloadsConfig } from './config.ts';
import { fingerprint, planImages, recordPaths, recordTexts } from './plan.ts';

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
  const images = planImages(config, engine, startDirectory);
  terminal.say(`fingerprint of the inputs: ${fingerprint(config.inputs, images)}`);
  if (isDryRun) {
    const commands = images.flatMap((image) => image.commands);
    return terminal.result(...commandLines(ctx, commands), `# writes ${manifest}`, `# writes ${variables}`);
  }
  for (const { commands, reference } of images) await runImageCommands(ctx, reference, commands);
  const base = config.inputs[BASE_IMAGE];
  const digest = await digestOf(ctx, engine, root, base);
  if (digest === undefined) terminal.warn(`the digest of ${base} is not recorded: the engine does not tell it`);
  for (const [path, text] of recordTexts(config, engine, images, digest)) {
    writeWhole(path, text, 0o644);
    terminal.say(`wrote ${path}`);
  }
  terminal.result(...images.map(({ reference }) => reference));
  terminal.say(`done: ${images.length} loaded into ${engine.record.name}; ${terminal.timings()}`);
}

/** The digest that the engine knows an image by; `undefined` where it has no such image. */
async function digestOf({ runner }: RunnerContext, { program, record }: Engine, root: string, image: string) {
  for (const args of record.digestProbes(image)) {
    const result = await runner.probe(probeCommand([program, ...args], root), DIGEST_TIMEOUT_MS);
    const [digest] = (result.ok && /sha256:[0-9a-f]{64}/.exec(result.output)) || [];
    if (digest !== undefined) return digest;
  }
  return undefined;
}
