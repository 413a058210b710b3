// SPDX-License-Identifier: Apache-2.0

/**
 * Tasks that are killed at any moment, and gateways that get a signal just before they take a task's place. How often
 * is up to KILL_POINTS (in all) and EXEC_SIGNALS:
 *
 *     KILL_POINTS=300 EXEC_SIGNALS=60 npx vitest run test/flows/kill-points.test.ts
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { filesOf, KILL_SCENES, type KillScene } from '../support/kill-scenes.ts';
import { DRIVERS, newLaunch, startLauncher } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';
import { SUITE_ROOT, type TaskOptions } from '../support/run-task.ts';

const scenes = Object.entries(KILL_SCENES);
const killPoints = Number(process.env.KILL_POINTS ?? 2 * scenes.length);
const execSignals = Number(process.env.EXEC_SIGNALS ?? DRIVERS.length);
const POINT_MAX_MS = 30_000;

/** What is there for one run alone, and what it has not verified yet. */
const UNREAD = /\.tmp$|\/(image-context\/|openshell-(publish|deb)-)|\/\.[\w-]+\.(new|old|downloads)\//;

test('every task that writes has a scene', () => {
  const readers = [
    ...['doctor', 'gateway', 'sandbox', 'verify-glibc-symbols', 'verify-static-binary', 'vm/build-libkrun-macos'],
    ...['test-install-sh', 'test-packaging-assets', 'verify-telemetry-compiled-out'],
    'keycloak-k8s-setup',
    ...['docker-cleanup', 'keycloak-dev'],
    // What it writes is for one run only.
    'vm/smoke-orphan-cleanup',
    // What it writes is what package-deb writes; it ends with programs of the system.
    'package-deb-install',
  ];
  const tasks = readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.slice(0, -'.ts'.length));
  const covered = scenes.map(([name]) => name.replace(/[ ,].*/, ''));
  const message = 'a task is missing here: add a scene (test/support/kill-scenes.ts), or name it among the readers';
  expect(new Set([...covered, ...readers]), message).toEqual(new Set(tasks));
});

const compiler = requireTools('cc');

describe('SIGKILL', compiler.options, () => {
  const each = Math.ceil(killPoints / scenes.length);
  test.each(scenes)(
    `%s, ${each} times: every file is whole, and the next run does all`,
    async (_, makeScene) => {
      const scene = await makeScene();
      const before = performance.now();
      await expectDone(scene);
      const duration = performance.now() - before;
      const calls = started(scene);
      const [a, b] = [await versionOf(scene, 'A'), await versionOf(scene, 'B')];
      for (let point = 0; point < each; point++) {
        const next = point % 2 === 0 ? 'A' : 'B';
        scene.setVersion(next);
        const at = (point + 0.5) / each;
        // By time, and by which of its programs has just been started.
        const when = point % 2 === 0 ? afterTime(at * duration) : afterCall(scene, Math.ceil(at * calls));
        await scene.run({ onStart: when });
        for (const [path, hash] of filesOf(scene)) {
          if (!UNREAD.test(path))
            expect([a.get(path), b.get(path)], `${path} after ${when.name} ${at}`).toContain(hash);
        }
        await expectDone(scene);
        expect(filesOf(scene), `after ${when.name} ${at}`).toEqual(next === 'A' ? a : b);
      }
    },
    (each + 3) * POINT_MAX_MS,
  );
});

/** What the scene's files are with this version. */
async function versionOf(scene: KillScene, version: string): Promise<Map<string, string>> {
  scene.setVersion(version);
  await expectDone(scene);
  return filesOf(scene);
}

async function expectDone(scene: KillScene): Promise<void> {
  const result = await scene.run({});
  expect(result.status, result.stderr).toBe(scene.status);
}

/** How many programs have been started; a run that is killed may leave half a record of one. */
function started({ tools }: KillScene): number {
  return readdirSync(join(tools.directory, 'calls')).filter((name) => /^[0-9]+$/.test(name)).length;
}

function afterTime(ms: number): NonNullable<TaskOptions['onStart']> {
  return function afterSomeTime(child) {
    setTimeout(() => child.kill('SIGKILL'), ms);
  };
}

function afterCall(scene: KillScene, count: number): NonNullable<TaskOptions['onStart']> {
  const earlier = started(scene);
  return function afterACall(child) {
    const timer = setInterval(() => {
      const isDue = started(scene) - earlier >= count;
      if (isDue) child.kill('SIGKILL');
      if (isDue || child.exitCode !== null || child.signalCode !== null) clearInterval(timer);
    }, 3);
  };
}

const tracer = requireTools('cc', 'strace');
describe('F1: a signal just before the exec, with every fsync slowed', tracer.options, () => {
  // `-D` makes the tracer the child, so that signals reach the task itself.
  const slowed = ['-D', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync', '-e', 'inject=fsync:delay_enter=40000'];
  const each = Math.ceil(execSignals / DRIVERS.length);
  test.each(DRIVERS)(
    `%s, ${each} times: it ends`,
    async (driver) => {
      const launch = newLaunch(driver);
      const start = () => startLauncher(launch, driver, [], {}, [tracer.path('strace'), ...slowed]);
      const first = await start();
      await first.said('starting ');
      const before = performance.now();
      await first.said('fake gateway: listening');
      const window = performance.now() - before;
      first.kill('SIGTERM');
      await first.ended;
      for (let point = 0; point < each; point++) {
        const signal = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const)[point % 3] ?? 'SIGINT';
        const running = await start();
        await running.said('starting ');
        const delay = ((point + 0.5) / each) * window;
        await sleep(delay);
        running.kill(signal);
        const end = await Promise.race([running.ended, sleep(5000).then(() => 'lost' as const)]);
        expect(end, `${signal} ${delay} ms of ${window} ms after the banner`).not.toBe('lost');
      }
    },
    (each + 2) * POINT_MAX_MS,
  );
});
