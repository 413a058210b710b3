// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { contentDefect, readContent } from '../../../lib/zstd/decompress.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { type FakeCargo, FakeCheckout } from '../../support/fake-rust.ts';
import { onlyLinuxAmd64, requireTools } from '../../support/real-tools.ts';
import { runTaskFile, SUITE_ROOT, type TaskOptions, type TaskResult, whenSaid } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const X86_64 = 62;
const GNU_X86 =
  'cargo zigbuild --release --target x86_64-unknown-linux-gnu -p openshell-sandbox --bin openshell-sandbox ' +
  '--message-format=json-render-diagnostics';
const isLinuxAmd64 = process.platform === 'linux' && process.arch === 'x64';
/** Cargo's part is over at once; the compression of this takes a while. */
const SLOW_BYTES = 24_000_000;

class VmCheckout extends FakeCheckout {
  readonly directory: string;
  readonly bundle: string;

  constructor(cargo: FakeCargo = {}) {
    super(cargo);
    this.directory = join(this.root, 'target/vm-runtime-compressed');
    this.bundle = join(this.directory, 'openshell-sandbox.zst');
  }

  run(
    args: readonly string[] = [],
    extra: Readonly<Record<string, string>> = {},
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    const env = this.env({ GUEST_ARCH: 'amd64', ...extra });
    return runTaskFile('vm/build-supervisor-bundle', args, { cwd: this.root, env, ...options });
  }

  /** What is in the directory besides the lock. */
  files(): string[] {
    return readdirSync(this.directory).filter((name) => !name.endsWith('.lock'));
  }

  app(cpu: 'x86_64' | 'aarch64' = 'x86_64'): string {
    return join(this.apps, cpu);
  }

  /** A binary that takes seconds to compress. */
  setSlowApp(): void {
    this.setApp('x86_64', Buffer.concat([buildElf({ machine: X86_64 }).bytes, randomBytes(SLOW_BYTES)]));
  }

  removeTools(...names: readonly string[]): void {
    for (const name of names) rmSync(join(this.tools.bin, name));
  }
}

/** Sends a signal as soon as something is being compressed. */
function signalWhenCompressing(checkout: VmCheckout, signal: NodeJS.Signals): (child: ChildProcess) => void {
  return (child) => {
    const timer = setInterval(() => {
      const isWriting =
        existsSync(checkout.directory) && readdirSync(checkout.directory).some((name) => name.endsWith('.tmp'));
      if (isWriting || child.exitCode !== null) clearInterval(timer);
      if (isWriting) child.kill(signal);
    }, 5);
  };
}

describe('a bundle', () => {
  test('holds what cargo built, readable for all, as the one result', async () => {
    const checkout = new VmCheckout();
    const result = await checkout.run();
    expect(result).toMatchObject({ status: 0, stdout: `${checkout.bundle}\n` });
    expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
    expect(statSync(checkout.bundle).mode & 0o7777).toBe(0o644);
    expect(checkout.files()).toEqual(['openshell-sandbox.zst']);
    expect(result.stderr).toMatch(
      /bundled: openshell-sandbox\.zst \(x86_64-unknown-linux-gnu; x86-64, complete, static; 1 of 1 crates compiled\)\ndone: supervisor [\d.]+ s, compression [\d.]+ s\n$/,
    );
  });

  test('BSB-2, H28: cargo runs in the checkout, wherever the task was started', async () => {
    const checkout = new VmCheckout();
    expect((await checkout.run([], {}, { cwd: temporaryDirectory() })).status).toBe(0);
    expect(checkout.tools.lines()).toEqual(['rustc --print target-libdir', GNU_X86]);
    for (const call of checkout.tools.calls()) expect(call.cwd).toBe(checkout.root);
  });

  test.each([
    [['--arch', 'arm64'], {}, 'aarch64'],
    [['--arch=aarch64'], {}, 'aarch64'],
    [['--arch', 'x86_64'], { GUEST_ARCH: 'aarch64' }, 'x86_64'],
    [[], { GUEST_ARCH: 'arm64' }, 'aarch64'],
  ] as const)('H25: %j with %j is built for that machine', async (args, extra, cpu) => {
    const checkout = new VmCheckout();
    expect((await checkout.run(args, extra)).status).toBe(0);
    expect(checkout.builds()[0]).toContain(`--target ${cpu}-unknown-linux-gnu `);
    expect(contentDefect(checkout.bundle, checkout.app(cpu))).toBeUndefined();
  });

  test('without zigbuild, this machine builds for its own kind with cargo alone', onlyLinuxAmd64(), async () => {
    const checkout = new VmCheckout();
    checkout.removeTools('cargo-zigbuild');
    expect((await checkout.run()).status).toBe(0);
    expect(checkout.builds()).toEqual([GNU_X86.replace('zigbuild', 'build')]);
  });

  test('C18: with SUPERVISOR_LIBC=musl it is static and verified, as staging does it', async () => {
    const checkout = new VmCheckout();
    expect((await checkout.run([], { SUPERVISOR_LIBC: 'musl' })).status).toBe(0);
    expect(checkout.builds()[0]).toContain('--target x86_64-unknown-linux-musl ');
    const before = readFileSync(checkout.bundle);
    checkout.setApp('x86_64', 'dynamic');
    const result = await checkout.run([], { SUPERVISOR_LIBC: 'musl' });
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('dynamically linked');
    expect(readFileSync(checkout.bundle)).toEqual(before);
  });

  test.each([
    ['for another machine', buildElf({ machine: 183 }).bytes, 'is for aarch64, wanted amd64'],
    ['cut off', buildElf({ machine: X86_64, payload: 9000 }).bytes.subarray(0, 5000), 'what was built cannot be used'],
    ['not a binary', Buffer.from('#!/bin/sh\n'), 'what was built cannot be used'],
  ])('C18: what cargo built is %s: refused, and the old bundle stays', async (_, bytes, message) => {
    const checkout = new VmCheckout();
    await checkout.run();
    const before = statSync(checkout.bundle);
    checkout.setApp('x86_64', bytes);
    const result = await checkout.run();
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toContain(message);
    expect(statSync(checkout.bundle)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs, size: before.size });
  });

  test.each(['CARGO_TARGET_DIR', 'the default'])(
    'C6: %s: the binary of this run, not one of an earlier',
    async (name) => {
      const checkout = new VmCheckout();
      await checkout.run();
      checkout.setApp('x86_64', { payload: 500 });
      const extra = name === 'CARGO_TARGET_DIR' ? { [name]: join(temporaryDirectory(), 'elsewhere') } : {};
      expect((await checkout.run([], extra)).status).toBe(0);
      expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
    },
  );

  test('features and a stamped version are passed on as in staging', async () => {
    const checkout = new VmCheckout();
    const extra = { EXTRA_CARGO_FEATURES: 'bundled-ca-roots', OPENSHELL_CARGO_VERSION: '9.8.7' };
    expect((await checkout.run([], extra)).status).toBe(0);
    expect(checkout.builds()[0]).toContain('--features bundled-ca-roots');
    expect(checkout.builds()[0]).toContain(`--manifest-path ${checkout.root}/target/openshell-version/`);
    expect(await checkout.run([], { EXTRA_CARGO_FEATURES: 'bundled-z3' })).toMatchObject({ status: 2 });
  });
});

describe('a second run', () => {
  test('C22: runs cargo again, and leaves a bundle with this content alone', async () => {
    const checkout = new VmCheckout();
    await checkout.run();
    const before = statSync(checkout.bundle);
    const directory = statSync(checkout.directory);
    const result = await checkout.run();
    expect(checkout.builds()).toHaveLength(2);
    expect(result.stderr).toContain('unchanged: openshell-sandbox.zst');
    expect(result.stderr).not.toContain('compression');
    expect(statSync(checkout.bundle)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
    // Cargo looks at the directory's time, too: the driver must not be built again for nothing.
    expect(statSync(checkout.directory).mtimeMs).toBe(directory.mtimeMs);
  });

  test('C22: a new binary gives a new bundle; a reader keeps the old inode', async () => {
    const checkout = new VmCheckout();
    await checkout.run();
    const before = statSync(checkout.bundle).ino;
    checkout.setApp('x86_64', { payload: 100 });
    expect((await checkout.run()).stderr).toContain('bundled: ');
    expect(statSync(checkout.bundle).ino).not.toBe(before);
    expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
  });

  test('BSB-4: a bundle of the bash task, whole and of this content, stays, but for its mode', async () => {
    const checkout = new VmCheckout();
    mkdirSync(checkout.directory, { recursive: true });
    writeFileSync(checkout.bundle, zstdCompressSync(readFileSync(checkout.app())));
    chmodSync(checkout.bundle, 0o755);
    const before = readFileSync(checkout.bundle);
    expect((await checkout.run()).stderr).toContain('unchanged: ');
    expect(readFileSync(checkout.bundle)).toEqual(before);
    expect(statSync(checkout.bundle).mode & 0o7777).toBe(0o644);
  });

  test.each([
    ['empty', () => Buffer.alloc(0)],
    ['cut off', (bytes: Buffer) => bytes.subarray(0, -5)],
    ['damaged', (bytes: Buffer) => Buffer.from(bytes.map((byte, at) => (at === bytes.length - 9 ? byte ^ 255 : byte)))],
    ['not a zstd file', () => Buffer.from('junk')],
  ])('C22: one that is %s is written again', async (_, change) => {
    const checkout = new VmCheckout();
    await checkout.run();
    writeFileSync(checkout.bundle, change(readFileSync(checkout.bundle)));
    expect((await checkout.run()).stderr).toContain('bundled: ');
    expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
  });

  test('a link in its place is replaced, not written through', async () => {
    const checkout = new VmCheckout();
    mkdirSync(checkout.directory, { recursive: true });
    const victim = join(temporaryDirectory(), 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, checkout.bundle);
    expect((await checkout.run()).status).toBe(0);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
  });
});

describe('interrupted', () => {
  test('C22: SIGKILL during the compression leaves no bundle that looks like one; a normal run works', async () => {
    const checkout = new VmCheckout();
    checkout.setSlowApp();
    const killed = await checkout.run([], {}, { onStart: signalWhenCompressing(checkout, 'SIGKILL') });
    expect(killed.signal).toBe('SIGKILL');
    expect(existsSync(checkout.bundle)).toBe(false);
    expect(checkout.files()).toEqual([expect.stringMatching(/^\.openshell-sandbox\.zst\.\d+\.tmp$/)]);
    checkout.setApp('x86_64', {});
    expect((await checkout.run()).status).toBe(0);
    expect(checkout.files()).toEqual(['openshell-sandbox.zst']);
    expect(contentDefect(checkout.bundle, checkout.app())).toBeUndefined();
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('H26: %s during the compression: nothing is left, the old bundle stays', async (signal, status) => {
    const checkout = new VmCheckout();
    await checkout.run();
    const before = readFileSync(checkout.bundle);
    checkout.setSlowApp();
    const result = await checkout.run([], {}, { onStart: signalWhenCompressing(checkout, signal) });
    expect(result).toMatchObject({ status, stdout: '' });
    expect(checkout.files()).toEqual(['openshell-sandbox.zst']);
    expect(readFileSync(checkout.bundle)).toEqual(before);
  });

  test("H26: cargo's own output is shown as it comes, all of it, and no log is left", async () => {
    const checkout = new VmCheckout({ before: 'for i in {1..500}; do echo "warning: number $i" >&2; done' });
    const temporary = temporaryDirectory();
    const result = await checkout.run([], { TMPDIR: temporary });
    expect(result.stderr.match(/^warning: number \d+$/gm)).toHaveLength(500);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("a failed build gives cargo's own status, and the bundle stays", async () => {
    const checkout = new VmCheckout();
    await checkout.run();
    const before = readFileSync(checkout.bundle);
    checkout.setCargo({ before: 'exit 101' });
    expect(await checkout.run()).toMatchObject({ status: 101, stdout: '' });
    expect(readFileSync(checkout.bundle)).toEqual(before);
  });

  test('H27: when the compiler wrapper fails, and not the build, it is tried again, without it at last', async () => {
    const checkout = new VmCheckout({
      before: '[[ -n $RUSTC_WRAPPER ]] && { echo "sccache: encountered fatal error" >&2; exit 101; }',
    });
    checkout.tools.addSilent('sccache');
    expect((await checkout.run([], { RUSTC_WRAPPER: 'sccache' })).status).toBe(0);
    expect(checkout.builds()).toHaveLength(3);
  });

  test('two at once: the second waits, says for whom, and finds nothing to do', async () => {
    // The first build ends when the second run has said that it waits.
    const checkout = new VmCheckout({ before: 'until [[ -e $FAKE_APPS/go ]]; do /bin/sleep 0.02; done' });
    const onStart = whenSaid('waiting for', () => writeFileSync(join(checkout.apps, 'go'), ''));
    const results = await Promise.all([checkout.run([], {}, { onStart }), checkout.run([], {}, { onStart })]);
    expect(results.map(({ status }) => status)).toEqual([0, 0]);
    const said = results.map(({ stderr }) => stderr);
    expect(
      said.filter((text) => /waiting for another bundle or setup for the same place: pid \d+/.test(text)),
    ).toHaveLength(1);
    expect(said.filter((text) => text.includes('unchanged: '))).toHaveLength(1);
  });
});

describe('where nothing can be built', () => {
  const written = new Date(2026, 2, 4, 5, 6);

  async function bundled(): Promise<VmCheckout> {
    const checkout = new VmCheckout();
    await checkout.run();
    utimesSync(checkout.bundle, written, written);
    return checkout;
  }

  test('no cargo: an existing bundle is used, with its date', async () => {
    const checkout = await bundled();
    checkout.removeTools('cargo');
    const result = await checkout.run();
    expect(result).toMatchObject({ status: 0, stdout: `${checkout.bundle}\n` });
    expect(result.stderr).toMatch(
      /^warning: the VM's supervisor is the one of 2026-03-04 05:06, and may be old: cargo is not on PATH[^\n]+\nunchanged: [^\n]+\n$/,
    );
  });

  test('no zigbuild for a foreign guest: the same, for that guest', async () => {
    const checkout = new VmCheckout();
    const foreign = isLinuxAmd64 ? 'arm64' : 'amd64';
    await checkout.run(['--arch', foreign]);
    checkout.removeTools('cargo-zigbuild');
    const result = await checkout.run(['--arch', foreign]);
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(`the supervisor for ${foreign} cannot be built here without cargo-zigbuild`);
  });

  test('a Rust target that cannot be installed: the same', async () => {
    const checkout = await bundled();
    const add = { args: ['target', 'add'], script: 'echo "could not download" >&2; exit 1' };
    checkout.removeTarget('x86_64-unknown-linux-gnu', [add]);
    const result = await checkout.run();
    expect(result.status).toBe(0);
    expect(result.stderr).toContain("warning: the VM's supervisor is the one of 2026-03-04 05:06");
    expect(checkout.builds()).toHaveLength(1);
  });

  test.each([
    ['absent', (checkout: VmCheckout) => rmSync(checkout.bundle), 'does not exist'],
    [
      'cut off',
      (checkout: VmCheckout) => writeFileSync(checkout.bundle, readFileSync(checkout.bundle).subarray(0, -1)),
      'cannot be used (cut off)',
    ],
    [
      'not a program',
      (checkout: VmCheckout) => writeFileSync(checkout.bundle, zstdCompressSync('text')),
      'cannot be used (',
    ],
    [
      'for another machine',
      (checkout: VmCheckout) => writeFileSync(checkout.bundle, zstdCompressSync(readFileSync(checkout.app('aarch64')))),
      'cannot be used (its content: is for aarch64',
    ],
  ])('no cargo, and a bundle that is %s: one line, and nothing else', async (_, change, message) => {
    const checkout = await bundled();
    checkout.removeTools('cargo');
    change(checkout);
    const result = await checkout.run();
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: cargo is not on PATH [^\n]+\n$/);
    expect(result.stderr).toContain(message);
  });

  test('SUPERVISOR_LIBC=musl needs more of it than a dynamic one can give', async () => {
    const checkout = new VmCheckout();
    checkout.setApp('x86_64', 'dynamic');
    await checkout.run();
    checkout.removeTools('cargo');
    expect((await checkout.run()).status).toBe(0);
    expect((await checkout.run([], { SUPERVISOR_LIBC: 'musl' })).status).toBe(2);
  });

  test('a wrong value is not excused by a bundle', async () => {
    const checkout = await bundled();
    expect((await checkout.run([], { EXTRA_CARGO_FEATURES: 'nonsense' })).status).toBe(2);
  });
});

describe('arguments', () => {
  test.each([
    [['--arch'], '--arch needs a value: --arch ARCH'],
    [['--arch='], '--arch needs a value'],
    [['--arch', 'mips'], "--arch is 'mips'; allowed are aarch64, arm64, x86_64, amd64"],
    [['--force'], "unknown option '--force'"],
    [['word'], "unexpected argument 'word'"],
  ])('L5, L6, BSB-3: %j is one line and exit 2, and nothing is started', async (args, message) => {
    const checkout = new VmCheckout();
    const result = await checkout.run(args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('BSB-1: no zstd program is needed', async () => {
    const checkout = new VmCheckout();
    await checkout.run();
    expect(readContent(checkout.bundle).length).toBeGreaterThan(0);
    expect(readdirSync(checkout.tools.bin)).not.toContain('zstd');
  });

  test('a dry run prints what would run, and starts nothing but probes', async () => {
    const checkout = new VmCheckout();
    const result = await checkout.run(['--dry-run']);
    expect(result.stdout).toBe(
      `cd ${checkout.root}\nCARGO_INCREMENTAL=0 ${GNU_X86}\n` +
        `# compresses it to ${checkout.bundle} where its content is new (after checking: machine, complete)\n`,
    );
    expect(checkout.tools.lines()).toEqual(['rustc --print target-libdir']);
    expect(existsSync(join(checkout.root, 'target'))).toBe(false);
    checkout.removeTools('cargo-zigbuild', 'cargo');
    const missing = await checkout.run(['--dry-run']);
    expect(missing.status, missing.stderr).toBe(0);
    expect(missing.stdout).toMatch(/^# .*cargo is not on PATH/);
    expect((await checkout.run([])).status).toBe(2);
  });

  test('L11: a relative directory is relative to where the task was started; one that cannot be is said', async () => {
    const checkout = new VmCheckout();
    const start = temporaryDirectory();
    const result = await checkout.run([], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'out' }, { cwd: start });
    expect(result.stdout).toBe(`${join(start, 'out/openshell-sandbox.zst')}\n`);
    writeFileSync(join(start, 'file'), '');
    const refused = await checkout.run([], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'file' }, { cwd: start });
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^error: [^\n]*\/file cannot be written: it is not a directory[^\n]*\n$/);
    expect(checkout.builds()).toHaveLength(1);
  });
});

const strace = requireTools('strace');
test('cost: at most 7 programs', strace.options, async () => {
  const checkout = new VmCheckout();
  const log = join(dirname(checkout.apps), 'trace');
  const args = ['-f', '-qq', '-e', 'trace=execve', '-e', 'status=successful', '-o', log, process.execPath];
  execFileSync(strace.path('strace'), [...args, join(SUITE_ROOT, 'tasks/vm/build-supervisor-bundle.ts')], {
    cwd: checkout.root,
    env: checkout.env({ GUEST_ARCH: 'amd64' }),
    stdio: 'ignore',
  });
  const started = readFileSync(log, 'utf8').match(/execve\("[^"]+"/g) ?? [];
  // What the fake cargo starts to drop a binary is its own affair; a real one does not.
  expect(started.filter((call) => !/"\/bin\/(mkdir|rm|cp)"/.test(call)).length).toBeLessThanOrEqual(7);
});
