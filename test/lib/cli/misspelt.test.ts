// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { misspelt } from '../../../lib/cli/misspelt.ts';
import { VARIABLES } from '../../../lib/cli/variables.ts';

test.each([
  ['OPENSHELL_SEVER_PORT', 'OPENSHELL_SERVER_PORT'],
  ['OPENSHELL_SERVRE_PROT', 'OPENSHELL_SERVER_PORT'],
  ['OPENSHEL_ROOT', 'OPENSHELL_ROOT'],
  ['DOCKER_PLATFROM', 'DOCKER_PLATFORM'],
  ['IMAGE_TAGS', 'IMAGE_TAG'],
  ['PREBUILT_ARCHS', 'PREBUILT_ARCH'],
  ['openshell_root', 'OPENSHELL_ROOT'],
])('%s is meant for %s', (name, meant) => {
  expect(misspelt([name])).toEqual([{ name, meant }]);
});

test('names that are read, and those of other programs, are left alone', () => {
  const others = [
    ...[
      'GITHUB_ACTION',
      'GITHUB_PATH',
      'KUBERNETES_SERVICE_PORT',
      'KUBE_CONFIG',
      'LD_LIBRARY_PATH',
      'DOCKER_HOST',
      'DOCKER_CONTEXT',
      'DOCKER_BUILDKIT',
      'DOCKER_CONFIG',
      'GITLAB_TOKEN',
      'C',
      '',
    ],
    ...['OPENSHELL_GATEWAY', 'OPENSHELL_DB_URL', 'GITHUB_REF', 'GITHUB_JOB', 'CARGO_HOME', 'KUBECONFIG', 'PATH'],
  ];
  expect(misspelt([...Object.keys(VARIABLES), ...others])).toEqual([]);
});

test('one slip in a name is found, wherever it is after the first letters', () => {
  const names = Object.keys(VARIABLES).filter((name) => /^[A-Z_]{6,}$/.test(name));
  const slip = fc.tuple(fc.constantFrom(...names), fc.nat(), fc.constantFrom('drop', 'add', 'change', 'swap'));
  fc.assert(
    fc.property(slip, ([name, nat, kind]) => {
      const at = 3 + (nat % (name.length - 4));
      const [a = '', b = ''] = [name[at], name[at + 1]];
      const middle = { drop: b, add: `x${a}${b}`, change: `x${b}`, swap: `${b}${a}` }[kind];
      const wrong = `${name.slice(0, at)}${middle}${name.slice(at + 2)}`;
      if (wrong in VARIABLES) return;
      expect(misspelt([wrong])).toHaveLength(1);
    }),
  );
});
