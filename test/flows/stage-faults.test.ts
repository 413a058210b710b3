// SPDX-License-Identifier: Apache-2.0

/**
 * The verified faults of the bash script that this task replaces, by their number. Each test
 * fails for the behaviour that bash had.
 */

import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FakeCargo, FakeCheckout } from '../support/fake-rust.ts';
import { processesWith } from '../support/processes.ts';
import { onlyLinux } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult, whenSaid } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const AMD64 = { DOCKER_PLATFORM: 'linux/amd64' };
const NATIVE = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** A cargo that fails as it does when its compiler wrapper fails. */
const FAILING_WRAPPER: FakeCargo = {
  before: '[[ -z $RUSTC_WRAPPER ]] || { echo "sccache: error: failed to execute compile" >&2; exit 101; }',
};

function stagedBytes(checkout: FakeCheckout, binary = 'openshell-sandbox', arch: 'amd64' | 'arm64' = 'amd64') {
  return readFileSync(checkout.staged(arch, binary));
}

function expectRefused(result: TaskResult, checkout: FakeCheckout): void {
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(checkout.builds()).toEqual([]);
}

describe('C6: the binary of an earlier run is never staged', () => {
  test.each([
    ['CARGO_TARGET_DIR, absolute', (directory: string) => ({ CARGO_TARGET_DIR: directory })],
    ['CARGO_TARGET_DIR, relative to where the task was started', () => ({ CARGO_TARGET_DIR: 'elsewhere' })],
  ])('%s', async (_, extra) => {
    const checkout = new FakeCheckout();
    await checkout.stage(['supervisor'], AMD64);
    checkout.setApp('x86_64', { payload: 64 });
    const cwd = join(checkout.root, 'crates');
    const result = await checkout.stage(['supervisor'], { ...AMD64, ...extra(temporaryDirectory()) }, { cwd });
    expect(result.status).toBe(0);
    expect(stagedBytes(checkout)).toEqual(readFileSync(join(checkout.apps, 'x86_64')));
    const expected = extra('').CARGO_TARGET_DIR === 'elsewhere' ? join(cwd, 'elsewhere') : expect.any(String);
    expect(checkout.tools.calls().at(-1)?.env.CARGO_TARGET_DIR).toEqual(expected);
  });

  test('a build that gives nothing stages nothing, although an old binary is there', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['supervisor'], AMD64);
    const old = stagedBytes(checkout);
    checkout.setCargo({ before: 'exit 0' });
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('error: cargo has built no executable of openshell-sandbox');
    expect(stagedBytes(checkout)).toEqual(old);
  });
});

test.each([
  [['supervisor'], { DOCKER_PLATFORM: 'linux/386' }],
  [['bogus'], {}],
  [['supervisor'], { DOCKER_PLATFORM: ',' }],
  [['supervisor'], { DOCKER_PLATFORM: 'linux/amd64,linux/386' }],
])('C9, X4: a rejected value stops everything: %j %j', async (args, extra) => {
  const checkout = new FakeCheckout();
  expectRefused(await checkout.stage(args, extra), checkout);
});

describe('the version is stamped without touching the checkout', () => {
  const STAMPED = '1.2.3-rc.1+build.5';
  /** Writes down the version that the compiler would see, and the checkout's. */
  const spy = `/bin/cat "$4" > "$FAKE_APPS/seen.$OPENSHELL_CARGO_VERSION"; /bin/cat "$OPENSHELL_ROOT/Cargo.toml" >> "$FAKE_APPS/checkout"`;

  test('C10: two runs at once, each with its own version; the checkout is never anything but itself', async () => {
    const checkout = new FakeCheckout({ before: spy });
    const before = readFileSync(join(checkout.root, 'Cargo.toml'), 'utf8');
    const results = await Promise.all([
      checkout.stage(['gateway'], { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED }),
      checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_CARGO_VERSION: '2.0.0' }),
    ]);
    expect(results.map((result) => result.status)).toEqual([0, 0]);
    expect(readFileSync(join(checkout.apps, `seen.${STAMPED}`), 'utf8')).toContain(`version = "${STAMPED}"`);
    expect(readFileSync(join(checkout.apps, 'seen.2.0.0'), 'utf8')).toContain('version = "2.0.0"');
    expect(readFileSync(join(checkout.apps, 'checkout'), 'utf8')).toBe(before.repeat(2));
    expect(readFileSync(join(checkout.root, 'Cargo.toml'), 'utf8')).toBe(before);
  });

  test('C11: an edit made during the build stays', async () => {
    const checkout = new FakeCheckout({
      before: 'echo building >&2; until [[ -e $FAKE_APPS/go ]]; do /bin/sleep 0.02; done',
    });
    const path = join(checkout.root, 'Cargo.toml');
    const before = readFileSync(path, 'utf8');
    const edit = () => {
      appendFileSync(path, '# edit\n');
      writeFileSync(join(checkout.apps, 'go'), '');
    };
    const extra = { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED };
    const result = await checkout.stage(['supervisor'], extra, { onStart: whenSaid(/^building$/m, edit) });
    expect(result.status).toBe(0);
    expect(readFileSync(path, 'utf8')).toBe(`${before}# edit\n`);
  });

  test('C12: Cargo.lock is copied, and what cargo writes goes into the copy', async () => {
    const checkout = new FakeCheckout({
      before: 'echo "# moved" >> "$CARGO_TARGET_DIR/openshell-version/$OPENSHELL_CARGO_VERSION/Cargo.lock"',
    });
    writeFileSync(join(checkout.root, 'Cargo.lock'), 'version = 4\n');
    await checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED });
    expect(readFileSync(join(checkout.root, 'Cargo.lock'), 'utf8')).toBe('version = 4\n');
    const copy = join(checkout.root, 'target/openshell-version', STAMPED, 'Cargo.lock');
    expect(readFileSync(copy, 'utf8')).toBe('version = 4\n# moved\n');
  });

  test('SIGKILL in the middle leaves the checkout as it was, and the next run works', async () => {
    const checkout = new FakeCheckout({ before: 'echo building >&2; /bin/sleep 3' });
    const before = readFileSync(join(checkout.root, 'Cargo.toml'), 'utf8');
    const killed = await checkout.stage(
      ['supervisor'],
      { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED },
      { onStart: whenSaid(/^building$/m, (child) => child.kill('SIGKILL')) },
    );
    expect(killed.signal).toBe('SIGKILL');
    expect(readFileSync(join(checkout.root, 'Cargo.toml'), 'utf8')).toBe(before);
    checkout.setCargo({});
    const next = await checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED });
    expect(next.status).toBe(0);
    expect(next.stderr).not.toContain('waiting');
  });

  test.each(['1.2.3+a&b', '1.2.3"\nedition = "2015', 'feature/x', '1.2.3\\1', '1.2.3\n', ' 1.2.3'])(
    'C13: %j is refused',
    async (version) => {
      const checkout = new FakeCheckout();
      expectRefused(await checkout.stage(['supervisor'], { OPENSHELL_CARGO_VERSION: version }), checkout);
    },
  );

  test('X1: nothing of it needs sed, so it works the same on a Mac', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_CARGO_VERSION: STAMPED });
    expect(checkout.tools.lines().filter((line) => !/^(cargo|rustc) /.test(line))).toEqual([]);
  });
});

describe('the zig wrappers', () => {
  test.each(['x;touch PWNED;#', 'a b', `it's "quoted" $HOME`, 'two\nlines'])(
    'C14: a checkout called %j',
    async (name) => {
      const checkout = new FakeCheckout({}, name);
      const result = await checkout.stage(['gateway'], AMD64);
      expect(result.status).toBe(0);
      const build = checkout.tools.calls().find((call) => call.args[0] === 'zigbuild');
      const compiler = build?.env.CC_x86_64_unknown_linux_gnu ?? '';
      expect(compiler.startsWith(checkout.root) && compiler.endsWith('zig-gnu-wrapper/amd64/cc')).toBe(true);
      for (const directory of [checkout.root, SUITE_ROOT, process.cwd()])
        expect(existsSync(join(directory, 'PWNED'))).toBe(false);
    },
  );

  test('C14: the dry run of such a checkout can be pasted, and runs what the task would run', async () => {
    const checkout = new FakeCheckout({}, "x;touch PWNED;# it's\ntwo");
    const env = checkout.env(AMD64);
    const plan = await checkout.stage(['all', '--dry-run'], AMD64);
    const pasted = await runProcess('/bin/bash', ['-c', plan.stdout], { cwd: temporaryDirectory(), env });
    expect(pasted).toMatchObject({ status: 0, stderr: '' });
    const runs = checkout.tools.calls().filter((call) => call.args[0] === 'zigbuild');
    expect(runs.map(({ cwd, env }) => [cwd, env.CC_x86_64_unknown_linux_gnu !== undefined])).toEqual([
      [checkout.root, true],
      [checkout.root, false],
    ]);
  });

  test('C15: without zig cargo is not started', async () => {
    const checkout = new FakeCheckout();
    expectRefused(await checkout.stage(['gateway'], { ...AMD64, ZIG: '/no/zig' }), checkout);
  });

  test('C15: wrappers that cannot be written fail the task', async () => {
    const checkout = new FakeCheckout();
    writeFileSync(join(checkout.root, 'target'), 'a file in the way');
    expectRefused(await checkout.stage(['gateway'], AMD64), checkout);
  });

  test('C16: with GITHUB_ENV set the build in this step has the compilers, and the file is not touched', async () => {
    const checkout = new FakeCheckout();
    const workflow = join(temporaryDirectory(), 'env');
    writeFileSync(workflow, 'A=1\n');
    await checkout.stage(['gateway'], { ...AMD64, GITHUB_ENV: workflow });
    const build = checkout.tools.calls().find((call) => call.args[0] === 'zigbuild');
    expect(
      Object.keys(build?.env ?? {}).filter((name) => /^(CC|CXX|AR|RANLIB|CMAKE_TOOLCHAIN_FILE)_/.test(name)),
    ).toHaveLength(10);
    expect(readFileSync(workflow, 'utf8')).toBe('A=1\n');
  });
});

describe('verification before anything is staged', () => {
  test('C20: a binary for another machine', async () => {
    const checkout = new FakeCheckout();
    checkout.setApp('aarch64', {});
    const result = await checkout.stage(['supervisor'], { PREBUILT_ARCH: 'arm64' });
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(
      /error: what was built cannot be used: .*openshell-sandbox: is for x86-64, wanted arm64 \(aarch64\)/,
    );
    expect(existsSync(checkout.staged('arm64', 'openshell-sandbox'))).toBe(false);
  });

  test('C18: a dynamic supervisor', async () => {
    const checkout = new FakeCheckout();
    checkout.setApp('x86_64', 'dynamic');
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/error: what was built cannot be used: .*dynamically linked/);
    expect(existsSync(checkout.staged('amd64', 'openshell-sandbox'))).toBe(false);
  });

  test('C21: a truncated gateway', async () => {
    const checkout = new FakeCheckout();
    checkout.setApp('x86_64', readFileSync(process.execPath).subarray(0, 3000));
    const result = await checkout.stage(['gateway'], AMD64);
    expect(result.status).toBe(1);
    expect(existsSync(checkout.staged('amd64', 'openshell-gateway'))).toBe(false);
  });

  test('a gateway that needs a newer glibc than the floor', async () => {
    const checkout = new FakeCheckout();
    checkout.setApp('x86_64', {
      type: 3,
      pie: true,
      interpreter: '/lib64/ld-linux-x86-64.so.2',
      needed: ['libc.so.6'],
      versions: [{ library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_2.34'] }],
    });
    const result = await checkout.stage(['gateway'], AMD64);
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('GLIBC_2.34');
  });

  test('all: when the second fails, the first is not staged either', async () => {
    const checkout = new FakeCheckout({ before: '[[ $binary != openshell-sandbox ]] || FAKE_APPS=$FAKE_APPS/bad' });
    checkout.setApp('x86_64', {});
    writeFileSync(join(checkout.apps, 'keep'), '');
    mkdirSync(join(checkout.apps, 'bad'));
    writeFileSync(join(checkout.apps, 'bad/x86_64'), 'not a binary', { mode: 0o755 });
    const result = await checkout.stage(['all'], AMD64);
    expect(result.status).toBe(1);
    expect(checkout.builds()).toHaveLength(2);
    expect(existsSync(checkout.staged('amd64', 'openshell-gateway'))).toBe(false);
  });
});

test("a failed build gives cargo's own status, and stages nothing", async () => {
  const checkout = new FakeCheckout({ before: 'echo "error[E0308]: mismatched types" >&2; exit 101' });
  const result = await checkout.stage(['supervisor'], AMD64);
  expect(result).toMatchObject({ status: 101, stdout: '' });
  expect(result.stderr).toContain('error[E0308]: mismatched types\n');
  expect(result.stderr).toMatch(/error: cargo zigbuild .* failed with status 101 in [^\n]+\n$/);
  expect(existsSync(checkout.staged('amd64', 'openshell-sandbox'))).toBe(false);
});

describe('H4: signals during the build', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('%s: cargo is gone, nothing half-written is left, the next run works', async (signal, status) => {
    const checkout = new FakeCheckout({ before: '/bin/sleep 31 & echo building >&2; wait' });
    const result = await checkout.stage(['supervisor'], AMD64, {
      onStart: whenSaid(/^building$/m, (child) => child.kill(signal)),
    });
    expect(result.status).toBe(status);
    expect(processesWith(`FAKE_APPS=${checkout.apps}`)).toEqual([]);
    expect(readdirSync(join(checkout.root, 'deploy/docker/.build')).filter((name) => !name.endsWith('.lock'))).toEqual(
      [],
    );
    checkout.setCargo({});
    expect((await checkout.stage(['supervisor'], AMD64)).status).toBe(0);
  });
});

test('H3: image builds that read while it is staged find the old file or the new one, whole', async () => {
  const checkout = new FakeCheckout();
  await checkout.stage(['supervisor'], AMD64);
  const path = checkout.staged('amd64', 'openshell-sandbox');
  const old = readFileSync(path);
  // A reader that has opened the old file.
  linkSync(path, `${path}.open`);
  checkout.setApp('x86_64', { payload: 3_000_000 });
  const events = await eventsOf(path, () => checkout.stage(['supervisor'], AMD64));
  // One file takes the place of the other in one step: it is neither removed nor written to. macOS reports otherwise.
  if (process.platform === 'linux') expect(events).toEqual(['rename']);
  // Comparing millions of bytes one by one takes seconds.
  expect(stagedBytes(checkout).equals(readFileSync(join(checkout.apps, 'x86_64')))).toBe(true);
  expect(readFileSync(`${path}.open`).equals(old)).toBe(true);
});

/** What the system reports of a file while a body runs: `rename` for its name, `change` for its content. */
async function eventsOf(path: string, body: () => Promise<TaskResult>): Promise<string[]> {
  const events: string[] = [];
  const end = Promise.withResolvers<void>();
  const watcher = watch(dirname(path), (event, name) => {
    if (name === basename(path)) events.push(event);
    if (name === 'end') end.resolve();
  });
  try {
    expect((await body()).status).toBe(0);
    // Events come in their order: this one comes after all those of the body.
    writeFileSync(join(dirname(path), 'end'), '');
    await end.promise;
    return events;
  } finally {
    watcher.close();
  }
}

test('H18: a target that cannot be installed is reported, by name, before cargo', async () => {
  const checkout = new FakeCheckout();
  const add = { args: ['target', 'add'], script: 'echo "error: no network" >&2; exit 1' };
  checkout.removeTarget('x86_64-unknown-linux-musl', [add]);
  const result = await checkout.stage(['supervisor'], AMD64);
  expect(result.status).toBe(2);
  expect(result.stderr).toContain(
    'error: a Rust target that the build needs could not be installed (rustup target add x86_64-unknown-linux-musl failed with status 1',
  );
  expect(checkout.builds()).toEqual([]);
});

test('H27: the recovery from a failing wrapper is there, as for every cargo call', async () => {
  const checkout = new FakeCheckout(FAILING_WRAPPER);
  checkout.tools.add('sccache', [{ args: [], script: ':' }]);
  const result = await checkout.stage(['supervisor'], { ...AMD64, RUSTC_WRAPPER: 'sccache' });
  expect(result.status).toBe(0);
  expect(
    checkout.tools
      .lines()
      .slice(1)
      .map((line) => line.split(' ').slice(0, 2).join(' ')),
  ).toEqual(['cargo zigbuild', 'sccache --stop-server', 'sccache --start-server', 'cargo zigbuild', 'cargo zigbuild']);
});

test('H28, H29: started anywhere, through a symlink, with CDPATH exported', async () => {
  const checkout = new FakeCheckout();
  const elsewhere = temporaryDirectory();
  symlinkSync(join(SUITE_ROOT, 'tasks'), join(elsewhere, 'tasks'));
  const env = checkout.env({ ...AMD64, CDPATH: '.' });
  const result = await runProcess(process.execPath, ['tasks/stage.ts', 'supervisor'], { cwd: elsewhere, env });
  expect(result.status).toBe(0);
  expect(new Set(checkout.tools.calls().map((call) => call.cwd))).toEqual(new Set([checkout.root]));
});

test('H31: a feature goes to the components that declare it', async () => {
  const checkout = new FakeCheckout();
  const result = await checkout.stage(['all'], {
    ...AMD64,
    EXTRA_CARGO_FEATURES: 'bundled-z3, bundled-ca-roots telemetry,telemetry',
  });
  expect(result.status).toBe(0);
  const features = checkout.tools
    .calls()
    .filter((call) => call.args[0] === 'zigbuild')
    .map((call) => call.args[call.args.indexOf('--features') + 1]);
  expect(features).toEqual(['bundled-z3 telemetry', 'bundled-ca-roots telemetry']);
});

test('L1: CI=false and friends mean what they say', async () => {
  const checkout = new FakeCheckout();
  expect((await checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_BUILD_NOFILE_GUARD: 'False' })).status).toBe(0);
  expect((await checkout.stage(['supervisor'], { ...AMD64, OPENSHELL_BUILD_NOFILE_GUARD: 'nope' })).status).toBe(2);
});

describe('L19: without mise, and with it', () => {
  test('cargo-zigbuild on PATH needs no mise', async () => {
    const checkout = new FakeCheckout();
    expect((await checkout.stage(['supervisor'], AMD64)).status).toBe(0);
    expect(checkout.tools.lines().join('\n')).not.toContain('mise');
  });

  /** A mise that alone has cargo-zigbuild, and sets a compiler wrapper as the checkout's configuration does. */
  function withMise(cargo: FakeCargo = {}): { readonly checkout: FakeCheckout; readonly provided: string } {
    const checkout = new FakeCheckout(cargo);
    const { bin, directory } = checkout.tools;
    checkout.tools.addSilent('sccache');
    const provided = join(directory, 'provided by mise');
    mkdirSync(provided);
    renameSync(join(bin, 'cargo-zigbuild'), join(provided, 'cargo-zigbuild'));
    const set = JSON.stringify({ RUSTC_WRAPPER: 'sccache', PATH: `${provided}:${bin}` });
    checkout.tools.add('mise', [
      { args: ['env', '--json'], script: `printf '%s\\n' '${set}'` },
      {
        args: ['--cd', checkout.root, 'env', '--shell', 'bash'],
        script: `echo "export RUSTC_WRAPPER=sccache PATH='${provided}:${bin}'"`,
      },
    ]);
    return { checkout, provided };
  }

  test('cargo-zigbuild that only mise has is used in the environment that mise gives', async () => {
    const { checkout, provided } = withMise();
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(result.status).toBe(0);
    expect(checkout.tools.lines()).toEqual([
      'mise env --json',
      'rustc --print target-libdir',
      expect.stringMatching(/^cargo zigbuild --release/),
    ]);
    const [mise, ...others] = checkout.tools.calls();
    expect(mise?.cwd).toBe(checkout.root);
    for (const { env } of others) {
      expect(env).toMatchObject({ RUSTC_WRAPPER: 'sccache', PATH: `${provided}:${checkout.tools.bin}` });
    }
  });

  test('the dry run is pasted into a shell without any of it, and runs the same', async () => {
    const { checkout, provided } = withMise();
    const plan = await checkout.stage(['supervisor', '--dry-run'], AMD64);
    expect(plan.stdout.split('\n').slice(0, 2)).toEqual([
      `cd ${checkout.root}`,
      `eval "$(mise --cd ${checkout.root} env --shell bash)"`,
    ]);
    expect(plan.stdout).not.toContain('RUSTC_WRAPPER');
    const env = checkout.env(AMD64);
    const pasted = await runProcess('/bin/bash', ['-c', plan.stdout], { cwd: temporaryDirectory(), env });
    expect(pasted).toMatchObject({ status: 0, stderr: '' });
    expect(checkout.tools.calls().at(-1)).toMatchObject({
      tool: 'cargo',
      cwd: checkout.root,
      env: { RUSTC_WRAPPER: 'sccache', PATH: `${provided}:${checkout.tools.bin}` },
    });
  });

  test('H27: a wrapper that mise sets, and alone has, gets the recovery too', async () => {
    const { checkout, provided } = withMise(FAILING_WRAPPER);
    checkout.tools.add('sccache', [{ args: [], script: ':' }]);
    renameSync(join(checkout.tools.bin, 'sccache'), join(provided, 'sccache'));
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(result.status).toBe(0);
    expect(
      checkout.tools
        .calls()
        .slice(1)
        .map(({ tool, args, env }) => [tool, ...args.slice(0, 2), env.RUSTC_WRAPPER].join(' ')),
    ).toEqual([
      'rustc --print target-libdir sccache',
      'cargo zigbuild --release sccache',
      'sccache --stop-server sccache',
      'sccache --start-server sccache',
      'cargo zigbuild --release sccache',
      'cargo zigbuild --release ',
    ]);
    for (const line of checkout.builds()) expect(line).toContain('--release --target x86_64-unknown-linux-musl ');
  });

  test('a mise that fails is as good as no mise where nothing is missing', onlyLinux(), async () => {
    const { checkout } = withMise();
    checkout.tools.add('mise', [{ args: ['env', '--json'], script: 'echo "no such tool" >&2; exit 1' }]);
    expect((await checkout.stage(['supervisor'], { PREBUILT_ARCH: NATIVE })).status).toBe(0);
    expect(checkout.builds()).toEqual([expect.stringMatching(/^cargo build --release/)]);
  });

  test('a mise that fails is the reason where something is missing', async () => {
    const { checkout } = withMise();
    checkout.tools.add('mise', [{ args: ['env', '--json'], script: 'echo "no such tool" >&2; exit 1' }]);
    const result = await checkout.stage(['gateway'], AMD64);
    expectRefused(result, checkout);
    expect(result.stderr).toMatch(
      /^error: the gateway needs cargo-zigbuild .*; mise env --json failed: no such tool; check: mise doctor\n$/,
    );
  });
});

test('two checkouts that share a target directory have an overlay each for one version', async () => {
  const [one, two] = [new FakeCheckout(), new FakeCheckout()];
  const target = join(one.tools.directory, 'shared');
  for (const checkout of [one, two]) {
    checkout.setCargo({ metadata: { ...checkout.metadata(), target_directory: target } });
    const extra = { ...AMD64, CARGO_TARGET_DIR: target, OPENSHELL_CARGO_VERSION: '4.5.6' };
    expect((await checkout.stage(['supervisor'], extra)).status).toBe(0);
  }
  const overlays = readdirSync(join(target, 'openshell-version')).filter((name) => !name.endsWith('.lock'));
  expect(overlays).toHaveLength(2);
  for (const name of overlays) expect(name).toMatch(/^4\.5\.6-[0-9a-f]{12}$/);
});
