// SPDX-License-Identifier: Apache-2.0

/** `tasks/docker-build-image.ts`: words and environment, the engine, and then the one plan that is printed or run. */

import { findCheckout } from '../checkout.ts';
import { detectEngine } from '../engine/detect.ts';
import { meanwhile } from '../meanwhile.ts';
import type { Workbench } from '../task.ts';
import { resolveImageConfig, verifyDockerfile } from './config.ts';
import { destinationText } from './report.ts';

/**
 * Builds the image that `target` names, or prints the plan.
 *
 * @param target one of `IMAGE_TARGETS`
 * @param extra words for the engine's build command
 * @throws TaskError: 2 before anything is built, else the failed program's own status
 */
export async function buildImage(
  bench: Workbench,
  target: string,
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const config = resolveImageConfig(target, extra, env, root, startDirectory);
  verifyDockerfile(root, config.dockerfile);
  const [engine, { carryOutImage, imageLines, prepareImage }] = await Promise.all([
    detectEngine(door, terminal, env, root),
    meanwhile(() => import('./run.ts')),
  ]);
  const prepared = await prepareImage(bench, config, engine);
  if (isDryRun) {
    for (const line of imageLines(bench, prepared)) terminal.result(line);
    return;
  }
  await carryOutImage(bench, prepared);
  if (config.output.kind !== 'output') terminal.result(config.reference);
  const platforms = prepared.arches.map((arch) => `linux/${arch}`).join(', ');
  const where = destinationText(config.output, engine.record.name);
  terminal.say(`done: ${config.reference} for ${platforms} ${where}; ${terminal.timings()}`);
}
