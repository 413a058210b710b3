// SPDX-License-Identifier: Apache-2.0

/** The recovery from a failing compiler wrapper, with a real sccache whose server was started too small. */

import { spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ownLimits } from '../../lib/process/identity.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { processesWith } from '../support/processes.ts';
import { onlyLinuxAmd64, requireTools } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const BUILD_TIMEOUT_MS = 120_000;
const tools = requireTools('cargo', 'rustup', 'zigbuild', 'sccache', 'musl-x86_64');
const glibc = requireTools('cargo', 'sccache', 'gnu-x86_64', 'glibc-static');

/** The soft limits of the servers that listen for this test, from `/proc`. */
function serverLimits(port: string): (string | undefined)[] {
  return processesWith(`SCCACHE_SERVER_PORT=${port}`)
    .filter((pid) => /sccache$/.test(readlinkSync(`/proc/${pid}/exe`)))
    .map((pid) => /^Max open files +(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1]);
}

describe('a real sccache', tools.options, () => {
  /** A miniature, and an sccache of the test's own that ends with it. */
  async function prepare() {
    const directory = temporaryDirectory();
    const root = join(directory, 'checkout');
    makeMiniature({ at: root, width: 0 });
    const env = {
      ...tools.env,
      OPENSHELL_ROOT: root,
      PREBUILT_ARCH: 'amd64',
      RUSTC_WRAPPER: 'sccache',
      SCCACHE_DIR: join(directory, 'cache'),
      SCCACHE_SERVER_PORT: String(await freePort()),
    };
    const sccache = (args: string, limit = '') =>
      spawnSync('bash', ['-c', `${limit} sccache ${args}`], { env, encoding: 'utf8' });
    onTestFinished(() => void sccache('--stop-server'));
    const stage = (extra: Record<string, string> = {}): Promise<TaskResult> =>
      runProcess(process.execPath, [join(SUITE_ROOT, 'tasks/stage.ts'), 'supervisor'], {
        cwd: root,
        env: { ...env, ...extra },
      });
    return { root, env, sccache, stage };
  }

  test(
    'a server under 16 open files fails the build; it is restarted under the wanted limit, and the build succeeds',
    async () => {
      const { env, sccache, stage } = await prepare();
      expect(sccache('--start-server', 'ulimit -n 16;').status).toBe(0);
      expect(serverLimits(env.SCCACHE_SERVER_PORT)).toEqual(['16']);
      const result = await stage({ OPENSHELL_BUILD_NOFILE_LIMIT: '4096' });
      expect(result.stderr).toMatch(/sccache: error:|Too many open files|os error 24/);
      expect(result.stderr).toContain(
        'warning: sccache failed, not the build; restarting its server under 4096 open files\n',
      );
      expect(result.status).toBe(0);
      expect(result.stderr.match(/^\$ .*cargo zigbuild/gm)).toHaveLength(2);
      // Not the limit that Node gave itself.
      expect(String(ownLimits().soft)).not.toBe('4096');
      expect(serverLimits(env.SCCACHE_SERVER_PORT)).toEqual(['4096']);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'a server that fails again under the wanted limit: then the build without it',
    async () => {
      const { env, sccache, stage } = await prepare();
      expect(sccache('--start-server', 'ulimit -n 16;').status).toBe(0);
      const result = await stage({ OPENSHELL_BUILD_NOFILE_LIMIT: '16' });
      expect(result.status).toBe(0);
      expect(result.stderr.match(/^warning: .*/gm)).toEqual([
        'warning: sccache failed, not the build; restarting its server under 16 open files',
        'warning: sccache failed, not the build; trying again without it',
      ]);
      expect(result.stderr.match(/^\$ .*cargo zigbuild/gm)).toHaveLength(3);
      expect(serverLimits(env.SCCACHE_SERVER_PORT)).toEqual(['16']);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'a server that cannot be restarted: straight to the build without it',
    async () => {
      const { sccache, stage } = await prepare();
      expect(sccache('--start-server', 'ulimit -n 16;').status).toBe(0);
      // Shared storage that does not respond ends every new server at once.
      const result = await stage({ SCCACHE_REDIS_ENDPOINT: `tcp://127.0.0.1:${await freePort()}` });
      expect(result.status).toBe(0);
      expect(result.stderr).toMatch(/warning: the sccache server could not be restarted: [^\n]+\n/);
      expect(result.stderr).toContain('warning: sccache failed, not the build; trying again without it\n');
      expect(result.stderr.match(/^\$ .*cargo zigbuild/gm)).toHaveLength(2);
    },
    BUILD_TIMEOUT_MS,
  );

  test('R8: shared storage that is gone, in a workspace built through it before; and that is there again', {
    ...onlyLinuxAmd64(glibc.options),
    timeout: BUILD_TIMEOUT_MS,
  }, async () => {
    const { root, env, sccache, stage } = await prepare();
    const built = spawnSync('cargo', ['build', '-p', 'openshell-core'], { cwd: root, env, encoding: 'utf8' });
    expect(built.status).toBe(0);
    sccache('--stop-server');
    // Cargo knows this compiler; what is new to it are the flags and the target.
    const plain = { SUPERVISOR_LIBC: 'glibc-static' };
    const gone = await stage({ ...plain, SCCACHE_REDIS_ENDPOINT: `tcp://127.0.0.1:${await freePort()}` });
    expect(gone.stderr).toMatch(/^ +sccache: error: /m);
    expect(gone.stderr).toContain('warning: sccache failed, not the build; trying again without it\n');
    expect(gone.status).toBe(0);
    const later = new Date();
    utimesSync(join(root, 'crates/openshell-sandbox/src/main.rs'), later, later);
    const again = await stage(plain);
    expect(again.status).toBe(0);
    expect(again.stderr).not.toContain('trying again without it');
  });

  test(
    'a compile error is not retried',
    async () => {
      const { root, stage } = await prepare();
      const source = join(root, 'crates/openshell-sandbox/src/main.rs');
      writeFileSync(source, `${readFileSync(source, 'utf8')}\ncompile_error!("on purpose");\n`);
      const result = await stage();
      expect(result.status).toBe(101);
      expect(result.stderr.match(/^\$ .*cargo zigbuild/gm)).toHaveLength(1);
      expect(result.stderr).not.toContain('warning: sccache');
    },
    BUILD_TIMEOUT_MS,
  );
});
