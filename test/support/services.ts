// SPDX-License-Identifier: Apache-2.0

/**
 * Real services for a test file: engines, builders and registries of its own, on sockets, ports and in directories that
 * nobody else uses, so that files can run side by side. Whatever a file starts is stopped when the file is done, also
 * when a test or a `beforeAll` fails; `stop` is for the test that wants it gone earlier.
 *
 *     const tools = requireTools('dockerd', 'docker', 'buildx', 'docker-registry');
 *     describe('...', tools.options, () => {
 *       let dockerd: Dockerd;
 *       beforeAll(async () => { dockerd = await startDockerd(); });
 *       test('...', () => runTaskFile('...', [], { cwd, env: { ...tools.env, ...dockerd.env } }));
 *     });
 */

import { afterAll } from 'vitest';
import { removePodmanHomes } from './services/podman.ts';
import { stopServices } from './services/service.ts';

export { type Buildkitd, startBuildkitd } from './services/buildkitd.ts';
export { type Dockerd, dockerClient, startDockerd } from './services/dockerd.ts';
export { makePodmanHome, type PodmanHome, startPodmanService } from './services/podman.ts';
export { type Registry, type RegistryOptions, startRegistry } from './services/registry.ts';
export type { Service } from './services/service.ts';

afterAll(async () => {
  removePodmanHomes();
  await stopServices();
}, 60_000);
