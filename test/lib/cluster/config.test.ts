// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { clusterName } from '../../../lib/cluster/config.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('the name of the cluster', () => {
  test.each([
    ['kube-support/local-dev/tmutch', 'openshell-dev-tmutch'],
    ['Feat/_My.Branch__X-', 'openshell-dev-my-branch-x'],
    ['0a1b2c3', 'openshell-dev-0a1b2c3'],
    ['x/日本', 'openshell-dev'],
    ['', 'openshell-dev'],
    [undefined, 'openshell-dev'],
    ['a'.repeat(18), `openshell-dev-${'a'.repeat(18)}`],
  ])('K8S-4: of the branch %j', (branch, name) => {
    expect(clusterName(undefined, branch)).toBe(name);
  });

  test('a given one wins', () => {
    expect(clusterName('oshe2e-1234567-1234567', 'x')).toBe('oshe2e-1234567-1234567');
    expect(clusterName('a--b')).toBe('a--b');
  });

  test.each([
    [
      undefined,
      `x/${'a'.repeat(19)}`,
      `is 'openshell-dev-${'a'.repeat(19)}', of 33`,
      `openshell-dev-${'a'.repeat(18)}`,
    ],
    [undefined, 'a-branch-with-dash-at-32', 'of 38 characters', 'openshell-dev-a-branch-with-dash'],
    ['Big_Name', undefined, "HELM_K3S_CLUSTER_NAME is 'Big_Name'", 'big-name'],
    ['-a', undefined, "is '-a'", 'a'],
    ['a-', undefined, "is 'a-'", 'a'],
    ['a\n', undefined, "is 'a\\n'", 'a'],
    ['..', undefined, "is '..'", 'openshell-dev'],
  ])('K8S-3: %j of the branch %j is refused with one that fits', (given, branch, said, example) => {
    const text = refusalOf(() => clusterName(given, branch));
    expect(text).toContain(said);
    expect(text).toMatch(new RegExp(`^2: .*such as HELM_K3S_CLUSTER_NAME=${example}$`));
    expect(clusterName(example)).toBe(example);
  });
});
