// SPDX-License-Identifier: Apache-2.0

/** Docker, through buildx. Its client knows where the daemon is. */

import { isAbsolute } from 'node:path';
import { textOf } from '../cli/env.ts';
import { shown } from '../errors.ts';
import { firstInList, isTable } from '../fs/parse-json.ts';
import type { ApiFacts, ApiPlaces, EngineRecord, ImageBuild, ImageOutput, Refusal } from './types.ts';

export const START_DOCKER = 'start Docker (sudo systemctl start docker, or Docker Desktop)';

export const DOCKER: EngineRecord = {
  name: 'docker',
  programs: ['docker'],
  buildCommands: (build) => [
    ['buildx', 'build', ...buildOptions(build), ...build.extra, ...outputArguments(build.output), build.context],
  ],
  builderProbe: (builder) => ['buildx', 'inspect', ...(builder === undefined ? [] : [builder])],
  digestProbes: (image) => [
    ['image', 'inspect', '--format', '{{json .RepoDigests}} {{.Id}}', image],
    // What BuildKit has pulled for a build is not among the images.
    ['buildx', 'imagetools', 'inspect', '--format', '{{json .Manifest.Digest}}', image],
  ],
  api: {
    probe: () => ['context', 'inspect'],
    places: endpointPlaces,
    start: () => START_DOCKER,
  },
};

/** The endpoint of the context that counts: `DOCKER_HOST`, `DOCKER_CONTEXT` and `docker context use` have their say. */
function endpointPlaces({ env, printed }: ApiFacts): ApiPlaces | Refusal | undefined {
  const endpoint = printed?.ok === true ? contextIn(printed.output)?.endpoint : undefined;
  if (endpoint === undefined) return undefined;
  const path = /^unix:\/\/(.+)$/.exec(endpoint)?.[1];
  if (path !== undefined && isAbsolute(path)) return { sockets: [path] };
  const source = textOf(env, 'DOCKER_HOST') === undefined ? 'the context of docker' : 'DOCKER_HOST';
  return {
    said: `${source} leads to ${shown(endpoint)}, and only a socket of this machine can be used`,
    remedy: 'choose a context with a unix:// socket (docker context ls; DOCKER_CONTEXT, DOCKER_HOST)',
  };
}

/** What `context inspect` prints of the context that counts; `undefined` for text that is something else. */
export function contextIn(text: string): { readonly name?: string; readonly endpoint?: string } | undefined {
  const context = firstInList(text);
  if (context === undefined) return undefined;
  const endpoints = isTable(context.Endpoints) ? context.Endpoints : {};
  const endpoint = isTable(endpoints.docker) ? endpoints.docker.Host : undefined;
  return {
    ...(typeof context.Name === 'string' ? { name: context.Name } : {}),
    ...(typeof endpoint === 'string' ? { endpoint } : {}),
  };
}

function buildOptions(build: ImageBuild): string[] {
  return [
    ...(build.builder === undefined ? [] : ['--builder', build.builder]),
    ...(build.platforms.length === 0 ? [] : ['--platform', build.platforms.join(',')]),
    ...build.caches,
    ...build.secrets.flatMap((secret) => ['--secret', secret]),
    '-f',
    build.dockerfile,
    ...(build.target === undefined ? [] : ['--target', build.target]),
    ...build.tags.flatMap((tag) => ['-t', tag]),
    '--provenance=false',
  ];
}

function outputArguments(output: ImageOutput): string[] {
  return output.kind === 'output' ? ['--output', output.value] : [`--${output.kind}`];
}
