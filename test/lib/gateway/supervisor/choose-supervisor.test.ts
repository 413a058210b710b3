// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { chooseSupervisor } from '../../../../lib/gateway/supervisor/choose-supervisor.ts';

const LINUX = { platform: 'linux', arch: 'amd64' } as const;
const LINUX_ARM = { platform: 'linux', arch: 'arm64' } as const;
const MAC = { platform: 'darwin', arch: 'arm64' } as const;
const RELEASE = 'OPENSHELL_SUPERVISOR_PROFILE=release';

test.each([
  ['dev', LINUX, 'amd64', undefined, 'with-gateway', 'built with the gateway', undefined],
  ['dev', LINUX, 'amd64', 'no libc.a', 'cross', "glibc's static archive is missing", 'no libc.a'],
  ['dev', LINUX, 'arm64', undefined, 'cross', 'cross-built for linux/arm64', undefined],
  ['dev', LINUX, 'arm64', 'no libc.a', 'cross', 'cross-built for linux/arm64', undefined],
  ['dev', LINUX_ARM, 'amd64', undefined, 'cross', 'cross-built for linux/amd64', undefined],
  ['dev', MAC, 'arm64', undefined, 'cross', 'cross-built for linux/arm64', undefined],
  ['dev', MAC, 'amd64', undefined, 'cross', 'cross-built for linux/amd64', undefined],
  ['release', LINUX, 'amd64', undefined, 'staged', RELEASE, undefined],
  ['release', LINUX, 'arm64', undefined, 'staged', RELEASE, undefined],
  ['release', MAC, 'arm64', undefined, 'staged', RELEASE, undefined],
] as const)('wanted %s on %j for %s (%s): %s', (wanted, host, arch, noStatic, way, reason, advice) => {
  expect(chooseSupervisor(wanted, host, arch, noStatic)).toEqual({ way, reason, advice });
});
