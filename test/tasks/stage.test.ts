// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeCheckout } from '../support/fake-rust.ts';
import { onlyLinux, onlyLinuxAmd64, requireThing } from '../support/real-tools.ts';
import { runProcess, runTaskFile, SUITE_ROOT, type TaskResult, whenSaid } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const GATEWAY_X86 =
  'cargo zigbuild --release --target x86_64-unknown-linux-gnu.2.28 -p openshell-server --bin openshell-gateway ' +
  '--features bundled-z3 --message-format=json-render-diagnostics';
const SUPERVISOR_X86 =
  'cargo zigbuild --release --target x86_64-unknown-linux-musl -p openshell-sandbox --bin openshell-sandbox ' +
  '--message-format=json-render-diagnostics';
const onAmd64 = process.arch === 'x64';
const AMD64 = { DOCKER_PLATFORM: 'linux/amd64' };

describe('what is staged', () => {
  test.each([
    [[], ['openshell-gateway', 'openshell-sandbox']],
    [['all'], ['openshell-gateway', 'openshell-sandbox']],
    [['gateway'], ['openshell-gateway']],
    [['supervisor'], ['openshell-sandbox']],
    [['sandbox'], ['openshell-sandbox']],
    [['supervisor-output'], ['openshell-sandbox']],
  ])('%j', async (args, binaries) => {
    const checkout = new FakeCheckout();
    const result = await checkout.stage(args, AMD64);
    expect(result.stderr).not.toContain('error');
    expect(result).toMatchObject({
      status: 0,
      stdout: binaries.map((binary) => `${checkout.staged('amd64', binary)}\n`).join(''),
    });
    expect(readdirSync(dirname(checkout.staged('amd64', ''))).length).toBeGreaterThan(0);
    for (const binary of binaries) {
      expect(statSync(checkout.staged('amd64', binary)).mode & 0o7777).toBe(0o755);
      expect(readFileSync(checkout.staged('amd64', binary))).toEqual(readFileSync(join(checkout.apps, 'x86_64')));
    }
    expect(readdirSync(join(checkout.staged('amd64', ''))).sort()).toEqual(binaries.toSorted());
  });

  test('the commands, in their order, in the checkout', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['all'], AMD64);
    expect(checkout.tools.lines()).toEqual(['rustc --print target-libdir', GATEWAY_X86, SUPERVISOR_X86]);
    for (const call of checkout.tools.calls()) expect(call.cwd).toBe(checkout.root);
    for (const call of checkout.tools.calls().slice(1)) expect(call.env.CARGO_INCREMENTAL).toBe('0');
  });

  test('several platforms: one cargo run each component, each binary under its architecture', async () => {
    const checkout = new FakeCheckout();
    const result = await checkout.stage(['all'], { DOCKER_PLATFORM: ' linux/amd64 ,linux/arm64, linux/amd64' });
    expect(result.status).toBe(0);
    expect(checkout.builds().map((line) => line.match(/--target \S+/g))).toEqual([
      ['--target x86_64-unknown-linux-gnu.2.28', '--target aarch64-unknown-linux-gnu.2.28'],
      ['--target x86_64-unknown-linux-musl', '--target aarch64-unknown-linux-musl'],
    ]);
    for (const binary of ['openshell-gateway', 'openshell-sandbox']) {
      expect(readFileSync(checkout.staged('amd64', binary))).toEqual(readFileSync(join(checkout.apps, 'x86_64')));
      expect(readFileSync(checkout.staged('arm64', binary))).toEqual(readFileSync(join(checkout.apps, 'aarch64')));
    }
  });

  test.each(['x86_64', 'amd64', 'aarch64', 'arm64'])('PREBUILT_ARCH=%s wins over DOCKER_PLATFORM', async (arch) => {
    const checkout = new FakeCheckout();
    const isArm = arch.startsWith('a') && arch !== 'amd64';
    const result = await checkout.stage(['supervisor'], {
      PREBUILT_ARCH: arch,
      DOCKER_PLATFORM: isArm ? 'linux/amd64' : 'linux/arm64',
    });
    expect(result.stdout).toBe(`${checkout.staged(isArm ? 'arm64' : 'amd64', 'openshell-sandbox')}\n`);
  });

  test('without either, this machine', requireThing('amd64', onAmd64), async () => {
    const checkout = new FakeCheckout();
    const result = await checkout.stage(['supervisor'], { PREBUILT_ARCH: '', DOCKER_PLATFORM: '' });
    expect(result.stdout).toBe(`${checkout.staged('amd64', 'openshell-sandbox')}\n`);
  });

  test('the gateway gets the zig compilers of every architecture, as values, in this one cargo run', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['all'], { DOCKER_PLATFORM: 'linux/amd64,linux/arm64' });
    const [gateway, supervisor] = checkout.tools.calls().filter((call) => call.args[0] === 'zigbuild');
    for (const [cpu, arch] of [
      ['x86_64', 'amd64'],
      ['aarch64', 'arm64'],
    ]) {
      for (const suffix of ['', '_2_28']) {
        const directory = join(checkout.root, 'target/zig-gnu-wrapper', String(arch));
        expect(gateway?.env[`CC_${cpu}_unknown_linux_gnu${suffix}`]).toBe(join(directory, 'cc'));
        expect(gateway?.env[`CMAKE_TOOLCHAIN_FILE_${cpu}_unknown_linux_gnu${suffix}`]).toBe(
          join(directory, 'toolchain.cmake'),
        );
      }
    }
    expect(Object.keys(supervisor?.env ?? {}).filter((name) => /^(CC|CXX|AR|CMAKE)/.test(name))).toEqual([]);
  });

  test('AM-16: what belongs to the target directory is where the configuration of cargo puts that', async () => {
    const checkout = new FakeCheckout();
    const target = temporaryDirectory();
    const stale = join(target, 'x86_64-unknown-linux-gnu/release/build/z3-sys-1/out/build');
    mkdirSync(stale, { recursive: true });
    writeFileSync(join(stale, 'CMakeCache.txt'), '/home/x/.cache/cargo-zigbuild/zigcc');
    mkdirSync(join(checkout.root, '.cargo'));
    writeFileSync(join(checkout.root, '.cargo/config.toml'), `build.target-dir = "${target}"\n`);
    const result = await checkout.stage(['gateway'], AMD64);
    expect(result.stderr).toContain(`removed a stale cmake cache: ${stale}\n`);
    expect(existsSync(stale)).toBe(false);
    expect(checkout.builds()).toHaveLength(1);
    expect(readdirSync(target)).toContain('zig-gnu-wrapper');
    expect(existsSync(join(checkout.root, 'target/zig-gnu-wrapper'))).toBe(false);
  });

  test(
    "glibc-static: plain cargo, the gnu target, crt-static after the user's own flags",
    onlyLinuxAmd64(),
    async () => {
      const checkout = new FakeCheckout();
      await checkout.stage(['supervisor'], { SUPERVISOR_LIBC: 'glibc-static', RUSTFLAGS: '-C opt-level=1' });
      await checkout.stage(['supervisor'], {
        SUPERVISOR_LIBC: 'glibc-static',
        CARGO_ENCODED_RUSTFLAGS: '-Copt-level=1',
      });
      const builds = checkout.tools.calls().filter((call) => call.args[0] === 'build');
      expect(builds.map((call) => call.args.slice(1, 4).join(' '))).toEqual(
        Array(2).fill('--release --target x86_64-unknown-linux-gnu'),
      );
      expect(builds[0]?.env.RUSTFLAGS).toBe('-C opt-level=1 -C target-feature=+crt-static');
      expect(builds[1]?.env.CARGO_ENCODED_RUSTFLAGS).toBe('-Copt-level=1\u001f-C\u001ftarget-feature=+crt-static');
    },
  );
});

describe('a second run', () => {
  test('unchanged content is left alone: same inode, same time', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['supervisor'], AMD64);
    const before = statSync(checkout.staged('amd64', 'openshell-sandbox'));
    const result = await checkout.stage(['supervisor'], AMD64);
    const after = statSync(checkout.staged('amd64', 'openshell-sandbox'));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(result.stderr).toContain('unchanged: deploy/docker/.build/prebuilt-binaries/amd64/openshell-sandbox');
  });

  test('changed content gets a new inode, so that a running sandbox keeps its old one', async () => {
    const checkout = new FakeCheckout();
    await checkout.stage(['supervisor'], AMD64);
    const before = statSync(checkout.staged('amd64', 'openshell-sandbox')).ino;
    checkout.setApp('x86_64', { payload: 100 });
    const result = await checkout.stage(['supervisor'], AMD64);
    expect(statSync(checkout.staged('amd64', 'openshell-sandbox')).ino).not.toBe(before);
    expect(result.stderr).toContain('staged: deploy/docker/');
  });

  test('AM-6: glibc-static without libc.a is refused before anything is compiled', onlyLinux(), async () => {
    const checkout = new FakeCheckout();
    checkout.tools.add('cc', [{ args: ['-print-file-name=libc.a'], script: 'echo libc.a' }]);
    const result = await checkout.stage(['all'], { SUPERVISOR_LIBC: 'glibc-static' });
    expect([result.status, result.stderr]).toEqual([
      2,
      "error: SUPERVISOR_LIBC=glibc-static: there is no libc.a (cc prints 'libc.a'); for static links install it: " +
        'libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL); or use musl\n',
    ]);
    expect(checkout.tools.lines().filter((line) => /^cargo (zig)?build/.test(line))).toEqual([]);
  });

  test('AH-4: a staging whose lock is removed while it compiles stages nothing', async () => {
    const checkout = new FakeCheckout({ before: '/bin/rm -rf "$OPENSHELL_ROOT/deploy/docker/.build"' });
    const result = await checkout.stage(['supervisor']);
    expect(result.stderr).toMatch(/^error: \S+\/\.stage\.lock was removed while it kept other runs away/m);
    expect([result.status, existsSync(checkout.staged('amd64', 'openshell-sandbox'))]).toEqual([1, false]);
  });

  test('two at once: the second waits, and says for whom', async () => {
    // The first build ends when the second staging has said that it waits.
    const checkout = new FakeCheckout({ before: 'until [[ -e $FAKE_APPS/go ]]; do /bin/sleep 0.02; done' });
    let second: Promise<TaskResult> | undefined;
    const first = await checkout.stage(['supervisor'], AMD64, {
      onStart: whenSaid('cargo zigbuild', () => {
        const onStart = whenSaid('waiting for', () => writeFileSync(join(checkout.apps, 'go'), ''));
        second = checkout.stage(['gateway'], AMD64, { onStart });
      }),
    });
    expect([first.status, (await second)?.status]).toEqual([0, 0]);
    expect((await second)?.stderr).toMatch(
      /waiting for another staging in this checkout: pid \d+ \(stage supervisor, since \d\d:\d\d:\d\d\)/,
    );
  });
});

describe('the dry run', () => {
  test('prints the plan and starts nothing but probes', async () => {
    const checkout = new FakeCheckout();
    checkout.removeTarget('x86_64-unknown-linux-musl');
    const extra = {
      ...AMD64,
      OPENSHELL_CARGO_VERSION: '1.2.3',
      EXTRA_CARGO_FEATURES: 'telemetry',
      OPENSHELL_BUILD_NOFILE_LIMIT: '2000',
    };
    const result = await checkout.stage(['--dry-run', 'supervisor'], extra);
    expect(checkout.tools.lines()).toEqual([
      'cargo metadata --format-version 1 --no-deps',
      'rustc --print target-libdir',
      'rustup which rustc',
    ]);
    const overlay = join(checkout.root, 'target/openshell-version/1.2.3');
    expect(result.stdout).toBe(`cd ${checkout.root}
rustup target add x86_64-unknown-linux-musl
# creates ${overlay}: version 1.2.3
CARGO_INCREMENTAL=0 GIT_DIR=/nonexistent CARGO_TARGET_DIR=${checkout.root}/target cargo zigbuild --release --manifest-path ${overlay}/Cargo.toml --target x86_64-unknown-linux-musl -p openshell-sandbox --bin openshell-sandbox --features telemetry --message-format=json-render-diagnostics
# stages ${checkout.staged('amd64', 'openshell-sandbox')} (after checking: machine, complete, static)
`);
    expect(existsSync(join(checkout.root, 'target'))).toBe(false);
    expect(existsSync(join(checkout.root, 'deploy'))).toBe(false);
  });

  test('shows the limit that the guard would set', async () => {
    const checkout = new FakeCheckout();
    const args = ['-c', 'ulimit -S -n 300; ulimit -H -n 1500; exec "$@"', 'bash', process.execPath];
    const task = join(SUITE_ROOT, 'tasks/stage.ts');
    const env = checkout.env({ ...AMD64, OPENSHELL_BUILD_NOFILE_GUARD: 'on', OPENSHELL_BUILD_NOFILE_LIMIT: '9000' });
    // Node raises its soft limit to the hard one, 1500, so the guard has nothing left to raise.
    const result = await runProcess('bash', [...args, task, 'supervisor', '--dry-run'], {
      cwd: checkout.root,
      env: { ...env, PATH: env.PATH ?? '' },
    });
    expect(result.stdout).toContain('\nCARGO_INCREMENTAL=0 cargo zigbuild');
    expect(result.status).toBe(0);
  });
});

describe('ways to start it', () => {
  test('from any directory, through a symlink, with the nearest checkout above', async () => {
    const checkout = new FakeCheckout();
    const elsewhere = temporaryDirectory();
    symlinkSync(join(SUITE_ROOT, 'tasks/stage.ts'), join(elsewhere, 'stage-it.ts'));
    const { OPENSHELL_ROOT: _, ...env } = checkout.env(AMD64);
    const script = join(elsewhere, 'stage-it.ts');
    const result = await runProcess(process.execPath, [script, 'supervisor'], {
      cwd: join(checkout.root, 'crates/openshell-server'),
      env,
    });
    expect(result.stdout).toBe(`${checkout.staged('amd64', 'openshell-sandbox')}\n`);
  });

  test.each([[['tasks/stage.ts', 'supervisor']], [['--quiet', './tasks/stage.ts', 'supervisor']]])(
    'zx %j',
    async (args) => {
      const checkout = new FakeCheckout();
      const zx = join(SUITE_ROOT, 'node_modules/zx/build/cli.js');
      const result = await runProcess(process.execPath, [zx, ...args], { cwd: SUITE_ROOT, env: checkout.env(AMD64) });
      expect(result).toMatchObject({ status: 0, stdout: `${checkout.staged('amd64', 'openshell-sandbox')}\n` });
    },
  );

  test('zx tasks/stage.ts --help is the help of the task, not of zx', async () => {
    const zx = join(SUITE_ROOT, 'node_modules/zx/build/cli.js');
    const result = await runProcess(process.execPath, [zx, 'tasks/stage.ts', '--help'], {
      cwd: SUITE_ROOT,
      env: { PATH: process.env.PATH ?? '' },
    });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain('Usage: tasks/stage.ts [options] [target]');
  });

  test('--help works without a checkout, a PATH, or a right environment', async () => {
    const result = await runTaskFile('stage', ['bogus', '--help'], {
      cwd: '/',
      env: { CI: 'maybe', SUPERVISOR_LIBC: 'x' },
    });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    for (const name of ['PREBUILT_ARCH', 'DOCKER_PLATFORM', 'OPENSHELL_CARGO_VERSION', '--dry-run'])
      expect(result.stdout).toContain(name);
  });
});

describe('L6: one line, exit 2, before anything is built', () => {
  test.each<[string, string[], Record<string, string>, string | RegExp]>([
    [
      'an unknown target',
      ['bogus'],
      {},
      "target is 'bogus'; allowed are all, gateway, supervisor, sandbox, supervisor-output",
    ],
    ['two targets', ['gateway', 'supervisor'], {}, "unexpected argument 'supervisor'"],
    ['an unknown flag', ['--dryrun'], {}, "unknown option '--dryrun'; allowed are --dry-run, --help"],
    [
      'a platform',
      [],
      { DOCKER_PLATFORM: 'linux/386' },
      "DOCKER_PLATFORM is 'linux/386': 'linux/386' is not supported; allowed is a comma list of linux/amd64 and linux/arm64",
    ],
    ['one platform of two', [], { DOCKER_PLATFORM: 'linux/amd64,linux/386' }, "'linux/386' is not supported"],
    ['a comma', [], { DOCKER_PLATFORM: ',' }, "DOCKER_PLATFORM is ',': an entry is empty"],
    ['blanks', [], { DOCKER_PLATFORM: '  ' }, 'an entry is empty'],
    ['another case', [], { DOCKER_PLATFORM: 'Linux/AMD64' }, "'Linux/AMD64' is not supported"],
    [
      'a platform that PREBUILT_ARCH would win over',
      [],
      { PREBUILT_ARCH: 'amd64', DOCKER_PLATFORM: 'x' },
      "DOCKER_PLATFORM is 'x'",
    ],
    [
      'an architecture',
      [],
      { PREBUILT_ARCH: 'riscv64' },
      "PREBUILT_ARCH is 'riscv64'; allowed are x86_64, amd64, aarch64, arm64",
    ],
    ['a libc', ['gateway'], { SUPERVISOR_LIBC: 'glibc' }, "SUPERVISOR_LIBC is 'glibc'; allowed are musl, glibc-static"],
    [
      'a version',
      [],
      { OPENSHELL_CARGO_VERSION: '1.2' },
      "OPENSHELL_CARGO_VERSION is '1.2'; allowed is a semantic version",
    ],
    [
      'a limit',
      [],
      { OPENSHELL_BUILD_NOFILE_LIMIT: 'lots' },
      "OPENSHELL_BUILD_NOFILE_LIMIT is 'lots'; allowed is a whole number of at least 1",
    ],
    ['a guard mode', [], { OPENSHELL_BUILD_NOFILE_GUARD: 'maybe' }, "OPENSHELL_BUILD_NOFILE_GUARD is 'maybe'"],
    ['a checkout', [], { OPENSHELL_ROOT: '/' }, "OPENSHELL_ROOT is '/', which is not an OpenShell checkout"],
    [
      'a feature',
      ['supervisor'],
      { EXTRA_CARGO_FEATURES: 'bundled-z3' },
      "EXTRA_CARGO_FEATURES has 'bundled-z3', which is no feature of openshell-sandbox; allowed are bundled-ca-roots, default, telemetry",
    ],
    ['zig', ['gateway'], { ZIG: './no-zig' }, "ZIG is './no-zig', which is not an executable program"],
    [
      'glibc-static for another machine',
      ['supervisor'],
      { SUPERVISOR_LIBC: 'glibc-static', PREBUILT_ARCH: onAmd64 ? 'arm64' : 'amd64' },
      /SUPERVISOR_LIBC=glibc-static cannot be built for \w+ here/,
    ],
  ])('%s', async (_, args, extra, message) => {
    const checkout = new FakeCheckout();
    const result = await checkout.stage(args, extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^(\$ cargo metadata[^\n]*\n)?error: [^\n]+\n$/);
    expect(result.stderr).toMatch(
      message instanceof RegExp ? message : new RegExp(message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')),
    );
    expect(checkout.builds()).toEqual([]);
    expect(existsSync(join(checkout.root, 'deploy'))).toBe(false);
  });

  test('a hostile value stays on one line', async () => {
    const checkout = new FakeCheckout();
    const result = await checkout.stage(['gate\nway\u001b[2J']);
    expect(result.stderr).toBe(
      "error: target is 'gate\\nway\\x1b[2J'; allowed are all, gateway, supervisor, sandbox, supervisor-output; see tasks/stage.ts --help\n",
    );
  });

  test.each([
    [['cargo'], 'cargo is not on PATH and mise does not have it; install Rust'],
    [['cargo-zigbuild'], 'the gateway needs cargo-zigbuild to link for glibc 2.28; install it'],
    [['zig'], 'the gateway needs zig to link for glibc 2.28; install it'],
  ])('without %j', async (missing, message) => {
    const checkout = new FakeCheckout();
    for (const name of missing) writeFileSync(join(checkout.tools.bin, name), '', { mode: 0o644 });
    for (const name of missing) symlinkOver(join(checkout.tools.bin, name));
    const result = await checkout.stage(['gateway'], AMD64);
    expect(result).toMatchObject({ status: 2, stderr: expect.stringContaining(`error: ${message}`) });
    expect(checkout.builds()).toEqual([]);
  });
});

test('AR-1: a cargo-zigbuild that finds no zig is found out before anything is compiled', async () => {
  const checkout = new FakeCheckout();
  symlinkOver(join(checkout.tools.bin, 'zig'));
  checkout.tools.add('cargo-zigbuild', [
    { args: ['zig', 'ar', '--', '--version'], script: 'echo "Error: Failed to find zig" >&2; exit 1' },
  ]);
  const result = await checkout.stage(['supervisor'], AMD64);
  expect(result.status).toBe(2);
  expect(result.stderr).toMatch(/^error: cargo-zigbuild has no zig \(Error: Failed to find zig\); install it \(mise/m);
  expect(checkout.builds()).toEqual([]);
});

/** Makes a program impossible to find: a broken link is not a program. */
function symlinkOver(path: string): void {
  writeFileSync(path, '');
  const { rmSync } = process.getBuiltinModule('node:fs');
  rmSync(path);
  symlinkSync('/nowhere', path);
}

test('R17: the .env of the checkout counts for cargo, and is said; the result is all that is on stdout', async () => {
  const checkout = new FakeCheckout();
  writeFileSync(join(checkout.root, '.env'), 'CARGO_BUILD_JOBS=3\nDOCKER_PLATFORM=linux/arm64\nSCCACHE_BUCKET=b\n');
  const result = await checkout.stage(['supervisor'], { DOCKER_PLATFORM: 'linux/amd64' });
  expect(result.stderr).toContain(`${checkout.root}/.env sets CARGO_BUILD_JOBS, SCCACHE_BUCKET\n`);
  expect(result).toMatchObject({ status: 0, stdout: `${checkout.staged('amd64', 'openshell-sandbox')}\n` });
  const [cargo] = checkout.tools.calls().filter(({ tool }) => tool === 'cargo');
  expect(cargo?.env).toMatchObject({ CARGO_BUILD_JOBS: '3', SCCACHE_BUCKET: 'b' });
});
