// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hostRealm, readContainer, runArguments } from '../../../lib/keycloak/execute.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test('the realm of a job is the same file on the host, which has to be there', () => {
  const host = temporaryDirectory();
  expect(refusalOf(() => hostRealm('/__w/x/realm.json', host))).toMatch(/^2: '.*\/x\/realm.json' does not exist; /);
  mkdirSync(join(host, 'x'));
  writeFileSync(join(host, 'x/realm.json'), '{}');
  expect(hostRealm('/__w/x/realm.json', host)).toBe(join(host, 'x/realm.json'));
  expect(refusalOf(() => hostRealm('/__work/x/realm.json', host))).toContain('is not below /__w/');
});

test('in the network of a job: a mount that has to be there, and Keycloak listens on loopback', () => {
  expect(runArguments(9000, '/home/runner/_work/a/realm.json', 'job1').join(' ')).toBe(
    'run --detach --name openshell-keycloak --network container:job1 --cap-drop ALL --security-opt no-new-privileges ' +
      '--mount type=bind,src=/home/runner/_work/a/realm.json,dst=/opt/keycloak/data/import/realm.json,readonly ' +
      '--env KEYCLOAK_ADMIN=admin --env KEYCLOAK_ADMIN_PASSWORD=admin quay.io/keycloak/keycloak:24.0 ' +
      'start-dev --http-host=127.0.0.1 --http-port=9000 --import-realm',
  );
});

const State = { Running: true, ExitCode: 0 };

test.each([
  ['published', { State, HostConfig: { PortBindings: { '8080/tcp': [{ HostIp: '', HostPort: '8181' }] } } }, 8181],
  ['by its arguments', { State, Args: ['start-dev', '--http-port=9000'], HostConfig: {} }, 9000],
  ['nowhere', { State, HostConfig: { PortBindings: null }, Args: null }, 0],
])('the port of a container: %s', (_, container, port) => {
  expect(readContainer(JSON.stringify([container]))).toMatchObject({ isRunning: true, exitCode: 0, port });
});

test.each(['', '[]', '{}', '[1]', '[{}]', '<html>'])('%j is not a container', (text) => {
  expect(readContainer(text)).toBeUndefined();
});
