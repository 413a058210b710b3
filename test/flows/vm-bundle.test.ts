// SPDX-License-Identifier: Apache-2.0

/** The bundle with real cargo on the miniature, and the driver that embeds it. */

import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectExecutable, inspectStatic } from '../../lib/elf/verify.ts';
import { runtimeDefects, runtimeFiles, runtimeNames } from '../../lib/vm/runtime-files.ts';
import { makeMiniature } from '../support/miniature.ts';
import { onlyLinuxAmd64, requireTools } from '../support/real-tools.ts';
import { runProcess, runTaskFile, type TaskResult } from '../support/run-task.ts';
import { runtimePart } from '../support/runtime-parts.ts';

const BUILD_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 10_000;
const tools = requireTools('cargo', 'rustup', 'zigbuild', 'zig', 'zstd', 'musl-x86_64', 'gnu-x86_64', 'gnu-aarch64');
const runsHere = process.platform === 'linux' && process.arch === 'x64';

describe('a real bundle', tools.options, () => {
  let directory = '';
  let root = '';
  let runtime = '';
  let bundle = '';

  beforeAll(() => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'vm-bundle-'));
    root = makeMiniature({ at: join(directory, 'checkout') }).root;
    runtime = join(root, 'target/vm-runtime-compressed');
    bundle = join(runtime, 'openshell-sandbox.zst');
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function run(args: readonly string[], extra: Record<string, string> = {}): Promise<TaskResult> {
    const env = { ...tools.env, OPENSHELL_ROOT: root, ...extra };
    return runTaskFile('vm/build-supervisor-bundle', args, { cwd: directory, env });
  }

  /** The supervisor in the bundle, as the zstd program takes it out. */
  function unpacked(name: string): string {
    const path = join(directory, name);
    execFileSync(tools.path('zstd'), ['-d', '-q', '-f', bundle, '-o', path]);
    chmodSync(path, 0o755);
    return path;
  }

  /** Builds the driver with the runtime's directory; what is embedded was read then. */
  async function buildDriver(): Promise<TaskResult> {
    const env = { ...tools.env, OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: runtime };
    return runProcess('cargo', ['build', '-p', 'openshell-driver-vm'], { cwd: root, env });
  }

  /** What the driver says until it listens, or ends. */
  async function startDriver(): Promise<string> {
    const args = ['--bind-socket', join(directory, 'driver.sock'), '--allow-same-uid-peer'];
    const env = { ...tools.env, OPENSHELL_GRPC_ENDPOINT: 'http://127.0.0.1:1' };
    const child = spawn(join(root, 'target/debug/openshell-driver-vm'), args, { env });
    let said = '';
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, START_TIMEOUT_MS);
      const hear = (text: string) => {
        said += text;
        if (/openshell-sandbox\.zst[\s\S]*umoci\.zst[^\n]*\n/.test(said)) setTimeout(resolve, 300);
      };
      child.stdout.setEncoding('utf8').on('data', hear);
      child.stderr.setEncoding('utf8').on('data', hear);
      child.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    if (child.exitCode === null) child.kill('SIGKILL');
    else said += `\nended with ${child.exitCode}`;
    return said;
  }

  test('for this machine: dynamic, and it runs', { timeout: BUILD_TIMEOUT_MS }, async () => {
    const result = await run(['--arch', 'x86_64']);
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `${bundle}\n` });
    const supervisor = unpacked('supervisor');
    expect(inspectExecutable(supervisor, { machine: 'amd64' })).toMatchObject({ ok: true, facts: { kind: 'dynamic' } });
    expect(
      execFileSync('cmp', [supervisor, join(root, 'target/x86_64-unknown-linux-gnu/release/openshell-sandbox')]),
    ).toHaveLength(0);
    if (runsHere) expect(execFileSync(supervisor, ['--version'], { encoding: 'utf8' })).toMatch(/openshell-sandbox /);
  });

  test('nothing changed: the bundle and its directory are as they were', { timeout: BUILD_TIMEOUT_MS }, async () => {
    const before = [statSync(bundle), statSync(runtime)].map(({ mtimeMs, ino }) => ({ mtimeMs, ino }));
    const result = await run(['--arch', 'x86_64']);
    expect(result.stderr).toContain('unchanged: ');
    expect([statSync(bundle), statSync(runtime)].map(({ mtimeMs, ino }) => ({ mtimeMs, ino }))).toEqual(before);
  });

  test('C22: the driver embeds it, and the new one after an edit', {
    ...onlyLinuxAmd64(tools.options),
    timeout: BUILD_TIMEOUT_MS,
  }, async () => {
    expect(runtimeDefects(runtime, 'linux-x86_64').map(({ name }) => name)).toEqual(runtimeFiles('linux-x86_64'));
    mkdirSync(runtime, { recursive: true });
    for (const name of runtimeNames('linux-x86_64')) {
      writeFileSync(join(runtime, `${name}.zst`), zstdCompressSync(runtimePart('linux-x86_64', name)));
    }
    expect(runtimeDefects(runtime, 'linux-x86_64')).toEqual([]);
    expect(await buildDriver()).toMatchObject({ status: 0 });
    const size = statSync(bundle).size;
    const said = await startDriver();
    expect(said).toContain(`openshell-sandbox.zst: ${size} bytes`);
    expect(said).not.toContain('ended with');
    appendFileSync(
      join(root, 'crates/openshell-sandbox/src/main.rs'),
      '\n#[used]\nstatic CHANGED: [u8; 5000] = [7; 5000];\n',
    );
    expect((await run(['--arch', 'x86_64'])).stderr).toContain('bundled: ');
    expect(await buildDriver()).toMatchObject({ status: 0 });
    expect(await startDriver()).toContain(`openshell-sandbox.zst: ${statSync(bundle).size} bytes`);
  });

  test('for the other machine, and static where that is wanted', { timeout: BUILD_TIMEOUT_MS }, async () => {
    const foreign = await run([], { GUEST_ARCH: 'aarch64' });
    expect(foreign, foreign.stderr).toMatchObject({ status: 0 });
    expect(inspectExecutable(unpacked('foreign'), { machine: 'arm64' })).toMatchObject({ ok: true });
    const fixed = await run(['--arch=amd64'], { SUPERVISOR_LIBC: 'musl' });
    expect(fixed, fixed.stderr).toMatchObject({ status: 0 });
    expect(inspectStatic(unpacked('static'), { machine: 'amd64' })).toMatchObject({ ok: true });
    expect(readdirSync(runtime).filter((name) => name.includes('sandbox'))).toEqual(['openshell-sandbox.zst']);
  });

  test('a stamped version is in it, and the checkout is not touched', { timeout: BUILD_TIMEOUT_MS }, async () => {
    expect((await run(['--arch=amd64'], { OPENSHELL_CARGO_VERSION: '9.8.7-test.1' })).status).toBe(0);
    if (runsHere)
      expect(execFileSync(unpacked('stamped'), ['--version'], { encoding: 'utf8' })).toContain('9.8.7-test.1');
  });
});
