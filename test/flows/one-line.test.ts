// SPDX-License-Identifier: Apache-2.0

/** What tasks print for names that would break a line or move the cursor: every line is still one line. */

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeLaunch } from '../support/fake-launch.ts';
import { HOSTILE, UNPRINTABLE } from '../support/hostile.ts';
import { runProcess, runTaskFile } from '../support/run-task.ts';

const TASKS = [
  ['stage', []],
  ['docker-build-image', ['supervisor', '--build-arg', `X=${HOSTILE}`]],
  ['docker-build-ci', ['--build-arg', `X=${HOSTILE}`]],
  ['docker-publish-multiarch', ['--build-arg', `X=${HOSTILE}`]],
  ['gateway-docker', []],
  ['gateway-podman', []],
  ['gateway-vm', []],
  ['vm/build-supervisor-bundle', []],
] as const;

/** A launch below a directory with this name, and variables that point there. */
function placeIn(name: string): { launch: FakeLaunch; env: Record<string, string> } {
  const box = "printf 'Name:          box\\nDriver:        docker-container\\n'";
  const launch = new FakeLaunch({ docker: { builder: box }, podman: {} }, name);
  for (const component of ['gateway', 'ci']) {
    writeFileSync(join(launch.root, `deploy/docker/Dockerfile.${component}`), 'FROM scratch\n');
  }
  // Cargo cannot be told of this one with a line break.
  const runtime = join(launch.tools.directory, 'runtime');
  renameSync(launch.addRuntime(), runtime);
  const place = join(launch.tools.directory, name);
  mkdirSync(place);
  return {
    launch,
    env: {
      CONTAINER_ENGINE: 'docker',
      DOCKER_REGISTRY: 'ghcr.io/org',
      DOCKER_BUILD_CACHE_DIR: join(place, 'cache'),
      OPENSHELL_CARGO_VERSION: '1.2.3',
      OPENSHELL_GATEWAY_STATE_DIR: join(place, 'state'),
      OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime,
      OPENSHELL_VM_DRIVER_STATE_ROOT: '/tmp/\u001b',
      CARGO_TARGET_DIR: join(place, 'target'),
      TMPDIR: place,
      XDG_CONFIG_HOME: join(place, 'config'),
    },
  };
}

test.each(TASKS)(
  'F12: %s --dry-run prints the same lines for any name, and the commands mean what they say',
  async (task, args) => {
    const dryRun = async (name: string) => {
      const { launch, env } = placeIn(name);
      const result = await runTaskFile(task, ['--dry-run', ...args], { cwd: launch.root, env: launch.env(env) });
      expect(result.stderr).not.toContain('error:');
      expect(result.status).toBe(0);
      const texts = [result.stdout, result.stderr].map((text) => text.replace(/\n$/, '').split('\n'));
      return { launch, stdout: texts[0] ?? [], stderr: texts[1] ?? [] };
    };
    const plain = await dryRun('plain');
    const hostile = await dryRun(HOSTILE);
    for (const line of [...hostile.stdout, ...hostile.stderr]) expect(line).not.toMatch(UNPRINTABLE);
    const kinds = (lines: readonly string[]) => lines.map((line) => /^(# )?\w+/.exec(line)?.[0]);
    expect(kinds(hostile.stdout)).toEqual(kinds(plain.stdout));
    expect(kinds(hostile.stderr)).toEqual(kinds(plain.stderr));
    const commands = hostile.stdout.filter((line) => !line.startsWith('#'));
    const script = commands.map((line) => `printf '%s\\0' ${line.replaceAll(/^\w+=|<[^>]*>/g, '')}`).join('\n');
    const pasted = await runProcess('bash', ['-c', script], { cwd: hostile.launch.tools.directory, env: {} });
    expect(pasted.stderr).toBe('');
    expect(pasted.stdout).toContain(hostile.launch.root);
    if (args.length > 0) expect(pasted.stdout).toContain(`X=${HOSTILE}\0`);
  },
);

test('F12: so are the echo of a run, its results, and its warnings', async () => {
  // The fake cargo knows how JSON escapes a line break, and no other control character.
  const { launch, env } = placeIn('a\nb\u2028\u202ec');
  const staged = await launch.stage(['supervisor'], env);
  expect(staged.status).toBe(0);
  const launched = await launch.launch('gateway-podman', [], { ...env, OPENSHELL_SUPERVISOR_IMAGE: 'given:1' });
  expect(launched.stderr).toContain('starting the Podman gateway');
  for (const line of [staged.stdout, staged.stderr, launched.stderr].flatMap((text) => text.split('\n'))) {
    expect(line).not.toMatch(UNPRINTABLE);
  }
});
