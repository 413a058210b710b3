// SPDX-License-Identifier: Apache-2.0

/** The engine of a dry run that could not be probed: what is known of it, and marks for the rest. Pure. */

import type { Unknowns } from '../cli/unknowns.ts';
import { DOCKER } from './docker.ts';
import type { EngineChoice } from './select.ts';
import type { EngineInfo, EngineName, EngineRecord, LaunchEngine, Refusal } from './types.ts';

/**
 * The one engine that it can only be, and why it is unknown.
 * @param refused why each of the candidates cannot be used
 * @returns without a name where it could be any of them
 */
export function onlyEngine(
  { candidates }: EngineChoice,
  refused: readonly Refusal[],
): { readonly name: EngineName | undefined; readonly why: string } {
  const present = candidates.filter((_, index) => refused[index]?.isAbsent !== true);
  const [name, other] = candidates.length === 1 ? candidates : present;
  const problem =
    present.length > 0 ? `${present.join(' and ')} not reachable` : `${candidates.join(' and ')} not on PATH`;
  return { name: other === undefined ? name : undefined, why: problem };
}

/**
 * @param record `undefined` where it could be any: the commands are then those of docker
 * @param info what it has said about itself, where only its API is out of reach
 */
export function unknownEngine(
  unknowns: Unknowns,
  why: string,
  record: EngineRecord | undefined,
  info?: EngineInfo,
): LaunchEngine {
  const { name } = record ?? DOCKER;
  const none = { engine: name, arch: unknowns.mark('architecture', why), isPodmanServer: false, storesIndexes: false };
  if (record === undefined) unknowns.note('where the engine is unknown, the commands are those of docker');
  return {
    record: record ?? DOCKER,
    program: record?.name ?? unknowns.mark('engine', why),
    reason: why,
    info: info ?? none,
    socket: unknowns.mark('socket', why),
    unknown: why,
  };
}
