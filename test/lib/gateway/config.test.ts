// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import {
  PODMAN_PULL_POLICIES,
  PULL_POLICIES,
  readPullPolicy,
  verifyBindAddress,
  verifyEndpoint,
  verifyGatewayName,
} from '../../../lib/gateway/config.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('C29: names', () => {
  test.each(['docker-dev', 'a', '0', 'A.b_c-d', 'x'.repeat(128)])('%s', (name) => {
    expect(verifyGatewayName('N', name)).toBe(name);
  });
  test.each(['.', '..', '.a', '-a', '_a', '', 'a/b', 'a b', 'a\nb', 'ü', 'x'.repeat(129)])('not %j', (name) => {
    expect(refusalOf(() => verifyGatewayName('OPENSHELL_GATEWAY_NAME', name))).toMatch(
      /^2: OPENSHELL_GATEWAY_NAME is '[^\n]*'; allowed are up to 128 letters/,
    );
  });
});

describe('addresses', () => {
  test.each(['127.0.0.1', '0.0.0.0', '::', '::1', '10.1.2.3'])('%s', (text) =>
    expect(verifyBindAddress('B', text)).toBe(text),
  );
  test.each(['localhost', '127.0.0.1:80', '1.2.3', 'fe80::1%eth0', '[::1]', ''])('not %j', (text) =>
    expect(refusalOf(() => verifyBindAddress('OPENSHELL_BIND_ADDRESS', text))).toContain('allowed is an IP address'),
  );
  test.each(['http://a:1', 'https://host.openshell.internal:18080', 'http://[::1]:80/x'])('endpoint %s', (text) =>
    expect(verifyEndpoint('E', text)).toBe(text),
  );
  test.each(['a:1', 'ftp://a', 'http://', 'http://a b', 'x"\ny', ''])('no endpoint: %j', (text) =>
    expect(refusalOf(() => verifyEndpoint('OPENSHELL_GRPC_ENDPOINT', text))).toContain('allowed is a URL'),
  );
});

describe('C27: pull policies', () => {
  const policy = (text: string, names: Readonly<Record<string, string>>) =>
    readPullPolicy({ OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: text }, names);

  test.each([
    ['always', 'Always', 'always'],
    ['IFNOTPRESENT', 'IfNotPresent', 'missing'],
    ['Never', 'Never', 'never'],
    ['', 'IfNotPresent', 'missing'],
  ])('%j is %s for docker and %s for podman', (text, docker, podman) => {
    expect(policy(text, PULL_POLICIES)).toBe(docker);
    expect(policy(text, PODMAN_PULL_POLICIES)).toBe(podman);
  });
  test('podman has more', () => {
    expect(policy('Newer', PODMAN_PULL_POLICIES)).toBe('newer');
    expect(policy('missing', PODMAN_PULL_POLICIES)).toBe('missing');
    expect(refusalOf(() => policy('newer', PULL_POLICIES))).toContain('Always, IfNotPresent, Never,');
  });
  test.each(['bogus', ' ', 'constructor'])('not %j', (text) => {
    for (const names of [PULL_POLICIES, PODMAN_PULL_POLICIES])
      expect(refusalOf(() => policy(text, names))).toMatch(/^2: OPENSHELL_SANDBOX_IMAGE_PULL_POLICY is /);
  });
});
