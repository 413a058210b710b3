// SPDX-License-Identifier: Apache-2.0

/**
 * The image that CI runs in. Its GitHub token is handed to the build as a secret by the name of the variable that holds
 * it: the value stands in the environment of that one child, and nowhere else.
 */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { type Environment, readVariable, textOf } from '../cli/env.ts';
import { probeBuilder, verifyPlatforms } from '../engine/buildx-builder.ts';
import { detectEngine, TOKEN_VARIABLES } from '../engine/detect.ts';
import type { ImageBuild } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { resolvePlatforms } from '../stage/config.ts';
import { readOptions } from './build-options.ts';
import { resolveBuilder, resolveDestination, resolveDockerfile, verifyDockerfile } from './config.ts';
import { runImageCommands } from './execute.ts';
import { imageCommands } from './plan.ts';
import { imageReference, verifyReference, verifyTag } from './reference.ts';
import { commandLines, destinationText } from './report.ts';

/** Where the Dockerfile's RUN finds the token. */
const SECRET_ID = TOKEN_VARIABLES[0];

/** Builds the CI image, or prints the plan. Stages nothing. */
export async function buildCiImage(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const build = resolveCiBuild(env, extra, root, startDirectory);
  verifyDockerfile(build.dockerfile);
  const engine = await detectEngine(ctx, root);
  verifyPlatforms(engine, await probeBuilder(ctx, engine, root, build.builder), build.platforms);
  const commands = imageCommands(engine, build, startDirectory);
  if (isDryRun) return terminal.result(...commandLines(runner, startDirectory, commands));
  const [reference] = build.tags;
  await runImageCommands(ctx, reference, commands);
  terminal.result(reference);
  terminal.say(`done: ${reference} ${destinationText(build.output, engine.record.name)}; ${terminal.timings()}`);
}

/**
 * What the environment asks for.
 * @throws usageError for any wrong value
 */
export function resolveCiBuild(
  env: Environment,
  extra: readonly string[],
  root: string,
  startDirectory: string,
): ImageBuild & { readonly tags: readonly [string, ...string[]] } {
  verifyNoToken(env, extra);
  const options = readOptions(extra);
  const arches = resolvePlatforms(env);
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  const token = TOKEN_VARIABLES.find((name) => readVariable(env, name) !== undefined);
  return {
    context: root,
    dockerfile: resolveDockerfile(options, root, startDirectory, 'ci'),
    target: options.target,
    tags: [
      imageReference(undefined, 'ci', tag),
      ...options.tags.map((reference) => verifyReference('--tag', reference)),
    ],
    platforms: (arches ?? []).map((arch) => `linux/${arch}`),
    builder: resolveBuilder(env, options),
    caches: [],
    secrets: token === undefined ? [] : [`id=${SECRET_ID},env=${token}`],
    extra: options.rest,
    output: resolveDestination(env, arches, false),
  };
}

/** A token in an argument is seen by everybody on the machine, and in every log. */
function verifyNoToken(env: Environment, args: readonly string[]): void {
  const name = TOKEN_VARIABLES.find((variable) => {
    const token = textOf(env, variable);
    // Anything shorter is not a token, and may stand in an argument by chance.
    return token !== undefined && token.length >= 8 && args.some((argument) => argument.includes(token));
  });
  if (name === undefined) return;
  throw usageError(
    `a build option holds the value of ${name}, which everybody could read; leave it out, the build gets it as a secret`,
  );
}
