// SPDX-License-Identifier: Apache-2.0

/**
 * The image that CI runs in. The build gets the GitHub token as a secret, by the name of the variable that holds it:
 * the value is in the environment of that one child, and nowhere else.
 */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { type Environment, readVariable, textOf } from '../cli/env.ts';
import { detectEngine, TOKEN_VARIABLES } from '../engine/detect.ts';
import { probeBuilder, verifyPlatforms } from '../engine/inspect-builder.ts';
import { usageError } from '../errors.ts';
import { resolveImage, verifyDockerfile } from './config.ts';
import { runImageCommands } from './execute.ts';
import { imageCommands } from './plan.ts';
import { commandLines, destinationText } from './report.ts';

/** Where the Dockerfile's RUN finds the token. */
const SECRET_ID = TOKEN_VARIABLES[0];

/** Builds the CI image, or prints the plan. Stages nothing. */
export async function buildCiImage(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  verifyNoToken(env, extra);
  const { builder, image, reference } = resolveImage(undefined, extra, env, root, startDirectory);
  const token = TOKEN_VARIABLES.find((name) => readVariable(env, name) !== undefined);
  const build = { ...image, secrets: token === undefined ? [] : [`id=${SECRET_ID},env=${token}`] };
  verifyDockerfile(build.dockerfile);
  const engine = await detectEngine(ctx, root);
  verifyPlatforms(await probeBuilder(ctx, engine, root, builder), build.platforms);
  const commands = imageCommands(engine, build, startDirectory);
  if (isDryRun) return terminal.result(...commandLines(ctx, commands));
  await runImageCommands(ctx, reference, commands);
  terminal.result(reference);
  terminal.say(`done: ${reference} ${destinationText(build.output, engine.record.name)}; ${terminal.timings()}`);
}

/** Every user of the machine sees the arguments of a process, and logs keep them. */
function verifyNoToken(env: Environment, args: readonly string[]): void {
  const name = TOKEN_VARIABLES.find((variable) => {
    const token = textOf(env, variable);
    // Anything shorter is not a token, and may be in an argument by chance.
    return token !== undefined && token.length >= 8 && args.some((argument) => argument.includes(token));
  });
  if (name === undefined) return;
  throw usageError(
    `a build option holds the value of ${name}, which other users and logs would show; leave it out, the build gets it as a secret`,
  );
}
