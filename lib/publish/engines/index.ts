// SPDX-License-Identifier: Apache-2.0

/** How each engine publishes: records of one shape, as for builds. Builds alone do not load them. */

import type { EngineName } from '../../engine/types.ts';
import { DOCKER_PUBLISHING } from './docker.ts';
import { PODMAN_PUBLISHING } from './podman.ts';
import type { Publishing } from './types.ts';

export function publishingOf(name: EngineName): Publishing {
  return { docker: DOCKER_PUBLISHING, podman: PODMAN_PUBLISHING }[name];
}
