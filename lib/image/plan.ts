// SPDX-License-Identifier: Apache-2.0

/** The plan of an image build, pure: the engine's commands, what else is written, and what is printed of them. */

import type { RunnerContext } from '../build-env.ts';
import { isUnknown } from '../cli/dry-run-marks.ts';
import { CONTAINER_DRIVER } from '../engine/inspect-builder.ts';
import type { Engine, ImageBuild, ImageOutput } from '../engine/types.ts';
import type { Place } from '../fs/writable-places.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import { type PreparedStage, stagePlaces } from '../stage/plan.ts';

/** What is written besides the image. @param caches the directories of build caches */
export function imagePlaces(caches: readonly string[], staging: PreparedStage | undefined): Place[] {
  const remedy = 'set DOCKER_BUILD_CACHE_DIR to another directory';
  const places = caches.map((path): Place => ({ kind: 'directory', path, remedy }));
  return [...places, ...(staging === undefined ? [] : stagePlaces(staging.plan))];
}

/** @param cwd the directory that relative paths in the user's options are relative to */
export function imageCommands(engine: Engine, build: ImageBuild, cwd: string): Command[] {
  const { buildCommands, buildSignal: endedBy } = engine.record;
  return buildCommands(build).map((args) => cmd({ cwd, endedBy })`${engine.program} ${args}`);
}

/** Keep the cache of a builder that is a container, and can be removed with it, in a directory. @param driver maybe a mark */
export function cacheOptions(driver: string | undefined, directory: string | undefined): string[] {
  if (driver === undefined || directory === undefined) return [];
  if (driver !== CONTAINER_DRIVER) return isUnknown(driver) ? [driver] : [];
  // A pair with a comma in it is quoted (RFC 4180).
  const field = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [
    ...['--cache-from', `type=local,${field(`src=${directory}`)}`],
    ...['--cache-to', `type=local,${field(`dest=${directory}`)},mode=max`],
  ];
}

/** The engine's part of a plan, ready to paste. */
export function commandLines({ runner, startDirectory }: RunnerContext, commands: readonly Command[]): string[] {
  return [`cd ${shellQuote(startDirectory)}`, ...commands.map((command) => runner.describe(command))];
}

/** Where an image went: `loaded into docker`, `pushed`, `written (type=oci,dest=/x)`. */
export function destinationText(output: ImageOutput, engine: string): string {
  if (output.kind === 'output') return `written (${output.value})`;
  return output.kind === 'push' ? 'pushed' : `loaded into ${engine}`;
}
