// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { proxyKeys } from '../../../lib/gateway/drivers/podman.ts';
import { driverOf } from '../../../lib/gateway/drivers/types.ts';
import { driverStateDirectory, verifySocketPath } from '../../../lib/gateway/drivers/vm-state.ts';
import { namedDriver } from '../../../lib/gateway/select-driver.ts';
import {
  httpEndpoint,
  PODMAN_PULL_POLICIES,
  PULL_POLICIES,
  parsePort,
  parsePullPolicy,
  reachableAddress,
  verifyBindAddress,
  verifyEndpoint,
  verifyGatewayName,
} from '../../../lib/gateway/validate.ts';
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

describe('H19: ports', () => {
  test.each(['1', '80', '18080', '65535'])('%s', (text) => expect(parsePort('P', text)).toBe(Number(text)));
  test.each(['', '0', '65536', '99999', 'abc', '-1', '1e3', '0x10', ' 80', '80 ', '1, "x": 2', '080000'])(
    'not %j',
    (text) => expect(refusalOf(() => parsePort('OPENSHELL_SERVER_PORT', text))).toContain('from 1 to 65535'),
  );
});

describe('addresses', () => {
  test.each(['127.0.0.1', '0.0.0.0', '::', '::1', '10.1.2.3'])('%s', (text) =>
    expect(verifyBindAddress('B', text)).toBe(text),
  );
  test.each(['localhost', '127.0.0.1:80', '1.2.3', 'fe80::1%eth0', '[::1]', ''])('not %j', (text) =>
    expect(refusalOf(() => verifyBindAddress('OPENSHELL_BIND_ADDRESS', text))).toContain('allowed is an IP address'),
  );
  test.each([
    ['0.0.0.0', 'http://127.0.0.1:80'],
    ['::', 'http://[::1]:80'],
    ['0:0:0:0:0:0:0:0', 'http://[::1]:80'],
    ['::1', 'http://[::1]:80'],
    ['10.1.2.3', 'http://10.1.2.3:80'],
  ])('H23: what listens on %s is reached at %s', (bind, endpoint) => {
    expect(httpEndpoint(reachableAddress(bind), 80)).toBe(endpoint);
  });
  test.each(['http://a:1', 'https://host.openshell.internal:18080', 'http://[::1]:80/x'])('endpoint %s', (text) =>
    expect(verifyEndpoint('E', text)).toBe(text),
  );
  test.each(['a:1', 'ftp://a', 'http://', 'http://a b', 'x"\ny', ''])('no endpoint: %j', (text) =>
    expect(refusalOf(() => verifyEndpoint('OPENSHELL_GRPC_ENDPOINT', text))).toContain('allowed is a URL'),
  );
});

describe('C27: pull policies', () => {
  test.each([
    ['always', 'Always', 'always'],
    ['IFNOTPRESENT', 'IfNotPresent', 'missing'],
    ['Never', 'Never', 'never'],
  ])('%s is %s for docker and %s for podman', (text, docker, podman) => {
    expect(parsePullPolicy('P', text, PULL_POLICIES)).toBe(docker);
    expect(parsePullPolicy('P', text, PODMAN_PULL_POLICIES)).toBe(podman);
  });
  test('podman has more', () => {
    expect(parsePullPolicy('P', 'Newer', PODMAN_PULL_POLICIES)).toBe('newer');
    expect(parsePullPolicy('P', 'missing', PODMAN_PULL_POLICIES)).toBe('missing');
    expect(refusalOf(() => parsePullPolicy('P', 'newer', PULL_POLICIES))).toContain('Always, IfNotPresent, Never,');
  });
  test.each(['bogus', '', 'constructor'])('not %j', (text) => {
    for (const words of [PULL_POLICIES, PODMAN_PULL_POLICIES])
      expect(refusalOf(() => parsePullPolicy('OPENSHELL_SANDBOX_IMAGE_PULL_POLICY', text, words))).toMatch(
        /^2: OPENSHELL/,
      );
  });
});

describe('drivers', () => {
  test.each([
    ['docker', 'docker'],
    ['K8S', 'kubernetes'],
    ['Kubernetes', 'kubernetes'],
    ['MicroVM', 'vm'],
    ['vm', 'vm'],
    ['Podman', 'podman'],
  ])('%s is %s', (word, name) => expect(driverOf('--driver', word)).toBe(name));
  test.each(['', 'docker,vm', 'constructor', 'lxc'])('not %j', (word) =>
    expect(refusalOf(() => driverOf('--driver', word))).toContain('docker, podman, vm, microvm, kubernetes, k8s'),
  );
  test('flag, variable, cluster', () => {
    expect(namedDriver('vm', {})?.driver).toBe('vm');
    expect(namedDriver(undefined, { OPENSHELL_DRIVERS: 'podman', KUBERNETES_SERVICE_HOST: 'x' })?.driver).toBe(
      'podman',
    );
    expect(namedDriver(undefined, { KUBERNETES_SERVICE_HOST: 'x' })?.driver).toBe('kubernetes');
    expect(namedDriver(undefined, {})).toBeUndefined();
    expect(refusalOf(() => namedDriver('vm', { OPENSHELL_DRIVERS: 'vm' }))).toContain('give one of them');
    expect(refusalOf(() => namedDriver(undefined, { OPENSHELL_DRIVERS: 'docker,vm' }))).toContain('has one driver');
  });
});

test("podman's proxy keys fail closed: empty is written, only true and false are booleans", () => {
  expect(proxyKeys({})).toEqual({});
  expect(
    proxyKeys({
      OPENSHELL_SANDBOX_HTTPS_PROXY: '',
      OPENSHELL_SANDBOX_NO_PROXY: 'a,b',
      OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE: 'yes',
      OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME: 'true',
    }),
  ).toEqual({ https_proxy: '', no_proxy: 'a,b', proxy_auth_allow_insecure: 'yes', proxy_connect_by_hostname: true });
});

describe("the VM driver's state", () => {
  test('its path is the same after a restart, and carries user and gateway', () => {
    expect(driverStateDirectory({ USER: 'me' }, '/start', 'vm-dev')[1]).toBe('/tmp/openshell-vm-driver-me-vm-dev');
    expect(driverStateDirectory({ OPENSHELL_VM_DRIVER_STATE_ROOT: 'r' }, '/start', 'v')[1]).toBe(
      '/start/r/openshell-vm-driver-user-v',
    );
    expect(driverStateDirectory({ OPENSHELL_VM_DRIVER_STATE_DIR: 'd' }, '/start', 'v')[1]).toBe('/start/d');
  });
  test('the socket has to fit', () => {
    const directory = (socketLength: number) => `/${'x'.repeat(socketLength - '//run/compute-driver.sock'.length)}`;
    verifySocketPath('S', directory(107), 'linux');
    verifySocketPath('S', directory(103), 'darwin');
    expect(refusalOf(() => verifySocketPath('S', directory(108), 'linux'))).toContain('would have 108 bytes, and 107');
    expect(refusalOf(() => verifySocketPath('S', directory(104), 'darwin'))).toContain('would have 104 bytes, and 103');
  });
});
