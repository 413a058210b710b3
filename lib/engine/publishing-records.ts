// SPDX-License-Identifier: Apache-2.0

/** How each engine publishes: records of one shape, as for builds. Builds alone do not load them. */

import { DOCKER_PUBLISHING } from './docker-publishing.ts';
import type { EngineName } from './engine.ts';
import { PODMAN_PUBLISHING } from './podman-publishing.ts';
import type { Publishing } from './publishing.ts';

export function publishingOf(name: EngineName): Publishing {
  return { docker: DOCKER_PUBLISHING, podman: PODMAN_PUBLISHING }[name];
}
