// SPDX-License-Identifier: Apache-2.0

/** Docker, through buildx. */

import type { EngineRecord, ImageBuild, ImageOutput } from './types.ts';

export const DOCKER: EngineRecord = {
  name: 'docker',
  programs: ['docker'],
  buildCommands: (build) => [
    ['buildx', 'build', ...buildOptions(build), ...build.extra, ...outputArguments(build.output), build.context],
  ],
  builderProbe: (builder) => ['buildx', 'inspect', ...(builder === undefined ? [] : [builder])],
};

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
