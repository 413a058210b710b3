// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { kernelVersionIn, provenanceText } from '../../../../lib/vm/runtime/provenance.ts';

test.each([
  ['KERNEL_VERSION = linux-6.12.76\n', 'linux-6.12.76'],
  ['ABI = 5\nKERNEL_VERSION=linux-6.12-s1 # x\n', 'linux-6.12-s1'],
  ['  KERNEL_VERSION := linux-6.1\nKERNEL_VERSION = linux-7\n', 'linux-6.1'],
  ['KERNEL_REMOTE = https://x/linux-6.tar.xz\n', 'unknown'],
  ['', 'unknown'],
])('PKG-6: the kernel of %j', (makefile, version) => {
  expect(kernelVersionIn(makefile)).toBe(version);
});

test('all values are texts, in the order of the archives of releases', () => {
  const facts = { libkrunfwCommit: 'a', kernelVersion: 'linux-6', libkrunCommit: 'b', builtAt: 1_700_000_000 };
  const settings = { githubSha: 's', githubRunId: '1', time: undefined };
  const versions = { GVPROXY_VERSION: 'v1', UMOCI_VERSION: 'v2' };
  const text = provenanceText(settings, 'linux-aarch64', versions, facts);
  expect(Object.entries(JSON.parse(text))).toEqual([
    ['artifact', 'vm-runtime'],
    ['platform', 'linux-aarch64'],
    ['build_timestamp', '2023-11-14T22:13:20Z'],
    ['libkrunfw_commit', 'a'],
    ['kernel_version', 'linux-6'],
    ['gvproxy_version', 'v1'],
    ['umoci_version', 'v2'],
    ['github_sha', 's'],
    ['github_run_id', '1'],
    ['libkrun_commit', 'b'],
  ]);
  expect(provenanceText({ ...settings, time: 0 }, 'linux-aarch64', versions, facts)).toContain('1970-01-01T00:00:00Z');
});
