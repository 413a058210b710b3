// SPDX-License-Identifier: Apache-2.0

/** The builder that would build: asked once, checked as it is given. `docker buildx inspect` has no structured form. */

import type { TaskContext } from '../cli/task.ts';
import { oneLine, usageError } from '../errors.ts';
import { question } from './detect.ts';
import type { Engine } from './types.ts';

const BUILDER_TIMEOUT_MS = 20_000;

/** The driver of a builder, such as `docker` or `docker-container`; however the column is padded. */
export function parseBuilderDriver(text: string): string | undefined {
  return /^Driver:[ \t]+(\S+)/m.exec(text)?.[1];
}

/**
 * The driver of the builder that would build; `undefined` where the engine has no builders.
 *
 * @param builder the one that was named; else the one chosen with `docker buildx use` counts
 * @throws usageError with buildx's own words for a builder that is not there
 */
export async function probeBuilder(
  { runner, terminal }: TaskContext,
  engine: Engine,
  { root, builder }: { readonly root: string; readonly builder: string | undefined },
): Promise<string | undefined> {
  const words = engine.record.builderProbe(builder);
  if (words === undefined) {
    if (builder !== undefined) terminal.say(`${engine.record.name} has no builders; DOCKER_BUILDER has no effect`);
    return undefined;
  }
  const answer = await runner.probe(question([engine.program, ...words], root), BUILDER_TIMEOUT_MS);
  if (answer.ok) return parseBuilderDriver(answer.output);
  const [name, fix] =
    builder === undefined
      ? [
          'the builder chosen with docker buildx use',
          'choose another one (docker buildx ls) or name one in DOCKER_BUILDER',
        ]
      : [`builder '${builder}'`, 'see docker buildx ls, change DOCKER_BUILDER or unset it'];
  throw usageError(`${name} does not answer: ${oneLine(answer.reason)}; ${fix}`);
}

/**
 * Several platforms in one build need a builder that can hold them.
 *
 * @param driver what `probeBuilder` gave
 * @throws usageError for docker's own builder over its old image store, which would say so after the compile
 */
export function verifyPlatforms(engine: Engine, driver: string | undefined, platforms: readonly string[]): void {
  if (platforms.length < 2 || driver !== 'docker' || engine.info?.storesIndexes === true) return;
  throw usageError(
    `the builder is docker's own, which builds one platform at a time, not ${platforms.join(',')}; set DOCKER_BUILDER to ` +
      'one of another driver (docker buildx ls, docker buildx create), or name one platform',
  );
}
