// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { cacheOptions, joinFields, verifyOutput } from '../../../lib/image/comma-fields.ts';

describe('outputs', () => {
  test.each([
    'type=local,dest=out',
    'type=local,dest=/abs',
    'type=local, dest=out',
    'type=local,"dest=a,b"',
    '"type=local","dest=say ""hi"""',
    'type=image,name=r/x,push=false',
    'dest=out,type=oci',
  ])('%s is passed on as it is', (text) => {
    expect(verifyOutput('DOCKER_OUTPUT', text)).toBe(text);
  });

  test.each([
    'out',
    'type',
    'dest=x',
    'type=local,',
    ',',
    'type=local,"dest=x',
    'type=local,dest="x"y',
    'type=local, "dest=a,b"',
    '"type=local" ,dest=x',
    'type=local ,dest=x',
    'type=,dest=x',
  ])('not an output: %s', (text) => {
    expect(() => verifyOutput('DOCKER_OUTPUT', text)).toThrow(
      /DOCKER_OUTPUT is '.*allowed are key=value pairs with a type/,
    );
  });
});

test.each(['type=tar,dest=-', 'dest=-,type=oci', 'type=oci,"dest=-"'])('not to stdout: %s', (text) => {
  expect(() => verifyOutput('DOCKER_OUTPUT', text)).toThrow(/stdout is for the result of the task/);
});

describe('fields', () => {
  test.each([
    [['type=local', 'src=/a'], 'type=local,src=/a'],
    [['type=local', 'src=/a,b'], 'type=local,"src=/a,b"'],
    [['src=say "hi"'], '"src=say ""hi"""'],
    [['src=/two\nlines', 'mode=max'], '"src=/two\nlines",mode=max'],
  ])('%j', (fields, text) => {
    expect(joinFields(fields)).toBe(text);
  });

  test('a cache in a directory is read before the build and replaced after it', () => {
    expect(cacheOptions('/ca, che')).toEqual([
      ...['--cache-from', 'type=local,"src=/ca, che"'],
      ...['--cache-to', 'type=local,"dest=/ca, che",mode=max'],
    ]);
  });
});
