// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeRuntime, PATHS } from '../../support/fake-runtime.ts';
import { requireTools } from '../../support/real-tools.ts';
import { sha256 } from '../../support/release-server.ts';
import { runtimePart, textOfPart } from '../../support/runtime-parts.ts';

const tools = requireTools('zstd');
const ENV = { SOURCE_DATE_EPOCH: '1700000000', GITHUB_SHA: 'abc', GITHUB_RUN_ID: '42' };

function args(fake: FakeRuntime, output = 'out/runtime.tar.zst', platform = 'linux-x86_64'): string[] {
  return ['--platform', platform, '--build-dir', join(fake.root, 'target/libkrun-build'), '--output', output];
}

describe('the archive', tools.options, () => {
  test('PKG-3, PKG-5, PKG-7: GNU tar and zstd read it; the same build gives the same bytes, also a second time', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild({ 'libkrun.so': 'krun', 'libkrunfw.so': 'x', 'libkrunfw.so.5.2.0': 'krunfw' });
    const result = await fake.run('package-vm-runtime', args(fake), ENV);
    const output = join(fake.root, 'out/runtime.tar.zst');
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `${output}\n` });
    const tar = execFileSync(tools.path('zstd'), ['-dc', output]);
    const listing = execFileSync('tar', ['--numeric-owner', '--full-time', '-tvf', '-'], {
      input: tar,
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(
      listing
        .trim()
        .split('\n')
        .map((line) =>
          line
            .split(/\s+/)
            .filter((_, index) => index !== 2)
            .join(' '),
        ),
    ).toEqual([
      '-rwxr-xr-x 0/0 2023-11-14 22:13:20 ./gvproxy',
      '-rwxr-xr-x 0/0 2023-11-14 22:13:20 ./libkrun.so',
      '-rwxr-xr-x 0/0 2023-11-14 22:13:20 ./libkrunfw.so.5',
      '-rw-r--r-- 0/0 2023-11-14 22:13:20 ./provenance.json',
      '-rwxr-xr-x 0/0 2023-11-14 22:13:20 ./umoci',
    ]);
    const provenance = execFileSync('tar', ['-xOf', '-', './provenance.json'], { input: tar, encoding: 'utf8' });
    expect(JSON.parse(provenance)).toMatchObject({
      platform: 'linux-x86_64',
      build_timestamp: '2023-11-14T22:13:20Z',
      github_sha: 'abc',
      github_run_id: '42',
    });
    const first = readFileSync(output);
    const build = join(fake.root, 'target/libkrun-build');
    utimesSync(join(build, 'libkrun.so'), new Date(), new Date());
    chmodSync(join(build, 'libkrun.so'), 0o600);
    expect(await fake.run('package-vm-runtime', args(fake), ENV)).toMatchObject({ status: 0 });
    expect(readFileSync(output).equals(first)).toBe(true);
    expect(statSync(output).mode & 0o777).toBe(0o644);
  });

  test('PKG-8: both commits, as the build recorded them', async () => {
    const fake = await FakeRuntime.start();
    const record = {
      libkrunfw: { commit: 'f'.repeat(40) },
      libkrun: { commit: 'e'.repeat(40) },
      kernel: 'linux-6.12.76',
    };
    fake.addBuild({ 'libkrun.so': 'krun', 'libkrunfw.so.5': 'krunfw', 'build.json': JSON.stringify(record) });
    const result = await fake.run('package-vm-runtime', args(fake), ENV);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    const tar = execFileSync(tools.path('zstd'), ['-dc', join(fake.root, 'out/runtime.tar.zst')]);
    const provenance = execFileSync('tar', ['-xOf', '-', './provenance.json'], { input: tar, encoding: 'utf8' });
    expect(JSON.parse(provenance)).toMatchObject({
      libkrunfw_commit: 'f'.repeat(40),
      libkrun_commit: 'e'.repeat(40),
      kernel_version: 'linux-6.12.76',
    });
  });

  test('what it packs, our own reader stages', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    await fake.run('package-vm-runtime', args(fake, 'vm-runtime-linux-x86_64.tar.zst'), ENV);
    const archive = readFileSync(join(fake.root, 'vm-runtime-linux-x86_64.tar.zst'));
    fake.server.add(PATHS.runtime('linux-x86_64'), archive);
    fake.record(PATHS.runtime('linux-x86_64'), archive);
    const result = await fake.run('vm-setup');
    expect(result, result.stderr).toMatchObject({ status: 0 });
  });

  test('PKG-2, PKG-4: on macOS one name of the kernel is enough, and the build directory wins', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild({ 'libkrun.dylib': 'krun', 'libkrunfw.dylib': 'of the build' });
    const custom = join(fake.root, 'custom');
    mkdirSync(custom);
    writeFileSync(join(custom, 'libkrunfw.5.dylib'), runtimePart('darwin-aarch64', 'libkrunfw.5.dylib', 'custom'));
    writeFileSync(join(custom, 'provenance.json'), '{"libkrunfw_commit":"c0ffee","kernel_version":"linux-6.1"}');
    for (const path of [PATHS.gvproxy('darwin'), PATHS.umoci('arm64')]) {
      fake.server.add(path, path);
      fake.record(path, path);
    }
    const result = await fake.run('package-vm-runtime', args(fake, 'x.tar.zst', 'darwin-aarch64'), {
      ...ENV,
      CUSTOM_PROVENANCE_DIR: 'custom',
    });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    const tar = execFileSync(tools.path('zstd'), ['-dc', join(fake.root, 'x.tar.zst')]);
    const read = (name: string) => execFileSync('tar', ['-xOf', '-', name], { input: tar });
    expect(textOfPart(read('./libkrunfw.5.dylib'))).toBe('of the build');
    expect(JSON.parse(read('./provenance.json').toString())).toMatchObject({
      libkrunfw_commit: 'c0ffee',
      kernel_version: 'linux-6.1',
    });
  });
});

describe('refused', () => {
  test.each([
    [
      'PKG-1: without a platform',
      ['--build-dir', 'b', '--output', 'o'],
      '--platform, --build-dir and --output are needed',
    ],
    ['PKG-1: an option without its value', ['--platform'], '--platform needs a value'],
    [
      'PKG-6: a platform that is not one',
      ['--platform', 'linux-riscv64'],
      "--platform is 'linux-riscv64'; allowed are",
    ],
  ])('%s', async (_, given, problem) => {
    const fake = await FakeRuntime.start();
    const result = await fake.run('package-vm-runtime', given);
    expect([result.status, result.stderr]).toEqual([2, expect.stringContaining(problem)]);
  });

  test('C33, PKG-2: a build without the kernel: before any download, and no archive', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild({ 'libkrun.so': 'x' });
    const result = await fake.run('package-vm-runtime', args(fake));
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringContaining('no libkrunfw.so.5 or libkrunfw.so.5.* in '),
    ]);
    expect([fake.server.requests, existsSync(join(fake.root, 'out'))]).toEqual([[], false]);
  });

  test('C32: a program with another digest: no archive, and the one that is there stays', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    writeFileSync(join(fake.root, 'x.tar.zst'), 'earlier');
    fake.server.add(PATHS.gvproxy('linux-amd64'), '#!/bin/sh');
    const result = await fake.run('package-vm-runtime', args(fake, 'x.tar.zst'));
    expect([result.status, result.stderr]).toEqual([
      1,
      expect.stringContaining(`its SHA-256 is ${sha256('#!/bin/sh')}`),
    ]);
    expect(readFileSync(join(fake.root, 'x.tar.zst'), 'utf8')).toBe('earlier');
  });
});
