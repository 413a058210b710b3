#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run e2e:workloads:build`: builds the workload images of the GPU tests, and the manifest that lists them. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/e2e-gpu-build-images.ts',
    summary: 'Build the workload images of the GPU tests, and the manifest that lists them.',
    examples: [
      ['mise run e2e:workloads:build', 'Every workload of the checkout.'],
      ['OPENSHELL_GPU_WORKLOAD_IMAGES=smoke-pass mise run e2e:workloads:build', 'One.'],
    ],
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['OPENSHELL_ROOT', 'OPENSHELL_GPU_WORKLOAD_IMAGES', 'OPENSHELL_GPU_WORKLOAD_IMAGE_TAG'] as const),
      ...(['OPENSHELL_SANDBOX_BASE_IMAGE', 'CUDA_BUILD_IMAGE', 'CUDA_SAMPLES_REPO', 'CUDA_SAMPLES_REF'] as const),
      ...(['DOCKER_BUILDER', 'BUILDX_BUILDER', ...READS.engine, ...READS.guard] as const),
    ],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { buildWorkloads } = await import('../lib/workloads/execute.ts');
    await buildWorkloads(await withRunner(ctx), flags['dry-run']);
  },
);
