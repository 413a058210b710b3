// SPDX-License-Identifier: Apache-2.0

/** The record of each engine. */

import { DOCKER } from './docker.ts';
import type { EngineName, EngineRecord } from './engine.ts';
import { PODMAN } from './podman.ts';

const RECORDS: Readonly<Record<EngineName, EngineRecord>> = { docker: DOCKER, podman: PODMAN };

export function recordOf(name: EngineName): EngineRecord {
  return RECORDS[name];
}
