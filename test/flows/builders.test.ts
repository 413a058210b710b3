// SPDX-License-Identifier: Apache-2.0

/** Every task that builds images asks its builder before anything is compiled, and in the same words. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addEngine, type FakeEngine, imageCheckout } from '../support/fake-engine.ts';
import { runTaskFile } from '../support/run-task.ts';

const TASKS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['docker-build-image', ['supervisor']],
  ['docker-build-ci', []],
  ['docker-publish-multiarch', []],
];
const COMPILING = TASKS.filter(([name]) => name !== 'docker-build-ci');

/** A builder whose only node fails. */
const BROKEN = `printf 'Name: far\\nDriver: remote\\n\\nNodes:\\nName: far0\\nEndpoint: tcp://x\\nError: connection refused\\n'`;
const WITHOUT_PLUGIN = `echo "docker: 'buildx' is not a docker command." >&2; exit 1`;

/** Refused before anything is built; with what was said and started. */
async function refused(
  [task, args]: (typeof TASKS)[number],
  engine: FakeEngine,
  extra: Record<string, string>,
  isRust = true,
) {
  const checkout = imageCheckout();
  onTestFinished(() => checkout.tools.verify());
  addEngine(checkout.tools, 'docker', engine);
  if (!isRust) rmSync(join(checkout.tools.bin, 'cargo'));
  const env = checkout.env({ DOCKER_REGISTRY: 'ghcr.io/org', ...extra });
  const result = await runTaskFile(task, args, { cwd: checkout.root, env });
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(checkout.builds()).toEqual([]);
  expect(checkout.tools.lines().filter((line) => /buildx (build|create)/.test(line))).toEqual([]);
  return { errors: result.stderr.match(/^error: .*$/gm) ?? [], lines: checkout.tools.lines() };
}

describe.each(TASKS)('%s', (...task) => {
  test.each(['DOCKER_BUILDER', 'BUILDX_BUILDER'])(
    'R10, R15: a node of %s that fails, before the compile',
    async (name) => {
      const { errors, lines } = await refused(task, { builder: BROKEN }, { [name]: 'far' });
      expect(errors).toEqual([expect.stringMatching(/'far' \((\w+)\) does not work: connection refused; .*\1/)]);
      expect(errors[0]).toContain(`(${name})`);
      expect(lines).toContain('docker buildx inspect far');
    },
  );

  test('R15: docker without buildx: not a builder is missing, but the plugin', async () => {
    for (const extra of [{}, { BUILDX_BUILDER: 'gone' }]) {
      const { errors } = await refused(task, { builder: WITHOUT_PLUGIN }, extra);
      expect(errors).toEqual([expect.stringMatching(/^error: docker has no plugin buildx, .*; install it /)]);
    }
  });
});

test.each(COMPILING)('R10: %s: the builder and the Rust tools are heard together', async (...task) => {
  const { errors } = await refused(task, { builder: BROKEN }, { DOCKER_BUILDER: 'far' }, false);
  expect(errors).toHaveLength(2);
  expect(errors.join('\n')).toMatch(/'far' \(DOCKER_BUILDER\) does not work/);
  expect(errors.join('\n')).toContain('cargo is not on PATH');
});
