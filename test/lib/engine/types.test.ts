// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { parseInfo, refusalIn } from '../../../lib/engine/types.ts';

describe('what an engine says', () => {
  const own = { storesIndexes: false };

  test.each([
    ['{"Architecture":"aarch64","ServerVersion":"28"}', { engine: 'docker', arch: 'aarch64', ...own }],
    ['{"host":{"arch":"amd64"},"version":{"Version":"5"}}', { engine: 'podman', arch: 'amd64', storesIndexes: false }],
    ['docker version 28', undefined],
    ['[]', undefined],
    ['{}', undefined],
    ['null', undefined],
  ])('%s', (text, info) => {
    expect(parseInfo(text)).toEqual(info);
  });

  test("a store that takes images of several platforms is containerd's", () => {
    const driver = [['driver-type', 'io.containerd.snapshotter.v1']];
    expect(parseInfo(JSON.stringify({ ServerVersion: '29', DriverStatus: driver }))?.storesIndexes).toBe(true);
  });

  test('C8: docker 20.10 says with status 0 that it has no daemon', () => {
    const said = '{"ServerErrors":["Cannot connect to the Docker daemon. Is it running?"],"ClientInfo":{}}';
    expect(refusalIn(said)).toBe('Cannot connect to the Docker daemon. Is it running?');
    expect(parseInfo(said)).toBeUndefined();
    for (const text of ['{"ServerVersion":"28"}', '{"ServerErrors":[]}', 'Cannot connect']) {
      expect(refusalIn(text)).toBeUndefined();
    }
  });
});

test('a warning before what an engine prints is not of interest', () => {
  const warned = (value: object) => `WARNING: {deprecated}\n${JSON.stringify(value)}`;
  expect(parseInfo(warned({ ServerVersion: '28', Architecture: 'x86_64' }))).toMatchObject({ engine: 'docker' });
  expect(refusalIn(warned({ ServerErrors: ['client version 9.99 is too new'] }))).toBe(
    'client version 9.99 is too new',
  );
});
