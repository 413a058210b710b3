// SPDX-License-Identifier: Apache-2.0

/** Building the workload images of the GPU tests, and recording which there are. */

import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import { probeBuilder } from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { files, notePlaces } from '../fs/writable-places.ts';
import { runImageCommands } from '../image/execute.ts';
import { commandLines, imageCommands } from '../image/plan.ts';
import { PRODUCT } from '../product.ts';
import {
  BASE_IMAGE,
  CUDA_INPUTS,
  type Inputs,
  resolveWorkloadsConfig,
  type Workload,
  type WorkloadsConfig,
} from './config.ts';

const FINGERPRINT_LENGTH = 12;
const LABEL = 'com.nvidia.openshell.gpu-workload';
const GENERATED_BY = 'mise run e2e:workloads:build';
const PROGRAM = '/usr/local/bin/openshell-gpu-workload';

/** The files that a run writes, with the directory that their workloads are in; absolute. */
function recordPaths(root: string) {
  const directory = join(root, PRODUCT.gpuImages);
  const manifest = join(directory, '.build/workloads.yaml');
  return { directory, manifest, variables: join(directory, '.build/latest.env') };
}

/** All workloads, each with the image that it would get. @param cwd the directory that the commands start in */
function planImages({ builder, inputs, tag, workloads }: WorkloadsConfig, engine: Engine, cwd: string) {
  return workloads.map((workload) => {
    const own = fingerprint(inputs, [workload]);
    const reference = `localhost/openshell/gpu-workload-${workload.name}:${tag ?? own}`;
    const cuda = workload.isCuda ? CUDA_INPUTS : [];
    const labels = [
      ['source', workload.name],
      ['base-image', inputs[BASE_IMAGE]],
      ['input-fingerprint', own],
      ...cuda.map((name) => [name.toLowerCase().replaceAll('_', '-'), inputs[name]]),
    ];
    const build = {
      ...{ target: undefined, platforms: [], caches: [], secrets: [] },
      context: workload.context,
      dockerfile: join(workload.context, 'Dockerfile'),
      tags: [reference],
      builder: builder?.name,
      extra: [
        ...labels.flatMap(([name, value]) => ['--label', `${LABEL}.${name}=${value}`]),
        ...[BASE_IMAGE, ...cuda].flatMap((name) => ['--build-arg', `${name}=${inputs[name as keyof Inputs]}`]),
      ],
      output: { kind: 'load' },
    } as const;
    return { ...workload, reference, commands: imageCommands(engine, build, cwd) };
  });
}

/** What stands for all that these workloads are built from, in their order: 12 hexadecimal digits. */
export function fingerprint(inputs: Inputs, workloads: readonly Pick<Workload, 'name' | 'isCuda' | 'files'>[]) {
  const names = [BASE_IMAGE, ...(workloads.some(({ isCuda }) => isCuda) ? CUDA_INPUTS : [])] as const;
  const lines = [
    'schema=openshell-gpu-workload-input-v1',
    ...names.map((name) => `${name}=${inputs[name]}`),
    ...workloads.flatMap(({ files, name }) => [
      `WORKLOAD=${name}`,
      ...files
        .toSorted((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)))
        .flatMap(({ path, sha256 }) => [`FILE=${path}`, `SHA256=${sha256}`]),
    ]),
  ];
  return hash('sha256', lines.map((line) => `${line}\n`).join('')).slice(0, FINGERPRINT_LENGTH);
}

/**
 * The files of a run: the manifest for the tests, in JSON, which is YAML; and variables for a shell. None of these is
 * one that a build reads: a shell that has them builds what there is by then.
 * @param digest of the base image, where the engine tells it
 */
function recordTexts(
  { inputs, root }: WorkloadsConfig,
  { record }: Engine,
  images: ReturnType<typeof planImages>,
  digest: string | undefined,
) {
  const { directory, manifest, variables } = recordPaths(root);
  const input_fingerprint = fingerprint(inputs, images);
  const source = {
    path: directory,
    input_fingerprint,
    container_engine: record.name,
    inputs: Object.fromEntries([
      ...[BASE_IMAGE, ...CUDA_INPUTS].map((name) => [name.toLowerCase(), inputs[name as keyof Inputs]]),
      [`${BASE_IMAGE.toLowerCase()}_digest`, digest],
    ]),
  };
  const workloads = images.map(({ expect, name, reference }) => {
    return { name, image: reference, command: [PROGRAM], expect, requirements: { gpu: true } };
  });
  const exports = Object.entries({
    OPENSHELL_GPU_WORKLOAD_IMAGE_SOURCE_PATH: directory,
    OPENSHELL_GPU_WORKLOAD_IMAGE_INPUT_FINGERPRINT: input_fingerprint,
    OPENSHELL_GPU_WORKLOAD_BASE_IMAGE: inputs[BASE_IMAGE],
    ...(digest === undefined ? {} : { OPENSHELL_GPU_WORKLOAD_BASE_IMAGE_DIGEST: digest }),
    ...Object.fromEntries(CUDA_INPUTS.map((name) => [`OPENSHELL_GPU_WORKLOAD_${name}`, inputs[name]])),
    OPENSHELL_GPU_WORKLOAD_CONTAINER_ENGINE: record.name,
    OPENSHELL_E2E_WORKLOAD_MANIFEST: manifest,
    ...Object.fromEntries(images.map(({ reference, variable }) => [variable, reference])),
  }).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
  const document = { schema_version: 1, generated_by: GENERATED_BY, source, workloads };
  return [
    [manifest, `${JSON.stringify(document, undefined, 2)}\n`],
    [
      variables,
      `# Written by ${GENERATED_BY}.\n# The workload images that were built last, for a shell.\n${exports.join('')}`,
    ],
  ] as const;
}

/** Enough for a registry far away. */
const DIGEST_TIMEOUT_MS = 30_000;

/** Builds the images of the selected workloads and records them once all are built, or prints the plan. */
export async function buildWorkloads(ctx: RunnerContext, isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const { manifest, variables } = recordPaths(root);
  const problems = new Problems();
  const config = resolveWorkloadsConfig(env, root, problems);
  notePlaces(problems, files(manifest, variables));
  problems.throwIfAny(terminal);
  const engine = await detectEngine(ctx, root);
  await probeBuilder(ctx, engine, root, config.builder);
  const all = planImages(config, engine, startDirectory);
  const selected = all.filter(({ isSelected }) => isSelected);
  terminal.say(`fingerprint of the inputs: ${fingerprint(config.inputs, selected)}`);
  if (isDryRun) {
    const commands = selected.flatMap((image) => image.commands);
    return terminal.result(...commandLines(ctx, commands), `# writes ${manifest}`, `# writes ${variables}`);
  }
  for (const { commands, reference } of selected) await runImageCommands(ctx, reference, commands);
  const base = config.inputs[BASE_IMAGE];
  const digest = await digestOf(ctx, engine, root, base);
  if (digest === undefined) terminal.warn(`the digest of ${base} is not recorded: the engine does not tell it`);
  const images: typeof all = [];
  for (const image of all) {
    // One of an earlier run stays; a tag of the user's says nothing of what it was built from.
    const isThere = async () => (await digestOf(ctx, engine, root, image.reference)) !== undefined;
    if (image.isSelected || (config.tag === undefined && (await isThere()))) images.push(image);
  }
  for (const [path, text] of recordTexts(config, engine, images, digest)) {
    writeWhole(path, text, 0o644);
    terminal.say(`wrote ${path}`);
  }
  terminal.result(...selected.map(({ reference }) => reference));
  terminal.say(`done: ${selected.length} loaded into ${engine.record.name}; ${terminal.timings()}`);
}

/** The digest that the engine knows an image by; `undefined` where it has no such image. */
async function digestOf({ runner }: RunnerContext, { program, record }: Engine, root: string, image: string) {
  for (const args of record.digestProbes(image)) {
    const result = await runner.probe(probeCommand([program, ...args], root), DIGEST_TIMEOUT_MS);
    const [digest] = (result.ok && /sha256:[0-9a-f]{64}/.exec(result.output)) || [];
    if (digest !== undefined) return digest;
  }
  return undefined;
}
