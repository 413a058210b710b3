#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:gateway` and `build:docker:supervisor`: stages the binary and builds its image. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-build-image.ts',
    summary: 'Stage the binary that an image holds, and build, load, push or write the image.',
    words: [
      {
        name: 'target',
        help: 'The image; supervisor-output means supervisor.',
        min: 1,
        max: 1,
        choices: ['gateway', 'supervisor', 'supervisor-output'],
      },
    ],
    passedOn: {
      name: 'build-option',
      help: "Options for the engine's build command, as they are; --builder, --file, --target and --tag mean the same on each engine.",
    },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but questions.' } },
    variables: {
      IMAGE_REGISTRY: 'Registry and path, such as ghcr.io/org (default: the local name openshell).',
      IMAGE_TAG: 'Tag (default dev).',
      DOCKER_PLATFORM: "Comma list of linux/amd64 and linux/arm64 (default: the engine's own).",
      DOCKER_PUSH: 'Push what is built (default no).',
      DOCKER_OUTPUT: 'An --output value, such as type=local,dest=out.',
      DOCKER_BUILDER: 'A buildx builder (default: the one chosen with docker buildx use).',
      DOCKER_BUILD_CACHE_DIR: 'Build cache for docker-container builders (default .cache/buildkit).',
      PREBUILT_AUTO_STAGE: 'Whether the binary is compiled and staged first (default yes; never with CI).',
      CI: 'Stage nothing and keep no local cache.',
      CONTAINER_ENGINE: 'docker or podman (default: what answers, podman first).',
      'CONTAINER_ENGINE_TARGET, OPENSHELL_E2E_DRIVER': 'Other ways to the engine: local-k8s-cluster; docker, podman.',
      CONTAINER_ENGINE_QUIET: 'Whether to keep quiet about the engine that was chosen (default no).',
      'SUPERVISOR_LIBC, EXTRA_CARGO_FEATURES, OPENSHELL_CARGO_VERSION, ...': 'As in tasks/stage.ts.',
    },
  },
  async ({ args, ...ctx }) => {
    const { buildImage } = await import('../lib/image/execute.ts');
    await buildImage(ctx, args.words[0] ?? '', args.passedOn, args.flags['dry-run']);
  },
);
