// SPDX-License-Identifier: Apache-2.0

/** The CI image with real engines: its secret can be read in the one step that mounts it, and is nowhere else. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeMiniature } from '../support/miniature.ts';
import { readTar } from '../support/read-tar.ts';
import { requireTools } from '../support/real-tools.ts';
import { runMise } from '../support/run-mise.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { type Dockerd, makePodmanHome, startDockerd } from '../support/services.ts';

const TOKEN = 'ghp_0123456789abcdefghijABCDEFGHIJ';
const BUILD_TIMEOUT_MS = 120_000;
const tools = requireTools('dockerd', 'docker', 'buildx', 'podman', 'runc', 'setpriv', 'zig', 'mise');
const cpu = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as 'x64' | 'arm64'];

/** A stand-in on the miniature's pattern that reads its secret, and leaves a proof without the secret in it. */
const DOCKERFILE = `FROM scratch
COPY reader /reader
RUN --mount=type=secret,id=MISE_GITHUB_TOKEN ["/reader"]
RUN ["/reader", "there is none any more"]
`;

describe('the real CI image', tools.options, () => {
  let directory = '';
  let root = '';
  let dockerd: Dockerd;

  type Extra = Record<string, string>;
  const build = (args: readonly string[], extra: Extra) =>
    runMise(['run', 'build:docker:ci', '--', ...args], SUITE_ROOT, {
      ...tools.env,
      HOME: join(directory, 'home'),
      OPENSHELL_ROOT: root,
      ...extra,
    });
  const run = (program: string, args: readonly string[], extra: Extra) =>
    execFileSync(program, args, { env: { ...tools.env, ...extra }, stdio: ['ignore', 'pipe', 'pipe'] });

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-ci-image-'));
    root = join(directory, 'checkout');
    makeMiniature({ at: root });
    mkdirSync(join(directory, 'home'));
    const source = join(SUITE_ROOT, 'test/support/secret-reader.c');
    const args = ['cc', '-target', `${cpu}-linux-musl`, '-static', '-O1', '-s', source, '-o', join(root, 'reader')];
    execFileSync(tools.path('zig'), args, { env: tools.env });
    writeFileSync(join(root, 'Dockerfile.secret'), DOCKERFILE);
    dockerd = await startDockerd();
  }, BUILD_TIMEOUT_MS);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const ofEngine = {
    docker: () => ({ CONTAINER_ENGINE: 'docker', BUILDKIT_PROGRESS: 'plain', ...dockerd.env }),
    podman: () => ({ CONTAINER_ENGINE: 'podman', ...makePodmanHome().env }),
  };

  test.each(['docker', 'podman'] as const)(
    'C1: mise run build:docker:ci reaches %s and builds the stand-in',
    async (engine) => {
      const extra = ofEngine[engine]();
      const result = await build([], extra);
      expect(result).toMatchObject({ status: 0, stdout: 'openshell/ci:dev\n' });
      expect(result.stderr).toContain(`done: openshell/ci:dev loaded into ${engine}; `);
      expect(run(engine, ['image', 'inspect', 'openshell/ci:dev'], extra).toString()).toContain('/builds');
    },
    BUILD_TIMEOUT_MS,
  );

  test.each([
    ['docker', 'GITHUB_TOKEN'],
    ['docker', 'MISE_GITHUB_TOKEN'],
    ['podman', 'GITHUB_TOKEN'],
    ['podman', 'MISE_GITHUB_TOKEN'],
  ] as const)(
    '%s: the value of %s is read in the step that mounts it, and is nowhere else',
    async (engine, variable) => {
      const extra = ofEngine[engine]();
      const args = ['--no-cache', '--network', 'none', '--file', join(root, 'Dockerfile.secret')];
      const result = await build(args, { ...extra, [variable]: TOKEN });
      expect(result).toMatchObject({ status: 0, stdout: 'openshell/ci:dev\n' });
      const container = run(engine, ['create', 'openshell/ci:dev', 'none'], extra).toString().trim();
      const proof = readTar(run(engine, ['cp', `${container}:/proof`, '-'], extra)).get('proof');
      expect(proof?.map((byte) => byte ^ 1).toString()).toBe(TOKEN);
      const image = run(engine, ['save', 'openshell/ci:dev'], extra);
      const layers = [...readTar(image).values()].flatMap((file) => [file, ...filesOf(file)]);
      expect(layers.length).toBeGreaterThan(3);
      expect([image, ...layers].some((bytes) => bytes.includes(TOKEN))).toBe(false);
      expect(run(engine, ['history', '--no-trunc', 'openshell/ci:dev'], extra).toString()).not.toContain(TOKEN);
      expect(result.stderr).not.toContain(TOKEN);
      expect(result.stderr).toContain(`--secret id=MISE_GITHUB_TOKEN,env=${variable}`);
    },
    BUILD_TIMEOUT_MS,
  );

  test("without a token the step fails, and the task ends with the engine's words and status", async () => {
    const args = ['--no-cache', '--network', 'none', '--file', join(root, 'Dockerfile.secret')];
    const result = await build(args, ofEngine.docker());
    expect(result.status).toBe(1);
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(/^ERROR: .*exit code: 2$/m);
    expect(result.stderr).not.toContain('done:');
  });
});

function filesOf(file: Buffer): Buffer[] {
  try {
    return [...readTar(file).values()];
  } catch {
    // A configuration, not a layer.
    return [];
  }
}
