// SPDX-License-Identifier: Apache-2.0

/** Podman. It has no builders, keeps what it builds without being asked, and pushes with a command of its own. */

import { usageError } from '../errors.ts';
import type { EngineRecord, ImageBuild } from './types.ts';

export const PODMAN: EngineRecord = {
  name: 'podman',
  // Some systems have podman only under docker's name.
  programs: ['podman', 'docker'],
  buildCommands: (build) => [
    ['build', ...buildOptions(build), ...withoutDockerOptions(build.extra), build.context],
    ...(build.output.kind === 'push' ? build.tags.map((tag) => ['push', ...tlsWords(tag), tag]) : []),
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

/** Plain HTTP is allowed where nobody can listen in, as docker does by itself. */
export function tlsWords(reference: string): string[] {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?\//.test(reference) ? ['--tls-verify=false'] : [];
}

/** Options that only buildx knows, each as one word (`--provenance=false`) or two. */
const DOCKER_ONLY = ['--provenance', '--builder', '--sbom', '--attest'];

function withoutDockerOptions(words: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (DOCKER_ONLY.some((option) => word.startsWith(`${option}=`))) continue;
    if (DOCKER_ONLY.includes(word)) {
      // `--provenance` also stands alone; a value does not begin with a dash.
      if (words[at + 1]?.startsWith('-') === false) at++;
      continue;
    }
    kept.push(word);
  }
  return kept;
}
