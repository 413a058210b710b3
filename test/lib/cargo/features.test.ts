// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { featuresByComponent, splitFeatures } from '../../../lib/cargo/features.ts';
import { parseMetadata } from '../../../lib/cargo/metadata.ts';
import { COMPONENTS } from '../../../lib/product.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('splitting', () => {
  test.each([
    [undefined, []],
    ['', []],
    [' , ,\t\n', []],
    ['a', ['a']],
    ['a b', ['a', 'b']],
    ['a,b', ['a', 'b']],
    [' a, b\tc\n,d ', ['a', 'b', 'c', 'd']],
    ['a b a,a', ['a', 'b']],
    ['core/telemetry dep?/x', ['core/telemetry', 'dep?/x']],
  ])('%j', (text, features) => {
    expect(splitFeatures(text)).toEqual(features);
  });
});

const METADATA = JSON.stringify({
  target_directory: '/checkout/target',
  packages: [
    {
      name: 'openshell-server',
      features: { default: [], 'bundled-z3': ['z3/bundled'], both: [] },
      dependencies: [
        { name: 'openshell-core', rename: null },
        { name: 'z3', rename: null },
        { name: 'tokio', rename: 'runtime' },
      ],
    },
    { name: 'openshell-sandbox', features: { both: [], seccomp: [] }, dependencies: [] },
    { name: 'openshell-core', features: { telemetry: [] }, dependencies: [] },
  ],
});

test("cargo's metadata", () => {
  const workspace = parseMetadata(METADATA);
  expect(workspace.targetDirectory).toBe('/checkout/target');
  expect(workspace.packages[0]).toEqual({
    name: 'openshell-server',
    features: new Set(['default', 'bundled-z3', 'both']),
    dependencies: new Set(['openshell-core', 'z3', 'runtime']),
  });
  expect(parseMetadata(`mise says something first\n${METADATA}\n`)).toEqual(workspace);
});

describe('features go to the components that declare them (fault H31)', () => {
  const { packages } = parseMetadata(METADATA);
  const both = [COMPONENTS.gateway, COMPONENTS.supervisor];
  const given = (features: string[], components: readonly (typeof both)[number][] = both) =>
    Object.fromEntries(featuresByComponent('EXTRA_CARGO_FEATURES', features, components, packages));

  test.each([
    [[], { gateway: [], supervisor: [] }],
    [['bundled-z3'], { gateway: ['bundled-z3'], supervisor: [] }],
    [['seccomp', 'both', 'bundled-z3'], { gateway: ['both', 'bundled-z3'], supervisor: ['seccomp', 'both'] }],
    [['openshell-core/telemetry'], { gateway: ['openshell-core/telemetry'], supervisor: [] }],
    [['openshell-core?/telemetry'], { gateway: ['openshell-core?/telemetry'], supervisor: [] }],
    [['z3/anything-outside-the-workspace'], { gateway: ['z3/anything-outside-the-workspace'], supervisor: [] }],
    [['runtime/full'], { gateway: ['runtime/full'], supervisor: [] }],
    [['openshell-sandbox/seccomp'], { gateway: [], supervisor: ['openshell-sandbox/seccomp'] }],
  ])('%j', (features, expected) => {
    expect(given(features)).toEqual(expected);
  });

  test('only the components of the run are asked', () => {
    expect(given(['bundled-z3'], [COMPONENTS.gateway])).toEqual({ gateway: ['bundled-z3'] });
    expect(refusalOf(() => given(['bundled-z3'], [COMPONENTS.supervisor]))).toBe(
      "2: EXTRA_CARGO_FEATURES has 'bundled-z3', which openshell-sandbox does not declare; " +
        'allowed are both, seccomp; change it or unset it',
    );
  });

  test.each(['nope', 'tokio/full', 'openshell-core/nope', 'openshell-server/seccomp', '/x', 'x/', '__proto__', 'Both'])(
    '%j is declared by none',
    (feature) => {
      expect(refusalOf(() => given(['both', feature]))).toBe(
        `2: EXTRA_CARGO_FEATURES has '${feature}', which openshell-server and openshell-sandbox do not declare; ` +
          'allowed are both, bundled-z3, default, seccomp; change it or unset it',
      );
    },
  );

  test('a workspace without the packages declares nothing', () => {
    expect(refusalOf(() => featuresByComponent('X', ['a'], [COMPONENTS.gateway], []))).toBe(
      "2: X has 'a', which openshell-server does not declare; allowed are none; change it or unset it",
    );
  });
});
