// SPDX-License-Identifier: Apache-2.0

/** Docker, through buildx. Its client knows where the daemon is. */

import { textOf } from '../cli/env.ts';
import { firstInList, isTable } from '../fs/parse-json.ts';
import { type ApiFacts, type ApiPlaces, type EngineRecord, optionsOf, placesAt, type Refusal } from './types.ts';

export const START_DOCKER = 'start Docker (sudo systemctl start docker, or Docker Desktop)';

export const DOCKER: EngineRecord = {
  name: 'docker',
  programs: ['docker'],
  buildCommands: (build) => [
    [
      ...['buildx', 'build', ...(build.builder === undefined ? [] : ['--builder', build.builder])],
      ...(build.platforms.length === 0 ? [] : ['--platform', build.platforms.join(',')]),
      ...[...build.caches, ...optionsOf(build), '--provenance=false', ...build.extra],
      ...(build.output.kind === 'output' ? ['--output', build.output.value] : [`--${build.output.kind}`]),
      build.context,
    ],
  ],
  builderProbe: (builder) => ['buildx', 'inspect', ...(builder === undefined ? [] : [builder])],
  digestProbes: (image) => [
    ['image', 'inspect', '--format', '{{json .RepoDigests}} {{.Id}}', image],
    // What BuildKit has pulled for a build is not among the images.
    ['buildx', 'imagetools', 'inspect', '--format', '{{json .Manifest.Digest}}', image],
  ],
  api: {
    probe: () => ['context', 'inspect'],
    places: contextPlaces,
    start: () => START_DOCKER,
  },
};

/** The endpoint of the context that counts: `DOCKER_HOST`, `DOCKER_CONTEXT` and `docker context use` have their say. */
function contextPlaces({ env, printed }: ApiFacts): ApiPlaces | Refusal | undefined {
  const endpoints = printed?.ok ? firstInList(printed.output)?.Endpoints : undefined;
  const endpoint = isTable(endpoints) && isTable(endpoints.docker) ? endpoints.docker.Host : undefined;
  if (typeof endpoint !== 'string') return undefined;
  const source = textOf(env, 'DOCKER_HOST') === undefined ? 'the context of docker' : 'DOCKER_HOST';
  const remedy = 'choose a context with a unix:// socket (docker context ls; DOCKER_CONTEXT, DOCKER_HOST)';
  return placesAt(endpoint, source, remedy);
}
