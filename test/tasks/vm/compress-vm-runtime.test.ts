// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runtimeDefects } from '../../../lib/vm/runtime-files.ts';
import { readContent } from '../../../lib/zstd/decompress.ts';
import { FakeRuntime, PATHS, runtimeArchive, runtimeContents } from '../../support/fake-runtime.ts';
import { runtimePart, textOfPart } from '../../support/runtime-parts.ts';

const textOf = (directory: string, name: string) => textOfPart(readContent(join(directory, name)));

describe('an archive', () => {
  test('CMP-9: also one for macOS on Linux; what is the same is not compressed again', async () => {
    const fake = await FakeRuntime.start();
    const path = join(fake.root, 'vm-runtime-darwin-aarch64.tar.zst');
    const contents = runtimeContents('darwin-aarch64');
    writeFileSync(path, runtimeArchive('darwin-aarch64', contents));
    const env = { VM_RUNTIME_TARBALL: 'vm-runtime-darwin-aarch64.tar.zst' };
    const first = await fake.run('compress-vm-runtime', [], env);
    expect(first, first.stderr).toMatchObject({ status: 0, stdout: `${fake.directory}\n` });
    expect(runtimeDefects(fake.directory, 'darwin-aarch64')).toEqual([]);
    expect(statSync(join(fake.directory, 'gvproxy.zst')).mode & 0o777).toBe(0o644);
    const before = readdirSync(fake.directory).map((name) => statSync(join(fake.directory, name)).mtimeMs);
    const second = await fake.run('compress-vm-runtime', [], env);
    expect(second.stderr).toMatch(/^unchanged: \S+vm-runtime-compressed for darwin-aarch64; verified: no$/m);
    expect(readdirSync(fake.directory).map((name) => statSync(join(fake.directory, name)).mtimeMs)).toEqual(before);
    contents.set('umoci', runtimePart('darwin-aarch64', 'umoci', 'another umoci'));
    writeFileSync(path, runtimeArchive('darwin-aarch64', contents));
    const third = await fake.run('compress-vm-runtime', [], env);
    expect(third.stderr).toMatch(/^==> compression of umoci \(/m);
    expect(fake.server.requests).toEqual([]);
  });

  test('without umoci: that of the platform is added, verified', async () => {
    const fake = await FakeRuntime.start();
    const contents = runtimeContents('linux-aarch64');
    contents.delete('umoci');
    writeFileSync(join(fake.root, 'x.tar.zst'), runtimeArchive('linux-aarch64', contents));
    fake.server.add(PATHS.umoci('arm64'), 'umoci by its second name');
    fake.record(PATHS.umoci('arm64'), 'umoci by its second name');
    const env = { VM_RUNTIME_TARBALL: 'x.tar.zst', VM_RUNTIME_PLATFORM: 'linux-aarch64' };
    const result = await fake.run('compress-vm-runtime', [], env);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(textOf(fake.directory, 'umoci.zst')).toBe('umoci by its second name');
    fake.server.add(PATHS.umoci('arm64'), 'changed');
    const changed = await fake.run('compress-vm-runtime', ['--force'], env);
    expect([changed.status, changed.stderr]).toEqual([1, expect.stringContaining('is refused: its SHA-256 is ')]);
  });

  test.each([
    [
      'CMP-3: one that does not exist',
      { VM_RUNTIME_TARBALL: 'none.tar.zst' },
      [],
      'which is not a file with content; name one',
    ],
    [
      'CMP-7: a platform that is not one',
      { VM_RUNTIME_PLATFORM: 'linux-riscv64' },
      [],
      "VM_RUNTIME_PLATFORM is 'linux-riscv64'",
    ],
    ['a stray argument', {}, ['x'], "unexpected argument 'x'"],
  ])('%s: refused, and nothing changes', async (_, extra, args, problem) => {
    const fake = await FakeRuntime.start();
    mkdirSync(fake.directory, { recursive: true });
    writeFileSync(join(fake.directory, 'umoci.zst'), 'precious');
    const result = await fake.run('compress-vm-runtime', args, extra);
    expect([result.status, result.stderr]).toEqual([2, expect.stringContaining(problem)]);
    expect(readFileSync(join(fake.directory, 'umoci.zst'), 'utf8')).toBe('precious');
  });
});

describe('a local build', () => {
  const NETWORK = { OPENSHELL_RELEASE_BASE_URL: 'http://127.0.0.1:9/nowhere' };

  test('SET-1, CMP-1, CMP-10: it replaces what was downloaded; the next time nothing does', async () => {
    const fake = await FakeRuntime.start();
    await fake.run('vm-setup');
    fake.addBuild();
    const first = await fake.run('compress-vm-runtime', [], { SOURCE_DATE_EPOCH: '1700000000', GITHUB_SHA: 'abc' });
    expect(first, first.stderr).toMatchObject({ status: 0 });
    expect(textOf(fake.directory, 'libkrun.so.zst')).toBe('krun');
    expect(textOf(fake.directory, 'libkrunfw.so.5.zst')).toBe('krunfw');
    expect(JSON.parse(readFileSync(join(fake.directory, 'provenance.json'), 'utf8'))).toEqual({
      artifact: 'vm-runtime',
      platform: 'linux-x86_64',
      build_timestamp: '2023-11-14T22:13:20Z',
      libkrunfw_commit: 'unknown',
      kernel_version: 'unknown',
      gvproxy_version: 'v0.8.8',
      umoci_version: 'v0.6.0',
      github_sha: 'abc',
      github_run_id: 'unknown',
      libkrun_commit: 'unknown',
    });
    const again = await fake.run('compress-vm-runtime', [], {
      SOURCE_DATE_EPOCH: '1700000000',
      GITHUB_SHA: 'abc',
      ...NETWORK,
    });
    expect([again.status, again.stderr]).toEqual([0, expect.stringMatching(/^unchanged: \S+vm-runtime-compressed /m)]);
    fake.addBuild({ 'libkrun.so': 'krun 2' });
    const edited = await fake.run('compress-vm-runtime', [], NETWORK);
    expect(edited.stderr).toMatch(/^==> compression of libkrun\.so \(/m);
  });

  test('PIN: programs of another version are not reused', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    await fake.run('compress-vm-runtime');
    const result = await fake.run('compress-vm-runtime', [], { GVPROXY_VERSION: 'v9.9.9' });
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringMatching(
        /gvproxy v9\.9\.9 for linux-x86_64: no SHA-256 of \S+\/v9\.9\.9\/gvproxy-linux-amd64 is recorded/,
      ),
    ]);
  });

  test.each([
    [
      'C33, H33, CMP-4: without libkrunfw',
      { 'libkrun.so': 'x' },
      /^error: no libkrunfw\.so\.5 or libkrunfw\.so\.5\.\* in \S+libkrun-build; run tasks\/vm\/vm-setup\.ts --from-source, or set/m,
    ],
    ['without libkrun', { 'libkrunfw.so.5': 'x' }, /^error: no libkrun\.so in /m],
    ['with an empty libkrun', { 'libkrun.so': '', 'libkrunfw.so.5': 'x' }, /^error: no libkrun\.so in /m],
  ])('%s: says what is missing, and nothing is wiped', async (_, build, problem) => {
    const fake = await FakeRuntime.start();
    fake.addBuild(build as Record<string, string>);
    const result = await fake.run('compress-vm-runtime');
    expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(problem)]);
    expect(existsSync(fake.directory)).toBe(false);
  });

  test('CMP-5, CMP-9: for macOS, with the gvproxy that is recorded', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild({ 'libkrun.dylib': 'krun' });
    mkdirSync(join(fake.root, 'target/custom-runtime'));
    const kernel = runtimePart('darwin-aarch64', 'libkrunfw.5.dylib', 'krunfw');
    writeFileSync(join(fake.root, 'target/custom-runtime/libkrunfw.dylib'), kernel);
    for (const path of [PATHS.gvproxy('darwin'), PATHS.umoci('linux.arm64')]) {
      fake.server.add(path, path);
      fake.record(path, path);
    }
    const result = await fake.run('compress-vm-runtime', ['--platform', 'darwin-aarch64']);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(textOf(fake.directory, 'libkrunfw.5.dylib.zst')).toBe('krunfw');
    expect(textOf(fake.directory, 'gvproxy.zst')).toBe(PATHS.gvproxy('darwin'));
    expect(textOf(fake.directory, 'umoci.zst')).toBe(PATHS.umoci('linux.arm64'));
  });

  test('for another machine: refused', async () => {
    const fake = await FakeRuntime.start();
    const build = fake.addBuild();
    writeFileSync(join(build, 'libkrun.so'), runtimePart('linux-aarch64', 'libkrun.so'));
    const result = await fake.run('compress-vm-runtime');
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringMatching(
        /libkrun\.so is no library for Linux on amd64 \(.* is for aarch64, .*\); build it for linux-x86_64$/m,
      ),
    ]);
  });

  test.each([
    ['<html>404</html>', 'half'],
    [readFileSync('/bin/true').subarray(0, 3000), readFileSync('/bin/true').subarray(0, 3000)],
    [readFileSync('/bin/true'), readFileSync('/bin/true')],
  ])('VT-20: files that are no libraries are refused (%#)', async (krun, krunfw) => {
    const fake = await FakeRuntime.start();
    const build = fake.addBuild({});
    writeFileSync(join(build, 'libkrun.so'), krun);
    writeFileSync(join(build, 'libkrunfw.so.5'), krunfw);
    const output = ['--build-dir', build, '--output', 'o', '--platform', 'linux-x86_64'];
    for (const [task, args] of [
      ['compress-vm-runtime', []],
      ['package-vm-runtime', output],
    ] as const) {
      const result = await fake.run(task, args);
      expect([result.status, result.stderr]).toEqual([
        2,
        expect.stringContaining('libkrun.so is no library for Linux'),
      ]);
    }
    expect([existsSync(fake.directory), existsSync(join(fake.root, 'o'))]).toEqual([false, false]);
  });

  test('VT-20: an archive of files that are no libraries, and one of programs that are none', async () => {
    const fake = await FakeRuntime.start();
    for (const [name, content] of [
      ['libkrun.so', '<html>404'],
      ['umoci', 'half'],
    ] as const) {
      const contents = new Map([...fake.contents, [name, Buffer.from(content)]]);
      writeFileSync(join(fake.root, 'x.tar.zst'), runtimeArchive('linux-x86_64', contents));
      const result = await fake.run('compress-vm-runtime', [], { VM_RUNTIME_TARBALL: 'x.tar.zst' });
      expect([result.status, result.stderr]).toEqual([1, expect.stringContaining(`is refused: its ${name} is no `)]);
    }
    expect(existsSync(fake.directory)).toBe(false);
  });

  test('VT-31: of several kernels the newest is taken, by number', async () => {
    const fake = await FakeRuntime.start();
    const names = ['5.2.0', '5.10.0', '5.9.1'].map((version) => `libkrunfw.so.${version}`);
    fake.addBuild({ 'libkrun.so': 'krun', ...Object.fromEntries(names.map((name) => [name, name])) });
    expect(await fake.run('compress-vm-runtime')).toMatchObject({ status: 0 });
    expect(textOf(fake.directory, 'libkrunfw.so.5.zst')).toBe('libkrunfw.so.5.10.0');
  });

  test('no build, and a complete runtime: nothing to do', async () => {
    const fake = await FakeRuntime.start();
    await fake.run('vm-setup');
    const result = await fake.run('compress-vm-runtime', [], NETWORK);
    expect([result.status, result.stderr]).toEqual([0, expect.stringContaining('nothing to do: ')]);
  });
});
