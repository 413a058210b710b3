// SPDX-License-Identifier: Apache-2.0

/**
 * The image that CI runs in. Its GitHub token is handed to the build as a secret by the name of the
 * variable that holds it: the value stands in the environment of that one child, and nowhere else.
 */

import { findCheckout } from '../checkout.ts';
import { type Environment, textOf } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { probeBuilder, verifyPlatforms } from '../engine/buildx-builder.ts';
import { detectEngine, TOKEN_VARIABLES } from '../engine/detect.ts';
import type { ImageBuild } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { readExtra } from './build-options.ts';
import {
  DEFAULT_TAG,
  dockerfileOf,
  IMAGE_VARIABLES,
  resolveArches,
  resolveBuilder,
  resolveDestination,
  resolveDockerfile,
  verifyDockerfile,
} from './config.ts';
import { buildCommands, runCommands } from './execute.ts';
import { imageReference, verifyReference, verifyTag } from './reference.ts';
import { commandLines, destinationText } from './report.ts';

/** Where the Dockerfile's RUN finds the token. */
const SECRET_ID = TOKEN_VARIABLES[0];

/** Builds the CI image, or prints the plan. Stages nothing. */
export async function buildCiImage(ctx: TaskContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const build = resolveCiBuild(env, extra, startDirectory);
  verifyDockerfile(root, build.dockerfile);
  const engine = await detectEngine(runner, terminal, env, root);
  verifyPlatforms(engine, await probeBuilder(ctx, engine, { root, builder: build.builder }), build.platforms);
  const commands = buildCommands(engine, build, root);
  if (isDryRun) {
    for (const line of commandLines(runner, root, [], commands)) terminal.result(line);
    return;
  }
  const [reference = ''] = build.tags;
  await runCommands(ctx, reference, commands);
  terminal.result(reference);
  terminal.say(`done: ${reference} ${destinationText(build.output, engine.record.name)}; ${terminal.timings()}`);
}

/**
 * What the environment asks for.
 *
 * @throws usageError for any wrong value
 */
export function resolveCiBuild(env: Environment, extra: readonly string[], startDirectory: string): ImageBuild {
  verifyNoToken(env, extra);
  const words = readExtra(extra);
  const arches = resolveArches(env);
  const tag = verifyTag(IMAGE_VARIABLES.tag, textOf(env, IMAGE_VARIABLES.tag) ?? DEFAULT_TAG);
  const token = TOKEN_VARIABLES.find((name) => textOf(env, name) !== undefined);
  return {
    dockerfile: resolveDockerfile(words, startDirectory) ?? dockerfileOf('ci'),
    target: words.target,
    tags: [imageReference(undefined, 'ci', tag), ...words.tags.map((reference) => verifyReference('--tag', reference))],
    platforms: (arches ?? []).map((arch) => `linux/${arch}`),
    builder: resolveBuilder(env, words),
    caches: [],
    secrets: token === undefined ? [] : [`id=${SECRET_ID},env=${token}`],
    extra: words.rest,
    output: resolveDestination(env, arches, startDirectory, false),
  };
}

/** A token in a word is seen by everybody on the machine, and in every log. */
function verifyNoToken(env: Environment, words: readonly string[]): void {
  const name = TOKEN_VARIABLES.find((variable) => {
    const token = textOf(env, variable);
    // Anything shorter is no token, and may stand in a word by chance.
    return token !== undefined && token.length >= 8 && words.some((word) => word.includes(token));
  });
  if (name === undefined) return;
  throw usageError(
    `a build option holds the value of ${name}, which everybody could read; leave it out, the build gets it as a secret`,
  );
}
