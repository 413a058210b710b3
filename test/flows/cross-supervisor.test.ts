// SPDX-License-Identifier: Apache-2.0

/**
 * The supervisor that a launch cross-builds, with real cargo, cargo-zigbuild and zig: static for both architectures, a
 * link as wide as the release one, beside a user's own builds and stagings. Only the engine is a fake, which says that
 * its sandboxes run on another machine.
 */

import {
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DevBuild } from '../../lib/dev-build/execute.ts';
import { inspectStatic } from '../../lib/elf/verify.ts';
import type { Arch } from '../../lib/host.ts';
import type { DevBuildOrder } from '../support/dev-build-driver.ts';
import { serveApi } from '../support/fake-api.ts';
import { addEngine, DOCKER_ARM_INFO } from '../support/fake-engine.ts';
import { FakeTools } from '../support/fake-tools.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { requireTools } from '../support/real-tools.ts';
import { LOWER_TO_256, runProcess, runTaskFile, SUITE_ROOT, type TaskResult, whenSaid } from '../support/run-task.ts';
import { type RunningLaunch, startLaunch } from '../support/running-launch.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const WIDTH = 400;
const BUILD_TIMEOUT_MS = 300_000;
const DRIVER = join(SUITE_ROOT, 'test/support/dev-build-driver.ts');
const TRIPLES = { amd64: 'x86_64-unknown-linux-musl', arm64: 'aarch64-unknown-linux-musl' } as const;
const ARCHES = ['amd64', 'arm64'] as const;
const tools = requireTools('cargo', 'cc', 'rustup', 'zigbuild', 'zig', 'prlimit', 'musl-x86_64', 'musl-aarch64');

type Built = DevBuild & { readonly supervisor: NonNullable<DevBuild['supervisor']> };
type Extra = Readonly<Record<string, string>>;

describe('a cross-built supervisor', { ...tools.options, timeout: BUILD_TIMEOUT_MS }, () => {
  let directory = '';
  let root = '';
  /** One whose link is not wide. */
  let small = '';

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'osx-'));
    root = join(directory, 'checkout');
    makeMiniature({ at: root, width: WIDTH });
    small = join(directory, 'small');
    makeMiniature({ at: small, width: 12 });
    for (const arch of ARCHES) await built(arch);
  }, BUILD_TIMEOUT_MS);

  afterAll(() => rmSync(directory, { recursive: true, force: true }), BUILD_TIMEOUT_MS);

  /** The launch's build, as a process of its own. */
  function build(arch: Arch, extra: Extra = {}, isLowered = false, at = root): Promise<TaskResult> {
    const order: DevBuildOrder = { root: at, supervisor: { arch, missing: [] } };
    const lowered = isLowered ? ['--import', LOWER_TO_256] : [];
    const args = [...lowered, DRIVER, JSON.stringify(order)];
    return runProcess(process.execPath, args, { cwd: at, env: { ...tools.env, ...extra } });
  }

  async function built(arch: Arch, isLowered = false, at = root): Promise<Built> {
    const result = await build(arch, { OPENSHELL_BUILD_NOFILE_GUARD: 'on' }, isLowered, at);
    if (result.status !== 0) throw new Error(`the build failed: ${result.stderr}`);
    return JSON.parse(result.stdout) as Built;
  }

  /** The next build has to link the supervisor again. */
  function touchSupervisor(): void {
    const now = new Date();
    utimesSync(join(root, 'crates/openshell-sandbox/src/main.rs'), now, now);
  }

  const staged = (arch: Arch, at = root) =>
    join(at, 'deploy/docker/.build/prebuilt-binaries', arch, 'openshell-sandbox');

  test.each(ARCHES)('for %s it is static, and nothing is compiled again when nothing has changed', async (arch) => {
    const { compiled, supervisor } = await built(arch);
    expect(inspectStatic(supervisor.path, { machine: arch })).toMatchObject({ ok: true });
    expect(supervisor.path).toBe(join(root, 'target/openshell-tasks/cross', TRIPLES[arch], 'debug/openshell-sandbox'));
    expect(compiled).toBe(0);
    expect(existsSync(staged(arch))).toBe(false);
  });

  test.each(ARCHES)('the fault, for %s: unguarded the link dies, through the runner it links', async (arch) => {
    touchSupervisor();
    const died = await build(arch, { OPENSHELL_BUILD_NOFILE_GUARD: 'off' }, true);
    expect(died.stderr).toContain('ProcessFdQuotaExceeded');
    expect(died).toMatchObject({ status: 101, stdout: '' });
    const { compiled, supervisor } = await built(arch, true);
    expect(compiled).toBe(1);
    expect(inspectStatic(supervisor.path)).toMatchObject({ ok: true });
  });

  test("a user's own builds neither lose their cache nor take ours", async () => {
    /** @returns the crates that a user's own cargo compiles */
    const cargo = async (...args: string[]) => {
      const { status, stderr } = await runProcess('cargo', args, { cwd: small, env: tools.env });
      expect(status).toBe(0);
      return [...stderr.matchAll(/^ +Compiling (\S+)/gm)].map(([, name]) => name);
    };
    const zigbuild = ['zigbuild', '--target', TRIPLES.arm64, '-p', 'openshell-sandbox'];
    const ours = await built('arm64', false, small);
    expect(ours.gateway).toBe(join(small, 'target/openshell-tasks/cross/debug/openshell-gateway'));
    expect(await cargo(...zigbuild)).toContain('openshell-sandbox');
    expect(await cargo('build')).toContain('openshell-sandbox');
    const own = readFileSync(join(small, 'target', TRIPLES.arm64, 'debug/openshell-sandbox'));
    const again = await built('arm64', false, small);
    expect(again).toMatchObject({ compiled: 0, supervisor: ours.supervisor });
    expect(readFileSync(join(small, 'target', TRIPLES.arm64, 'debug/openshell-sandbox')).equals(own)).toBe(true);
    expect(await cargo(...zigbuild)).toEqual([]);
    expect(await cargo('build')).toEqual([]);
  });

  test("build scripts are those of the gateway's run", async () => {
    const own = join(temporaryDirectory(), 'checkout');
    makeMiniature({ at: own });
    writeFileSync(join(own, 'crates/openshell-core/build.rs'), 'fn main() {}\n');
    await built('arm64', false, own);
    expect(globSync('target/debug/build/openshell-core-*/build-script-build', { cwd: own })).toHaveLength(1);
  });

  describe('in a launch', () => {
    interface Place {
      readonly root: string;
      readonly env: Record<string, string>;
      readonly supervisor: string;
    }

    /** A launch of its own, with docker's sandboxes on another machine. */
    async function newPlace(name: string, at = root): Promise<Place> {
      const fakes = new FakeTools(temporaryDirectory());
      addEngine(fakes, 'docker', {
        info: DOCKER_ARM_INFO,
        api: serveApi(join(fakes.directory, 'docker.sock'), 'docker'),
      });
      const env = {
        ...tools.env,
        PATH: `${fakes.bin}:${tools.env.PATH}`,
        OPENSHELL_ROOT: at,
        OPENSHELL_BUILD_NOFILE_GUARD: 'on',
        OPENSHELL_GATEWAY_NAME: name,
        OPENSHELL_GATEWAY_STATE_DIR: join(directory, name),
        OPENSHELL_SERVER_PORT: String(await freePort()),
        XDG_CONFIG_HOME: join(directory, 'config'),
        USER: 'dev',
      };
      return { root: at, env, supervisor: join(directory, name, 'supervisor/arm64/openshell-sandbox') };
    }

    const start = ({ env, root: cwd }: Place): RunningLaunch => startLaunch('gateway-docker', [], { cwd, env });

    /** Launches until the gateway responds, and stops it. @returns what was said */
    async function launch(place: Place): Promise<string> {
      const running = start(place);
      await running.said('is up at', BUILD_TIMEOUT_MS);
      running.kill('SIGINT');
      expect((await running.ended).status).toBe(0);
      return running.stderr();
    }

    test('before and after a staging: each uses its own binary', async () => {
      const place = await newPlace('staged', small);
      const said = await launch(place);
      expect(said).toContain('dev profile, static (cross-built for linux/arm64)');
      const dev = readFileSync(place.supervisor);
      expect(existsSync(staged('arm64', small))).toBe(false);
      const { status } = await runTaskFile('stage', ['supervisor'], {
        cwd: small,
        env: { ...place.env, PREBUILT_ARCH: 'arm64' },
      });
      expect(status).toBe(0);
      const release = readFileSync(staged('arm64', small));
      expect(release.equals(dev)).toBe(false);
      expect(await launch(place)).not.toMatch(/^ +Compiling /m);
      expect(readFileSync(place.supervisor).equals(dev)).toBe(true);
      expect(readFileSync(staged('arm64', small)).equals(release)).toBe(true);
      const asked = { ...place, env: { ...place.env, OPENSHELL_SUPERVISOR_PROFILE: 'release' } };
      expect(await launch(asked)).toContain('release profile, static (OPENSHELL_SUPERVISOR_PROFILE=release)');
      expect(readFileSync(place.supervisor).equals(release)).toBe(true);
    });

    test('two at once, after an edit: both get the one that is built', async () => {
      touchSupervisor();
      const places = [await newPlace('one'), await newPlace('other')];
      await Promise.all(places.map(launch));
      const [one, other] = places.map(({ supervisor }) => readFileSync(supervisor));
      expect(one?.equals(other ?? Buffer.of())).toBe(true);
    });

    test('SIGKILL while it is linked: the next launch links it again', async () => {
      const place = await newPlace('killed');
      touchSupervisor();
      const killed = await runTaskFile('gateway-docker', [], {
        cwd: root,
        env: place.env,
        isGroup: true,
        onStart: whenSaid('Compiling openshell-sandbox', ({ pid }) => process.kill(-(pid ?? 0), 'SIGKILL')),
      });
      expect(killed.signal).toBe('SIGKILL');
      expect(existsSync(place.supervisor)).toBe(false);
      await launch(place);
      expect(inspectStatic(place.supervisor, { machine: 'arm64' })).toMatchObject({ ok: true });
    });
  });
});
