// SPDX-License-Identifier: Apache-2.0

/** Which workload images are to be built, and from what: environment and checkout, checked, as one value. */

import { hash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Environment, notAllowed, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/problems.ts';
import { shown, usageError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { resolveBuilder } from '../image/config.ts';
import { verifyReference, verifyTag } from '../image/reference.ts';
import { PRODUCT } from '../product.ts';

const SELECTION = 'OPENSHELL_GPU_WORKLOAD_IMAGES';
const TAG = 'OPENSHELL_GPU_WORKLOAD_IMAGE_TAG';

/** The workloads that there are, in their order. */
const WORKLOADS = [
  { name: 'smoke-pass', variable: 'OPENSHELL_E2E_GPU_SMOKE_PASS_IMAGE', expect: 'pass', isCuda: false },
  { name: 'smoke-fail', variable: 'OPENSHELL_E2E_GPU_SMOKE_FAIL_IMAGE', expect: 'fail', isCuda: false },
  { name: 'cuda-basic', variable: 'OPENSHELL_E2E_GPU_CUDA_WORKLOAD_IMAGE', expect: 'pass', isCuda: true },
] as const;

/** The variables that name what images are built from; the Dockerfiles take arguments of these names. */
export const BASE_IMAGE = 'OPENSHELL_SANDBOX_BASE_IMAGE';
export const CUDA_INPUTS = ['CUDA_BUILD_IMAGE', 'CUDA_SAMPLES_REPO', 'CUDA_SAMPLES_REF'] as const;

export type Inputs = Readonly<Record<typeof BASE_IMAGE | (typeof CUDA_INPUTS)[number], string>>;
export type Workload = ReturnType<typeof findWorkloads>[number];
export type WorkloadsConfig = ReturnType<typeof resolveWorkloadsConfig>;

/** Resolves the configuration; what is wrong becomes one of the problems. */
export function resolveWorkloadsConfig(env: Environment, root: string, problems: Problems) {
  const read = (name: keyof Inputs, pattern: RegExp, allowed: string) => () => {
    const text = readVariable(env, name);
    if (pattern.test(text)) return text;
    // It may hold credentials.
    throw notAllowed(name, text.replace(/\/\/.*@/s, '//…@'), allowed);
  };
  const url = 'is a URL without user and password, such as https://github.com/org/name';
  const inputs = problems.values<Inputs>({
    OPENSHELL_SANDBOX_BASE_IMAGE: () => verifyReference(BASE_IMAGE, readVariable(env, BASE_IMAGE), true),
    CUDA_BUILD_IMAGE: () => verifyReference('CUDA_BUILD_IMAGE', readVariable(env, 'CUDA_BUILD_IMAGE'), true),
    CUDA_SAMPLES_REPO: read('CUDA_SAMPLES_REPO', /^https?:\/\/[\w.-]+(:\d+)?(\/[\w.~-]+)+\/?$/, url),
    CUDA_SAMPLES_REF: read('CUDA_SAMPLES_REF', /^\w[\w.+/-]*$/, 'is a tag of CUDA_SAMPLES_REPO, such as v12.8'),
  });
  const tag = readVariable(env, TAG);
  return problems.values({
    root: () => root,
    inputs: () => inputs,
    workloads: () => select(findWorkloads(root), readVariable(env, SELECTION)),
    /** Without one each image has its own: the fingerprint of what it is built from. */
    tag: () => (tag === undefined ? undefined : verifyTag(TAG, tag)),
    builder: () => resolveBuilder(env, { builder: undefined }),
  });
}

/** @throws usageError where the checkout has none, and the system's error for a file that cannot be read */
function findWorkloads(root: string) {
  const directory = join(root, PRODUCT.gpuImages);
  const found = WORKLOADS.map((workload) => ({ ...workload, context: join(directory, workload.name) })).filter(
    ({ context }) => statSync(join(context, 'Dockerfile'), { throwIfNoEntry: false })?.isFile(),
  );
  if (found.length > 0) return found.map((one) => ({ ...one, isSelected: true, files: filesBelow(root, one.context) }));
  const names = WORKLOADS.map(({ name }) => name).join(', ');
  throw usageError(`${directory} has no Dockerfile of any workload (${names}); check OPENSHELL_ROOT`);
}

/** Every regular file, by its path below the checkout. Node's own recursion follows links, also in a circle. */
function filesBelow(root: string, directory: string): { readonly path: string; readonly sha256: string }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(root, path);
    return entry.isFile() ? { path: relative(root, path), sha256: hash('sha256', contentOf(path)) } : [];
  });
}

/** Whatever order they are named in, and how often: the same workloads are the same selection. */
function select(workloads: readonly Workload[], text: string | undefined): readonly Workload[] {
  if (text === undefined) return workloads;
  const names = text.split(',').flatMap((name) => name.trim() || []);
  const unknown = new Set(names.filter((name) => !workloads.some((workload) => workload.name === name)));
  if (names.length > 0 && unknown.size === 0) {
    return workloads.map((workload) => ({ ...workload, isSelected: names.includes(workload.name) }));
  }
  const said = [...(names.length === 0 ? [text] : unknown)].map(shown).join(', ');
  const known = workloads.map(({ name }) => name).join(', ');
  throw usageError(`${SELECTION} names ${said}; the checkout has ${known}; change it or unset it`);
}
