#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:ci`: builds the image that CI runs in. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-build-ci.ts',
    summary: 'Build the image that CI runs in, openshell/ci.',
    passedOn: { name: 'build-option', help: "Options for the engine's build command, as they are." },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but questions.' } },
    variables: {
      IMAGE_TAG: 'Tag (default dev).',
      DOCKER_PLATFORM: "Comma list of linux/amd64 and linux/arm64 (default: the engine's own).",
      DOCKER_PUSH: 'Push what is built (default no).',
      DOCKER_BUILDER: 'A buildx builder (default: the one chosen with docker buildx use).',
      'MISE_GITHUB_TOKEN, GITHUB_TOKEN': 'Token for tool downloads in the build, handed over as a secret.',
      CONTAINER_ENGINE: 'docker or podman (default: what answers, podman first).',
      'CONTAINER_ENGINE_TARGET, OPENSHELL_E2E_DRIVER': 'Other ways to the engine: local-k8s-cluster; docker, podman.',
      CONTAINER_ENGINE_QUIET: 'Whether to keep quiet about the engine that was chosen (default no).',
    },
  },
  async ({ args, ...ctx }) => {
    const { buildCiImage } = await import('../lib/image/ci.ts');
    await buildCiImage(ctx, args.passedOn, args.flags['dry-run']);
  },
);
