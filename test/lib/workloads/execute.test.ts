// SPDX-License-Identifier: Apache-2.0

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { fingerprint } from '../../../lib/workloads/execute.ts';

const INPUTS = {
  OPENSHELL_SANDBOX_BASE_IMAGE: 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest',
  CUDA_BUILD_IMAGE: 'nvcr.io/nvidia/cuda:12.8.1-base-ubuntu22.04',
  CUDA_SAMPLES_REPO: 'https://github.com/NVIDIA/cuda-samples',
  CUDA_SAMPLES_REF: 'v12.8',
};

/** The files of OpenShell at the commit that the golden values were taken from. */
const HASHES = {
  'smoke-pass': {
    Dockerfile: '92986bdab060c8b6ff267e085f17b19b27a119f7d892019cdbdd32423117d934',
    'README.md': 'd2f44d15929d2bdc5a97823753e68ba55e66a5869ac27242945ec12cb60e0681',
    'workload.sh': '265e2911110ebe2f3aa19717ec2920252d133bf846ea0b81e1d08a62eb28549e',
  },
  'smoke-fail': {
    Dockerfile: '92986bdab060c8b6ff267e085f17b19b27a119f7d892019cdbdd32423117d934',
    'README.md': '129cc87bc349b7786109c4301f62063e00e1142a438c2fc12342fab95100865d',
    'workload.sh': '7760b27e6e9ac58833b75fab00a355ac2cd56fde35ef866299fa326215c6774c',
  },
  'cuda-basic': {
    Dockerfile: 'fdcf60f3bbca888635383bc00a093d6b1db6d822da16b1b498d28381ed3fb79a',
    'README.md': 'fb6bd71a2e10a5859dae063a784ef35306d4f2114d378b0c409ec04a0d5bc136',
    'workload.sh': '1a41b4d32a393250a1c717eb7c5b6c8698c4d9227d1b5a66478efddaceb4a4e5',
  },
} as const;

function workload(name: keyof typeof HASHES) {
  const files = Object.entries(HASHES[name]).map(([file, sha256]) => ({
    path: `e2e/gpu/images/${name}/${file}`,
    sha256,
  }));
  return { name, isCuda: name === 'cuda-basic', files } as const;
}

test.each([
  [['smoke-pass', 'smoke-fail', 'cuda-basic'], 'e1f22f801766'],
  [['smoke-pass', 'smoke-fail'], '818affa58509'],
  [['smoke-fail', 'smoke-pass'], '3f58e9cbeb85'],
] as const)('the golden fingerprint of %j', (names, golden) => {
  expect(fingerprint(INPUTS, names.map(workload))).toBe(golden);
});

test('what it is made of: files in the order of their bytes, and of CUDA only where a workload has it', () => {
  const paths = ['b', 'a/b', 'a.b', 'é', 'Z', '\u{1f600}', '\uffff'];
  const sorted = ['Z', 'a.b', 'a/b', 'b', 'é', '\uffff', '\u{1f600}'];
  const files = paths.map((path) => ({ path, sha256: `of ${path}` }));
  const text = [
    'schema=openshell-gpu-workload-input-v1',
    'OPENSHELL_SANDBOX_BASE_IMAGE=base',
    'WORKLOAD=smoke-pass',
    ...sorted.flatMap((path) => [`FILE=${path}`, `SHA256=of ${path}`]),
    '',
  ].join('\n');
  const inputs = { ...INPUTS, OPENSHELL_SANDBOX_BASE_IMAGE: 'base' };
  const expected = createHash('sha256').update(text).digest('hex').slice(0, 12);
  expect(fingerprint(inputs, [{ name: 'smoke-pass', isCuda: false, files }])).toBe(expected);
});

test.each(Object.keys(INPUTS) as (keyof typeof INPUTS)[])('%s counts where it is used', (name) => {
  const changed = { ...INPUTS, [name]: 'other' };
  const isDifferent = (what: keyof typeof HASHES) =>
    fingerprint(changed, [workload(what)]) !== fingerprint(INPUTS, [workload(what)]);
  expect(isDifferent('cuda-basic')).toBe(true);
  expect(isDifferent('smoke-pass')).toBe(name === 'OPENSHELL_SANDBOX_BASE_IMAGE');
});
