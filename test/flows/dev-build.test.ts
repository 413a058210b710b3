// SPDX-License-Identifier: Apache-2.0

/** Gateway and static supervisor from one real cargo run, beside a user's own builds, interruptions and sccache. */

import { type ChildProcess, spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DevBuild } from '../../lib/dev-build/execute.ts';
import { inspectExecutable, inspectStatic } from '../../lib/elf/verify.ts';
import { linuxTriple, thisHost } from '../../lib/host.ts';
import type { DevBuildOrder } from '../support/dev-build-driver.ts';
import { makeMiniature } from '../support/miniature.ts';
import { requireTools } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const BUILD_TIMEOUT_MS = 180_000;
/** Crates from outside, which a user's builds and ours share. */
const WIDTH = 12;
const DRIVER = join(SUITE_ROOT, 'test/support/dev-build-driver.ts');
const TRIPLE = linuxTriple(thisHost().arch ?? 'amd64', 'gnu');
const tools = requireTools('cargo', 'cc', 'glibc-static');

type Built = DevBuild & { readonly supervisor: NonNullable<DevBuild['supervisor']>; readonly installed?: string };

class Checkout {
  readonly root: string;
  readonly env: Record<string, string>;

  constructor(name = 'checkout') {
    this.root = join(temporaryDirectory(), name);
    makeMiniature({ at: this.root, width: WIDTH });
    this.env = { ...tools.env };
  }

  /** The launch's build, as a process of its own. */
  launch(
    extra: Readonly<Record<string, string>> = {},
    order: Partial<DevBuildOrder> = {},
    onStart?: (child: ChildProcess) => void,
  ): Promise<TaskResult> {
    const args = [DRIVER, JSON.stringify({ root: this.root, supervisor: 'with-gateway', ...order })];
    const options = { cwd: this.root, env: { ...this.env, ...extra }, ...(onStart === undefined ? {} : { onStart }) };
    return runProcess(process.execPath, args, options);
  }

  /** The same, which has to work. */
  async built(extra: Readonly<Record<string, string>> = {}, order: Partial<DevBuildOrder> = {}): Promise<Built> {
    const result = await this.launch(extra, order);
    if (result.status !== 0) throw new Error(`the build failed: ${result.stderr}`);
    return JSON.parse(result.stdout) as Built;
  }

  /** A user's own cargo. */
  cargo(args: string, extra: Readonly<Record<string, string>> = {}): string {
    const result = spawnSync('cargo', args.split(' '), {
      cwd: this.root,
      env: { ...this.env, ...extra },
      encoding: 'utf8',
    });
    if (result.status !== 0) throw new Error(`cargo ${args}: ${result.stderr}`);
    return result.stderr;
  }

  path(...parts: readonly string[]): string {
    return join(this.root, ...parts);
  }

  /** A bash script that is found before the real program of that name. @returns its path */
  tool(name: string, text: string): string {
    const bin = this.path('bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, name), `#!/bin/bash\n${text}\n`, { mode: 0o755 });
    this.env.PATH = `${bin}:${tools.env.PATH}`;
    return join(bin, name);
  }

  /** Leaves a mark in the supervisor, so that builds can be told apart. */
  edit(mark: string): void {
    const main = this.path('crates/openshell-sandbox/src/main.rs');
    const text = readFileSync(main, 'utf8').replace(/\/\/ mark.*\n.*\n/, '');
    writeFileSync(main, `${text.trimEnd()}\n// mark\n#[used] static MARK: &str = "mark:${mark}:";\n`);
  }
}

/** The mark of the source that a supervisor was built from. */
function markOf(path: string): string | undefined {
  return /mark:([a-z]+):/.exec(readFileSync(path, 'latin1'))?.[1];
}

function verifyPair({ gateway, supervisor }: Built): void {
  expect(inspectStatic(supervisor.path, { machine: thisHost().arch })).toMatchObject({ ok: true });
  expect(inspectExecutable(gateway).facts?.kind).toBe('dynamic');
  expect(spawnSync(supervisor.path, ['--version'], { encoding: 'utf8' }).status).toBe(0);
  expect(spawnSync(gateway, ['--version'], { encoding: 'utf8' }).status).toBe(0);
}

/** Shorter than the files themselves, where they differ. */
function sha256(path: string): string {
  return hash('sha256', readFileSync(path));
}

/** The crates that a cargo run compiled, from its progress. */
function compiledIn(stderr: string): string[] {
  return [...stderr.matchAll(/^ +Compiling (\S+)/gm)].map(([, name]) => name ?? '').sort();
}

describe('one cargo run', tools.options, () => {
  test(
    'from nothing: a static supervisor, a gateway as ever, side by side; then nothing is compiled, and the same is found',
    async () => {
      const checkout = new Checkout();
      const first = await checkout.built({}, { install: 'state/openshell-sandbox' });
      verifyPair(first);
      expect(first.compiled).toBe(first.total);
      expect(first.installed).toBe('written');
      const again = await checkout.built({}, { install: 'state/openshell-sandbox' });
      expect(again).toMatchObject({
        compiled: 0,
        installed: 'unchanged',
        supervisor: first.supervisor,
      });
      // Nothing under the names of the user's own builds.
      expect(readdirSync(checkout.path('target/debug'))).not.toContain('openshell-sandbox');
      expect(readdirSync(checkout.path('target/debug'))).not.toContain('openshell-gateway');
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'without a supervisor it is the plain build, and shares its artifacts',
    async () => {
      const checkout = new Checkout();
      checkout.cargo('build -p openshell-server --bin openshell-gateway');
      const built = await checkout.built({}, { supervisor: undefined });
      expect(built).toMatchObject({ compiled: 0, gateway: checkout.path('target/debug/openshell-gateway') });
      expect(existsSync(checkout.path('target/openshell-tasks'))).toBe(false);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "a user's build before: its crates from outside are not compiled again, and its programs stay as they are",
    async () => {
      const checkout = new Checkout();
      checkout.cargo('build');
      const own = checkout.path('target/debug/openshell-sandbox');
      const before = sha256(own);
      const result = await checkout.launch();
      expect(compiledIn(result.stderr)).toEqual(['openshell-core', 'openshell-sandbox', 'openshell-server']);
      verifyPair(JSON.parse(result.stdout));
      expect(sha256(own)).toBe(before);
      expect(inspectExecutable(own).facts?.kind).toBe('dynamic');
      expect(compiledIn(checkout.cargo('build'))).toEqual([]);
      expect((await checkout.built()).compiled).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "a user's build after: neither takes the other's, whoever was last",
    async () => {
      const checkout = new Checkout();
      const first = await checkout.built();
      expect(compiledIn(checkout.cargo('build -p openshell-sandbox'))).toEqual(['openshell-core', 'openshell-sandbox']);
      expect(inspectExecutable(checkout.path('target/debug/openshell-sandbox')).facts?.kind).toBe('dynamic');
      const again = await checkout.built();
      expect(again).toMatchObject({ compiled: 0, supervisor: first.supervisor });
      verifyPair(again);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'two launches, and a user who builds at the same time: cargo lets them in one by one, and each gets its own',
    async () => {
      const checkout = new Checkout();
      const own = runProcess('cargo', ['build'], { cwd: checkout.root, env: checkout.env });
      const [one, other, plain] = await Promise.all([checkout.built(), checkout.built(), own]);
      expect(plain.status).toBe(0);
      verifyPair(one);
      expect(other.supervisor).toEqual(one.supervisor);
      expect(inspectExecutable(checkout.path('target/debug/openshell-sandbox')).facts?.kind).toBe('dynamic');
    },
    BUILD_TIMEOUT_MS,
  );
});

describe('what is found is what the source says', tools.options, () => {
  test(
    'an edit, and the way back: each is built, none is stale',
    async () => {
      const checkout = new Checkout();
      for (const mark of ['one', 'two', 'one']) {
        checkout.edit(mark);
        const built = await checkout.built();
        expect(markOf(built.supervisor.path)).toBe(mark);
        expect(built.compiled).toBeGreaterThan(0);
      }
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'an edit that only a user has built so far',
    async () => {
      const checkout = new Checkout();
      checkout.edit('one');
      await checkout.built();
      checkout.edit('two');
      checkout.cargo('build');
      const built = await checkout.built();
      expect(markOf(built.supervisor.path)).toBe('two');
      verifyPair(built);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'our program, or the one that cargo links it from, is gone or another file: it comes back',
    async () => {
      const checkout = new Checkout();
      const { supervisor } = await checkout.built();
      rmSync(supervisor.path);
      expect(await checkout.built()).toMatchObject({ compiled: 0, supervisor });

      rmSync(supervisor.path);
      writeFileSync(supervisor.path, 'another file', { mode: 0o755 });
      expect(await checkout.built()).toMatchObject({ compiled: 0, supervisor });

      const deps = checkout.path('target/debug/deps');
      for (const name of readdirSync(deps)) if (/^openshell_sandbox-[0-9a-f]+$/.test(name)) rmSync(join(deps, name));
      const rebuilt = await checkout.built();
      expect(rebuilt.compiled).toBeGreaterThan(0);
      verifyPair(rebuilt);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'cargo clean: all is built anew',
    async () => {
      const checkout = new Checkout();
      await checkout.built();
      checkout.cargo('clean');
      const built = await checkout.built();
      expect(built.compiled).toBe(built.total);
      verifyPair(built);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'killed while the supervisor is linked, and the half of it made to look new: it is linked again',
    async () => {
      const checkout = new Checkout();
      // A linker that, once it is told a pid, writes something over the program and has the task and its cargo killed.
      const cc = checkout.tool(
        'cc',
        `args=("$@")
for ((i = 0; i < $#; i++)); do [[ \${args[i]} == -o ]] && out=\${args[i + 1]}; done
if [[ -e pid && $out == *openshell_sandbox-* ]]; then cat "$0" > "$out"; kill -9 "$(cat pid)" 0; fi
exec ${tools.path('cc')} "$@"`,
      );
      checkout.edit('one');
      await checkout.built();
      checkout.edit('two');
      const killed = await checkout.launch({}, {}, (child) => writeFileSync(checkout.path('pid'), String(child.pid)));
      expect(killed.signal).toBe('SIGKILL');
      rmSync(checkout.path('pid'));
      await sleep(300);
      const deps = checkout.path('target/debug/deps');
      const program = readdirSync(deps).find((name) => /^openshell_sandbox-[0-9a-f]+$/.test(name)) ?? 'none';
      expect(sha256(join(deps, program))).toBe(sha256(cc));
      const soon = new Date(Date.now() + 5000);
      utimesSync(join(deps, program), soon, soon);
      const built = await checkout.built();
      expect(markOf(built.supervisor.path)).toBe('two');
      verifyPair(built);
    },
    BUILD_TIMEOUT_MS,
  );
});

describe('wherever cargo is told to build', tools.options, () => {
  test.each<[string, (checkout: Checkout) => Record<string, string>, string]>([
    ['CARGO_TARGET_DIR, relative', () => ({ CARGO_TARGET_DIR: 'else where' }), 'else where'],
    ['CARGO_BUILD_TARGET_DIR', () => ({ CARGO_BUILD_TARGET_DIR: 'out' }), 'out'],
    ['CARGO_BUILD_TARGET', () => ({ CARGO_BUILD_TARGET: TRIPLE }), 'target'],
    ['CARGO_BUILD_BUILD_DIR', () => ({ CARGO_BUILD_BUILD_DIR: 'between' }), 'target'],
    [
      'build.target-dir in a file',
      (checkout) => {
        const config = checkout.path('.cargo/config.toml');
        writeFileSync(config, `${readFileSync(config, 'utf8')}\n[build]\ntarget-dir = "set"\n`);
        return {};
      },
      'set',
    ],
  ])(
    'C6: %s',
    async (_, prepare, directory) => {
      const checkout = new Checkout();
      checkout.edit('old');
      await checkout.built();
      checkout.edit('new');
      const env = prepare(checkout);
      checkout.cargo('build', env);
      const result = await checkout.launch(env);
      const built = JSON.parse(result.stdout) as Built;
      expect(built.supervisor.path.startsWith(`${checkout.path(directory, 'openshell-tasks')}/`)).toBe(true);
      expect(markOf(built.supervisor.path)).toBe('new');
      verifyPair(built);
      // The crates from outside are those of the user's build.
      expect(compiledIn(result.stderr)).toEqual(['openshell-core', 'openshell-sandbox', 'openshell-server']);
      expect((await checkout.built(env)).compiled).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'a checkout with blanks, quotes and braces in its path',
    async () => {
      const checkout = new Checkout('a {strange} "check\'out"');
      const built = await checkout.built();
      verifyPair(built);
      expect(compiledIn(checkout.cargo('build'))).not.toContain('wide-0001');
      expect((await checkout.built()).compiled).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "the user's RUSTFLAGS and workspace wrapper stay in force",
    async () => {
      const checkout = new Checkout();
      const wrapper = checkout.path('my wrapper');
      writeFileSync(wrapper, '#!/bin/sh\necho "$3" >> "$WRAPPED"\nexec "$@"\n', { mode: 0o755 });
      const env = {
        RUSTFLAGS: '-C target-feature=+sse3,-crt-static --cfg seen_flags',
        RUSTC_WORKSPACE_WRAPPER: wrapper,
        WRAPPED: checkout.path('wrapped'),
      };
      verifyPair(await checkout.built(thisHost().arch === 'amd64' ? env : { ...env, RUSTFLAGS: '' }));
      expect(readFileSync(env.WRAPPED, 'utf8')).toContain('openshell_sandbox\n');
      expect(readFileSync(env.WRAPPED, 'utf8')).not.toContain('wide_0001\n');
    },
    BUILD_TIMEOUT_MS,
  );

  test('without libc.a: the reason, and nothing is built', async () => {
    const checkout = new Checkout();
    checkout.tool('cc', `case $1 in -print-file-name=*) echo "\${1#*=}"; exit ;; esac\nexec ${tools.path('cc')} "$@"`);
    const result = await checkout.launch();
    expect(JSON.parse(result.stdout)).toEqual({ reason: expect.stringMatching(/^there is no libc\.a .* libc6-dev/) });
    expect(existsSync(checkout.path('target'))).toBe(false);
  });
});

const sccacheTools = requireTools('cargo', 'cc', 'glibc-static', 'sccache');

describe('with a real sccache', sccacheTools.options, () => {
  /** A checkout with an sccache of its own, which ends with the test. */
  async function prepare() {
    const checkout = new Checkout();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    await new Promise((resolve) => server.close(resolve));
    Object.assign(checkout.env, sccacheTools.env, {
      RUSTC_WRAPPER: 'sccache',
      SCCACHE_DIR: join(checkout.root, '../cache'),
      SCCACHE_SERVER_PORT: String(typeof address === 'object' && address !== null ? address.port : 0),
      // Crates that are compiled bit by bit are never cached.
      CARGO_INCREMENTAL: '0',
    });
    const sccache = (args: string, limit = '') =>
      spawnSync('bash', ['-c', `${limit} sccache ${args}`], { env: checkout.env, encoding: 'utf8' });
    onTestFinished(() => void sccache('--stop-server'));
    const stats = () => {
      const { stats: all } = JSON.parse(sccache('--show-stats --stats-format json').stdout);
      return { hits: all.cache_hits.counts.Rust ?? 0, misses: all.cache_misses.counts.Rust ?? 0 };
    };
    return { checkout, sccache, stats };
  }

  test(
    'every crate but the programs comes from the cache the second time, for our build and then for a user',
    async () => {
      const { checkout, stats } = await prepare();
      const first = await checkout.built();
      verifyPair(first);
      const before = stats();
      expect(before.misses).toBeGreaterThanOrEqual(WIDTH);
      rmSync(checkout.path('target'), { recursive: true });
      const again = await checkout.built();
      verifyPair(again);
      expect(stats().misses).toBe(before.misses);
      expect(stats().hits).toBe(before.misses);
      rmSync(checkout.path('target'), { recursive: true });
      checkout.cargo('build');
      expect(stats().hits).toBeGreaterThanOrEqual(before.misses + WIDTH);
      expect(inspectExecutable(checkout.path('target/debug/openshell-sandbox')).facts?.kind).toBe('dynamic');
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'H27: a server under 16 open files fails the build; it is restarted, and the build with it succeeds',
    async () => {
      const { checkout, sccache, stats } = await prepare();
      expect(sccache('--start-server', 'ulimit -n 16;').status).toBe(0);
      const result = await checkout.launch();
      expect(result.stderr).toMatch(/sccache: error:|Too many open files|os error 24/);
      expect(result.stderr).toMatch(
        /warning: sccache failed, not the build; restarting its server under [0-9]+ open files/,
      );
      expect(result.stderr).not.toContain('trying again without it');
      expect(result.status).toBe(0);
      verifyPair(JSON.parse(result.stdout));
      expect(stats().misses).toBeGreaterThan(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'H27: a server that cannot be restarted: the build without it, and the supervisor is static all the same',
    async () => {
      const { checkout, sccache } = await prepare();
      expect(sccache('--start-server', 'ulimit -n 16;').status).toBe(0);
      // Shared storage that does not respond ends every new server at once.
      const result = await checkout.launch({ SCCACHE_REDIS_ENDPOINT: 'tcp://127.0.0.1:1' });
      expect(result.stderr).toContain('warning: sccache failed, not the build; trying again without it\n');
      expect(result.status).toBe(0);
      const built = JSON.parse(result.stdout) as Built;
      verifyPair(built);
      // With a server again, nothing is compiled once more.
      sccache('--stop-server');
      expect(await checkout.built()).toMatchObject({ compiled: 0, supervisor: built.supervisor });
    },
    BUILD_TIMEOUT_MS,
  );
});
