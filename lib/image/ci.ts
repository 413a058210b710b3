// SPDX-License-Identifier: Apache-2.0

/**
 * The image that CI runs in. Its GitHub token is handed to the build as a secret by the name of the
 * variable that holds it: the value stands in the environment of that one child, and nowhere else.
 */

import { findCheckout } from '../checkout.ts';
import { detectEngine } from '../engine/detect.ts';
import type { ImageBuild } from '../engine/engine.ts';
import { booleanOf, type Environment, textOf } from '../environment.ts';
import { usageError } from '../errors.ts';
import { platformArches } from '../platform.ts';
import type { Workbench } from '../task.ts';
import { IMAGE_VARIABLES, verifyBuilder, verifyExtra } from './config.ts';
import { imageReference, verifyTag } from './reference.ts';
import { askBuilder, buildCommands, verifyDockerfile } from './run.ts';

const DOCKERFILE = 'deploy/docker/Dockerfile.ci';
/** Where the Dockerfile's RUN finds the token. */
const SECRET_ID = 'MISE_GITHUB_TOKEN';
/** The variables that may hold it, the first one first. */
const TOKEN_VARIABLES = [SECRET_ID, 'GITHUB_TOKEN'];

/** Builds the CI image, or prints the plan. Stages nothing. */
export async function buildCiImage(bench: Workbench, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const build = resolveCiBuild(env, extra);
  verifyDockerfile(root, DOCKERFILE);
  const engine = await detectEngine(door, terminal, env, root);
  await askBuilder(bench, engine, { root, builder: build.builder });
  const commands = buildCommands(engine, build, root);
  if (isDryRun) {
    for (const command of commands) terminal.result(door.describe(command));
    return;
  }
  await terminal.section(`image ${build.tags.join(' ')}`, async () => {
    for (const command of commands) await door.run(command);
  });
  terminal.say(`done: ${build.tags.join(' ')}; ${terminal.timings()}`);
}

/**
 * What the environment asks for.
 *
 * @throws usageError for any wrong value
 */
export function resolveCiBuild(env: Environment, extra: readonly string[]): ImageBuild {
  verifyExtra(extra);
  const platforms = textOf(env, IMAGE_VARIABLES.platforms);
  const arches = platforms === undefined ? [] : platformArches(IMAGE_VARIABLES.platforms, platforms);
  const isPushed = booleanOf(env, IMAGE_VARIABLES.push, false);
  if (arches.length > 1 && !isPushed) {
    throw usageError(
      `${IMAGE_VARIABLES.platforms} names ${arches.length} platforms, which cannot be loaded as one image; ` +
        `set ${IMAGE_VARIABLES.push}=1 to push them, or name one platform`,
    );
  }
  const token = TOKEN_VARIABLES.find((name) => textOf(env, name) !== undefined);
  return {
    dockerfile: DOCKERFILE,
    target: undefined,
    tags: [imageReference(undefined, 'ci', verifyTag(IMAGE_VARIABLES.tag, textOf(env, IMAGE_VARIABLES.tag) ?? 'dev'))],
    platforms: arches.map((arch) => `linux/${arch}`),
    builder: verifyBuilder(textOf(env, IMAGE_VARIABLES.builder)),
    caches: [],
    secrets: token === undefined ? [] : [`id=${SECRET_ID},env=${token}`],
    extra,
    output: { kind: isPushed ? 'push' : 'load' },
  };
}
