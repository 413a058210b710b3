// SPDX-License-Identifier: Apache-2.0

/** Podman. It has no builders, always keeps what it builds, and pushes with a command of its own. */

import { usageError } from '../errors.ts';
import type { EngineRecord, ImageBuild } from './types.ts';

export const PODMAN: EngineRecord = {
  name: 'podman',
  // Some systems have podman only under docker's name.
  programs: ['podman', 'docker'],
  buildCommands: (build) => [
    ['build', ...buildOptions(build), ...withoutDockerOptions(build.extra), build.context],
    ...(build.output.kind === 'push' ? build.tags.map((tag) => ['push', ...tlsArguments(tag), tag]) : []),
  ],
  builderProbe: () => undefined,
};

function buildOptions(build: ImageBuild): string[] {
  if (build.platforms.length > 1) {
    throw usageError(
      `podman builds one platform at a time, not ${build.platforms.join(',')}; name one in DOCKER_PLATFORM, ` +
        'take docker, or publish several with tasks/docker-publish-multiarch.ts',
    );
  }
  return [
    ...build.platforms.flatMap((platform) => ['--platform', platform]),
    ...build.secrets.flatMap((secret) => ['--secret', secret]),
    '-f',
    build.dockerfile,
    ...(build.target === undefined ? [] : ['--target', build.target]),
    ...build.tags.flatMap((tag) => ['-t', tag]),
    ...(build.output.kind === 'output' ? ['--output', build.output.value] : []),
  ];
}

/** Allows plain HTTP on loopback, as docker does by itself. */
export function tlsArguments(reference: string): string[] {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?\//.test(reference) ? ['--tls-verify=false'] : [];
}

/** Options that only buildx knows, each as one argument (`--provenance=false`) or two. */
const DOCKER_ONLY = ['--provenance', '--builder', '--sbom', '--attest'];

function withoutDockerOptions(args: readonly string[]): string[] {
  return args.filter((argument, index) => {
    const before = args[index - 1];
    // `--provenance` also stands alone; a value does not begin with a dash.
    const isValue = before !== undefined && DOCKER_ONLY.includes(before) && !argument.startsWith('-');
    return !isValue && !DOCKER_ONLY.includes(argument.replace(/=.*/s, ''));
  });
}
