// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { chooseEngine } from '../../../lib/engine/select.ts';
import type { ProbeResult } from '../../../lib/process/result.ts';

describe('which engine', () => {
  test.each<[string, Record<string, string>, string | undefined, readonly string[] | RegExp]>([
    ['explicit', { CONTAINER_ENGINE: 'Docker' }, undefined, ['docker']],
    ['e2e', { OPENSHELL_E2E_DRIVER: 'PODMAN' }, undefined, ['podman']],
    ['an alias that is not that of the task', { CONTAINER_RUNTIME: 'docker' }, undefined, ['podman', 'docker']],
    ['another driver needs no engine', { OPENSHELL_E2E_DRIVER: 'vm' }, undefined, ['podman', 'docker']],
    ['k3d', { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' }, 'k3d-dev', ['docker']],
    [
      'kind with a provider',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster', KIND_EXPERIMENTAL_PROVIDER: 'podman' },
      'kind-dev',
      ['podman'],
    ],
    [
      'kind without',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'kind-dev',
      /names no engine; set CONTAINER_ENGINE or KIND_EXPERIMENTAL_PROVIDER/,
    ],
    [
      'no context',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      '',
      /there is no context; set CONTAINER_ENGINE to docker/,
    ],
    [
      'another context',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'prod',
      /the kube context 'prod' names no engine/,
    ],
    [
      'CE-2: another context does not matter where something else decides',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster', OPENSHELL_E2E_DRIVER: 'docker' },
      'prod',
      ['docker'],
    ],
    ['nothing', {}, undefined, ['podman', 'docker']],
    [
      'explicit against e2e',
      { CONTAINER_ENGINE: 'docker', OPENSHELL_E2E_DRIVER: 'podman' },
      undefined,
      /CONTAINER_ENGINE asks for docker, but OPENSHELL_E2E_DRIVER asks for podman/,
    ],
    [
      'explicit against cluster',
      { CONTAINER_ENGINE: 'podman', CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'k3d-x',
      /CONTAINER_ENGINE asks for podman, but kube context k3d-x asks for docker/,
    ],
    [
      'e2e against cluster',
      { OPENSHELL_E2E_DRIVER: 'podman', CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'k3d-x',
      /OPENSHELL_E2E_DRIVER asks for podman/,
    ],
    [
      'an unknown engine',
      { CONTAINER_ENGINE: 'nerdctl' },
      undefined,
      /CONTAINER_ENGINE is 'nerdctl'; allowed are docker, podman;/,
    ],
    [
      'an unknown target',
      { CONTAINER_ENGINE_TARGET: 'Local-K8s' },
      undefined,
      /CONTAINER_ENGINE_TARGET is 'Local-K8s'; allowed are local-k8s-cluster/,
    ],
    [
      'the removed variable',
      { OPENSHELL_E2E_CONTAINER_ENGINE: 'docker' },
      undefined,
      /OPENSHELL_E2E_CONTAINER_ENGINE is no longer read; set CONTAINER_ENGINE instead/,
    ],
  ])('%s', async (_, env, context, expected) => {
    const probe = async (): Promise<ProbeResult> => {
      if (context === undefined) throw new Error('the kube context is not probed where it does not count');
      return context === '' ? { ok: false, reason: 'there is no context' } : { ok: true, output: context };
    };
    const choice = chooseEngine(env, probe);
    if (expected instanceof RegExp) await expect(choice).rejects.toThrow(expected);
    else expect((await choice).candidates).toEqual(expected);
  });
});

describe('KCD-1: the alias of a task', () => {
  const choose = (env: Record<string, string>) =>
    chooseEngine(env, async () => ({ ok: false, reason: 'none' }), 'CONTAINER_RUNTIME');

  test('goes before all others, and may be a path', async () => {
    expect(await choose({ CONTAINER_RUNTIME: 'Podman' })).toEqual({
      candidates: ['podman'],
      reason: 'CONTAINER_RUNTIME',
    });
    expect((await choose({ CONTAINER_ENGINE: 'docker', CONTAINER_RUNTIME: '' })).candidates).toEqual(['docker']);
    const others = { CONTAINER_ENGINE: 'podman', OPENSHELL_E2E_DRIVER: 'podman' };
    expect(await choose({ ...others, CONTAINER_RUNTIME: '/usr/local/bin/docker' })).toEqual({
      candidates: ['docker'],
      reason: 'CONTAINER_RUNTIME',
    });
    await expect(choose({ CONTAINER_RUNTIME: 'lima' })).rejects.toThrow("CONTAINER_RUNTIME is 'lima'; allowed are");
  });
});
