// SPDX-License-Identifier: Apache-2.0

/** The choice of the supervisor; and its image, with a fake engine: what the user set for published images stays out. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findToolchain } from '../../../lib/cargo/find-toolchain.ts';
import { Problems } from '../../../lib/cli/problems.ts';
import type { DevBuild } from '../../../lib/dev-build/execute.ts';
import { resolveConfig } from '../../../lib/gateway/config.ts';
import { DRIVERS } from '../../../lib/gateway/drivers/records.ts';
import { chooseSupervisor, imageStep, prepareSupervisor } from '../../../lib/gateway/supervisor.ts';
import { serveApi } from '../../support/fake-api.ts';
import { addEngine, imageCheckout } from '../../support/fake-engine.ts';
import type { FakeCase } from '../../support/fake-tools.ts';
import { inProcess } from '../../support/in-process.ts';

/** Everything that must not reach a build for this machine alone. */
const PUBLISHING = {
  DOCKER_PUSH: '1',
  IMAGE_REGISTRY: 'ghcr.io/prod',
  IMAGE_TAG: 'v1-release',
  DOCKER_OUTPUT: 'type=local,dest=o',
  DOCKER_PLATFORM: 'linux/arm64,linux/386',
  DOCKER_BUILDER: 'far',
  DOCKER_BUILD_CACHE_DIR: '/elsewhere',
  PREBUILT_ARCH: 'arm64',
  PREBUILT_AUTO_STAGE: '0',
  OPENSHELL_CARGO_VERSION: '9.8.7',
  CI: '1',
  CONTAINER_ENGINE: 'nonsense',
};
const NOTHING_BUILT: DevBuild = { gateway: '', supervisor: undefined, others: new Map(), compiled: 0, total: 0 };

const INSPECT: FakeCase = {
  args: ['image', 'inspect', '--', 'openshell/supervisor:dev'],
  script: 'echo "no such image" >&2; exit 1',
};

describe('the image of a launch', () => {
  const name = 'podman';

  async function planned(extra: Record<string, string>) {
    const checkout = imageCheckout();
    onTestFinished(() => checkout.tools.verify());
    const api = serveApi(join(checkout.tools.directory, 'api.sock'), name);
    addEngine(checkout.tools, name, { api, cases: [INSPECT] });
    const { root } = checkout;
    const own = { OPENSHELL_SUPERVISOR_PROFILE: 'release', ...extra };
    const ctx = inProcess(checkout.tools, { ...checkout.env(), ...own }, root);
    const problems = new Problems();
    const flags = { 'dry-run': false, activate: false, 'no-activate': false };
    const host = { platform: 'linux', arch: 'amd64' } as const;
    const launch = { ...ctx, root, host, flags, problems, engine: undefined };
    const config = resolveConfig(DRIVERS[name], launch);
    problems.throwIfAny(ctx.terminal);
    const toolchain = await findToolchain(ctx, root, false);
    const supervisor = await prepareSupervisor(
      launch,
      config,
      name,
      Promise.resolve({ toolchain, features: new Map() }),
    );
    if (supervisor === undefined) throw new Error('there is a tool chain');
    const image = imageStep(launch, config, supervisor);
    return { checkout, image, supervisor };
  }

  test('C5, H6: nothing that says where or for whom to publish gets in', async () => {
    const { checkout, image, supervisor } = await planned(PUBLISHING);
    for (const step of supervisor.steps) await step.run();
    await image.run(NOTHING_BUILT);
    const { root, tools } = checkout;
    const calls = tools.lines().filter((line) => line.startsWith(`${name} `));
    const build = calls.find((line) => /^\w+ (buildx )?build /.test(line)) ?? '';
    const [context = ''] = /\S+$/.exec(build) ?? [];
    const options =
      `--platform linux/amd64 -f ${root}/deploy/docker/Dockerfile.supervisor --target supervisor ` +
      `-t openshell/supervisor:dev`;
    const label = '--label com\\.nvidia\\.openshell\\.supervisor=[0-9a-f]{64}';
    expect(build.replaceAll(context, 'CONTEXT')).toMatch(new RegExp(`^podman build ${options} ${label} CONTEXT$`));
    expect(existsSync(context)).toBe(false);
    const probe = 'podman info --format {{json .}}';
    expect(calls).toEqual([probe, 'podman image inspect -- openshell/supervisor:dev', build]);
    expect(checkout.builds()).toHaveLength(1);
    expect(checkout.builds()[0]).toContain('--target x86_64-unknown-linux-musl');
    expect(tools.calls().find(({ tool }) => tool === 'cargo')?.cwd).toBe(root);
    for (const forbidden of ['ghcr.io', 'push', 'arm64', 'far', 'v1-release', 'type=local', 'elsewhere']) {
      expect(calls.join('\n').replaceAll(root, 'ROOT').replaceAll(context, 'CONTEXT')).not.toContain(forbidden);
    }
    expect(existsSync(join(root, 'o'))).toBe(false);
  });

  test('the engine is probed once, and the plan is the same without all that', async () => {
    const [plain, surrounded] = [await planned({}), await planned(PUBLISHING)];
    expect(surrounded.checkout.tools.lines().filter((line) => line.includes(' info '))).toHaveLength(1);
    const lines = ({ checkout, image, supervisor }: typeof plain) =>
      [...supervisor.steps.flatMap((step) => step.lines), ...image.lines].map((line) =>
        line.replaceAll(checkout.root, 'ROOT'),
      );
    expect(lines(surrounded)).toEqual(lines(plain));
    expect(lines(plain).length).toBeGreaterThan(3);
  });
});

const LINUX = { platform: 'linux', arch: 'amd64' } as const;
const LINUX_ARM = { platform: 'linux', arch: 'arm64' } as const;
const MAC = { platform: 'darwin', arch: 'arm64' } as const;
const RELEASE = 'OPENSHELL_SUPERVISOR_PROFILE=release';

test.each([
  ['dev', LINUX, 'amd64', undefined, 'with-gateway', 'built with the gateway'],
  ['dev', LINUX, 'amd64', 'no libc.a', 'cross', "glibc's static archive is missing"],
  ['dev', LINUX, 'arm64', undefined, 'cross', 'cross-built for linux/arm64'],
  ['dev', LINUX, 'arm64', 'no libc.a', 'cross', 'cross-built for linux/arm64'],
  ['dev', LINUX_ARM, 'amd64', undefined, 'cross', 'cross-built for linux/amd64'],
  ['dev', MAC, 'arm64', undefined, 'cross', 'cross-built for linux/arm64'],
  ['dev', MAC, 'amd64', undefined, 'cross', 'cross-built for linux/amd64'],
  ['release', LINUX, 'amd64', undefined, 'staged', RELEASE],
  ['release', LINUX, 'arm64', undefined, 'staged', RELEASE],
  ['release', MAC, 'arm64', undefined, 'staged', RELEASE],
] as const)('wanted %s on %j for %s (%s): %s', (wanted, host, arch, noStatic, way, reason) => {
  expect(chooseSupervisor(wanted, host, arch, noStatic)).toEqual({ way, reason });
});
