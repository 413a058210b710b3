// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { chooseSupervisor } from '../../../../lib/gateway/supervisor/source.ts';

const LINUX = { platform: 'linux', arch: 'amd64' } as const;
const MAC = { platform: 'darwin', arch: 'arm64' } as const;
const NO_EFFECT = 'OPENSHELL_SUPERVISOR_PROFILE=dev has no effect for linux/arm64 here';

test.each([
  [undefined, LINUX, 'amd64', undefined, 'dev', 'built with the gateway', undefined],
  ['dev', LINUX, 'amd64', undefined, 'dev', 'built with the gateway', undefined],
  ['release', LINUX, 'amd64', undefined, 'release', 'OPENSHELL_SUPERVISOR_PROFILE=release', undefined],
  [undefined, LINUX, 'amd64', 'no libc.a', 'release', "glibc's static archive is missing", 'no libc.a'],
  ['dev', LINUX, 'amd64', 'no libc.a', 'release', "glibc's static archive is missing", 'no libc.a'],
  [undefined, LINUX, 'arm64', undefined, 'release', 'cross-built for linux/arm64', undefined],
  ['dev', LINUX, 'arm64', undefined, 'release', 'cross-built for linux/arm64', NO_EFFECT],
  ['dev', MAC, 'arm64', undefined, 'release', 'cross-built for linux/arm64', NO_EFFECT],
] as const)('wanted %s on %j for %s (%s): %s', (wanted, host, arch, noStatic, profile, reason, advice) => {
  expect(chooseSupervisor(wanted, host, arch, noStatic)).toEqual({ profile, reason, advice });
});
