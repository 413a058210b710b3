// SPDX-License-Identifier: Apache-2.0

/**
 * The binaries that an image copies: put there by us or by others, verified, and the same while the engine reads them.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { isUnknown } from '../cli/unknowns.ts';
import { failure, TaskError, usageError } from '../errors.ts';
import { whileLocked } from '../fs/lock.ts';
import { fileIdentity } from '../fs/paths.ts';
import { PRODUCT } from '../product.ts';
import type { StageConfig } from '../stage/config.ts';
import { executeStage } from '../stage/execute.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../stage/plan.ts';
import { reportLines } from '../stage/report.ts';
import { verifyArtifact } from '../stage/verify-built.ts';

/**
 * Verifies what others have staged, as what we stage is verified.
 * Nothing can be verified for an unknown architecture.
 * @throws TaskError: 2 for one that is not there, 1 for one that is not what it has to be
 */
export function verifyPrebuilt(config: StageConfig): void {
  const artifacts = artifactsOf(config).filter(({ arch }) => !isUnknown(arch));
  const missing = artifacts.filter(({ path }) => statSync(path, { throwIfNoEntry: false })?.isFile() !== true);
  if (missing.length > 0) {
    throw usageError(
      `${missing.map(({ path }) => path).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not there, and nothing is ` +
        'staged here (CI or PREBUILT_AUTO_STAGE=0); run tasks/stage.ts first, or unset them',
    );
  }
  for (const artifact of artifacts) verifyStaged(artifact);
}

function verifyStaged(artifact: Artifact): void {
  try {
    verifyArtifact(artifact, artifact.path);
  } catch (cause) {
    if (!(cause instanceof TaskError)) throw cause;
    throw failure(`no image was built from ${artifact.path}`, cause.exitCode, { cause });
  }
}

/**
 * Stages where that is planned, and runs a body that builds from it. Two builds of one component wait for each other,
 * so that none copies the binary of the other, which may have another version.
 * @throws TaskError (1) when the binaries were replaced in the meantime by a staging that builds no image
 */
export async function withStaged(
  ctx: RunnerContext,
  config: StageConfig,
  prepared: PreparedStage | undefined,
  body: () => Promise<void>,
): Promise<void> {
  if (prepared === undefined) return whileUnchanged(config, body);
  const build = async () => {
    const staged = await executeStage(ctx, prepared);
    for (const line of reportLines(config.root, staged)) ctx.terminal.say(line);
    await whileUnchanged(config, body);
  };
  // In the order of their names, so that no two builds wait for each other.
  const names = config.components.map(({ name }) => name).sort();
  const locked = names.reduceRight<() => Promise<void>>((inner, name) => {
    const path = join(config.root, PRODUCT.prebuiltDirectory, '..', `.image-${name}.lock`);
    const place = { path, remedy: 'set OPENSHELL_ROOT to a checkout on another file system' };
    const task = `image ${names.join(' ')}`;
    return () => whileLocked(ctx, { ...place, task, other: `another build of the image ${name}` }, inner);
  }, build);
  return locked();
}

async function whileUnchanged(config: StageConfig, body: () => Promise<void>): Promise<void> {
  const paths = artifactsOf(config).map(({ path }) => path);
  const before = paths.map(fileIdentity);
  await body();
  const changed = paths.find((path, index) => fileIdentity(path) !== before[index]);
  if (changed === undefined) return;
  throw failure(`${changed} was replaced while the image was built, which may hold either; build it again`);
}
