// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { chooseSupervisor } from '../../../../lib/gateway/supervisor/choose-supervisor.ts';

const LINUX = { platform: 'linux', arch: 'amd64' } as const;
const LINUX_ARM = { platform: 'linux', arch: 'arm64' } as const;
const MAC = { platform: 'darwin', arch: 'arm64' } as const;
const RELEASE = 'OPENSHELL_SUPERVISOR_PROFILE=release';

test.each([
  ['dev', LINUX, 'amd64', undefined, 'with-gateway', 'built with the gateway'],
  ['dev', LINUX, 'amd64', 'no libc.a', 'cross', "glibc's static archive is missing"],
  ['dev', LINUX, 'arm64', undefined, 'cross', 'cross-built for linux/arm64'],
  ['dev', LINUX, 'arm64', 'no libc.a', 'cross', 'cross-built for linux/arm64'],
  ['dev', LINUX_ARM, 'amd64', undefined, 'cross', 'cross-built for linux/amd64'],
  ['dev', MAC, 'arm64', undefined, 'cross', 'cross-built for linux/arm64'],
  ['dev', MAC, 'amd64', undefined, 'cross', 'cross-built for linux/amd64'],
  ['release', LINUX, 'amd64', undefined, 'staged', RELEASE],
  ['release', LINUX, 'arm64', undefined, 'staged', RELEASE],
  ['release', MAC, 'arm64', undefined, 'staged', RELEASE],
] as const)('wanted %s on %j for %s (%s): %s', (wanted, host, arch, noStatic, way, reason) => {
  expect(chooseSupervisor(wanted, host, arch, noStatic)).toEqual({ way, reason });
});
