// SPDX-License-Identifier: Apache-2.0

/** What vouches for a runtime: pins of the suite and digests of releases, and never a file of the checkout. */

import { type ChildProcess, execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readContent } from '../../lib/zstd/decompress.ts';
import { buildElf } from '../support/elf-builder.ts';
import { FakeRuntime, PATHS } from '../support/fake-runtime.ts';
import { type Fault, sha256, status } from '../support/release-server.ts';
import { runtimePart, textOfPart } from '../support/runtime-parts.ts';

const ARCHIVE = PATHS.runtime('linux-x86_64');
const GVPROXY = PATHS.gvproxy('linux-amd64');
const UMOCI = PATHS.umoci('linux.amd64');
const PACKAGE = ['--platform', 'linux-x86_64', '--build-dir', 'target/libkrun-build', '--output'];
/** Whatever this machine's network is, GitHub does not answer. */
const OFFLINE = { HTTPS_PROXY: 'http://127.0.0.1:1' };

/** Ends a run that waits for ever. */
const LIMITED = { onStart: (child: ChildProcess) => setTimeout(() => child.kill('SIGKILL'), 20_000).unref() };

const staged = ({ directory }: FakeRuntime, name: string) => textOfPart(readContent(join(directory, `${name}.zst`)));

/** Puts a program of somebody else there, with a record and a provenance that vouch for it. */
function forge({ directory }: FakeRuntime): void {
  const evil = zstdCompressSync(Buffer.from('evil'));
  for (const name of ['gvproxy.zst', 'umoci.zst']) writeFileSync(join(directory, name), evil);
  const names = readdirSync(directory).filter((name) => name.endsWith('.zst'));
  const files = Object.fromEntries(names.map((name) => [name, sha256(readFileSync(join(directory, name)))]));
  const record = JSON.parse(readFileSync(join(directory, '.verified.json'), 'utf8'));
  writeFileSync(join(directory, '.verified.json'), JSON.stringify({ ...record, files }));
  const provenance = { platform: 'linux-x86_64', gvproxy_version: 'v0.8.8', umoci_version: 'v0.6.0' };
  writeFileSync(join(directory, 'provenance.json'), JSON.stringify(provenance));
}

async function forged(): Promise<FakeRuntime> {
  const fake = await FakeRuntime.start();
  fake.contents.delete('umoci');
  fake.publish(fake.contents);
  expect(await fake.run('vm-setup')).toMatchObject({ status: 0 });
  forge(fake);
  return fake;
}

describe('VT-1: a forged record', () => {
  test.each([
    ['vm-setup', []],
    ['vm-setup', ['--force']],
    ['download-kernel-runtime', []],
  ])('%s %j sets the runtime up again', async (task, args) => {
    const fake = await forged();
    const result = await fake.run(task, args);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stderr).toContain('.verified.json (no run of this user has written it, so nothing vouches');
    expect([staged(fake, 'gvproxy'), staged(fake, 'umoci')]).toEqual([
      textOfPart(fake.contents.get('gvproxy') as Buffer),
      'umoci of its release',
    ]);
    expect((await fake.run('vm-setup')).stderr).toMatch(/^nothing to do: .*; verified: the recorded SHA-256/m);
  });

  test('neither a local build nor an archive takes a program of it', async () => {
    const fake = await forged();
    fake.addBuild();
    expect(await fake.run('package-vm-runtime', [...PACKAGE, 'x.tar.zst'])).toMatchObject({ status: 0 });
    const archive = execFileSync('tar', ['-tf', '-'], { input: readContent(join(fake.root, 'x.tar.zst')) });
    expect(archive.toString()).toContain('./umoci');
    expect(readContent(join(fake.root, 'x.tar.zst')).includes('evil')).toBe(false);
    expect(await fake.run('compress-vm-runtime')).toMatchObject({ status: 0 });
    expect([staged(fake, 'gvproxy'), staged(fake, 'umoci')]).toEqual([
      'gvproxy of its release',
      'umoci of its release',
    ]);
  });

  test('GITHUB_REPOSITORY in a file of the checkout does not say whose word is taken', async () => {
    const fake = await FakeRuntime.start();
    writeFileSync(join(fake.root, '.env'), 'GITHUB_REPOSITORY=evil/OpenShell\n');
    const result = await fake.run('vm-setup', [], OFFLINE);
    expect(result.stderr).toMatch(
      /^warning: \S+\.env does not set GITHUB_REPOSITORY, which is not a file's to decide; /m,
    );
    expect(result.stderr).toMatch(/; verified: the recorded SHA-256 \(NVIDIA\/OpenShell /);
    rmSync(join(fake.root, '.env'));
    const own = await fake.run('vm-setup', ['--dry-run'], { GITHUB_REPOSITORY: 'me/OpenShell' });
    expect(own.stdout).toContain('# warning: the release of me/OpenShell (GITHUB_REPOSITORY) says itself');
  });
});

test('VT-2: a digest that is recorded anew counts at once, for a program and for the archive', async () => {
  const fake = await FakeRuntime.start();
  fake.addBuild();
  await fake.run('compress-vm-runtime');
  fake.server.add(GVPROXY, 'gvproxy 2');
  fake.record(GVPROXY, 'gvproxy 2');
  const again = await fake.run('compress-vm-runtime');
  expect([again.status, staged(fake, 'gvproxy')]).toEqual([0, 'gvproxy 2']);
  await fake.run('download-kernel-runtime');
  fake.contents.set('umoci', runtimePart('linux-x86_64', 'umoci', 'umoci 2'));
  fake.publish(fake.contents);
  const setup = await fake.run('vm-setup');
  expect([setup.status, setup.stderr]).toEqual([
    0,
    expect.stringContaining(`.verified.json (another SHA-256 is recorded of ${ARCHIVE} by now)`),
  ]);
  expect(staged(fake, 'umoci')).toBe('umoci 2');
});

describe('VT-4: --output', () => {
  test('has to be absent or a regular file', async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    execFileSync('mkfifo', [join(fake.root, 'fifo')]);
    symlinkSync('elsewhere', join(fake.root, 'link'));
    for (const name of ['fifo', 'link']) {
      const result = await fake.run('package-vm-runtime', [...PACKAGE, name]);
      expect([result.status, result.stderr]).toEqual([2, expect.stringContaining('is not a regular file; name')]);
    }
    expect(fake.server.requests).toEqual([]);
  });

  test('a device stays one', { skip: process.geteuid?.() !== 0 }, async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    const device = join(fake.root, 'null');
    execFileSync('mknod', [device, 'c', '1', '3']);
    expect(await fake.run('package-vm-runtime', [...PACKAGE, device])).toMatchObject({ status: 2 });
    expect(execFileSync('stat', ['-c', '%F', device]).toString()).toContain('character special file');
  });

  test('is none of the files that are packed', async () => {
    const fake = await FakeRuntime.start();
    const build = fake.addBuild();
    linkSync(join(build, 'libkrun.so'), join(fake.root, 'same'));
    for (const name of [join(build, 'libkrun.so'), 'same']) {
      const result = await fake.run('package-vm-runtime', [...PACKAGE, name]);
      expect([result.status, result.stderr]).toEqual([2, expect.stringContaining('which is packed or read; name')]);
    }
    expect(textOfPart(readFileSync(join(build, 'libkrun.so')))).toBe('krun');
  });
});

describe('VT-5, VT-10: --update-pins', () => {
  const half = (file: Buffer) => file.subarray(0, file.length / 2);
  const sends = (contentOf: (file: Buffer) => Buffer): Fault => {
    return (_, response, file) => response.end(contentOf(file));
  };

  /** A release whose programs are programs, recorded. */
  async function place() {
    const fake = await FakeRuntime.start();
    const { bytes } = buildElf({ machine: 62, payload: 5000 });
    for (const path of [GVPROXY, UMOCI]) fake.server.add(path, bytes);
    for (const path of [GVPROXY, UMOCI]) fake.record(path, bytes);
    return { fake, bytes, before: fake.suite.pins() };
  }

  test.each<[string, Fault, RegExp]>([
    ['nothing', status(200, {}, ''), /what came is no content/],
    [
      'an error in JSON',
      status(
        200,
        { 'content-type': 'application/json' },
        '{"errors":[{"status":404,"message":"there is no such thing here"}]}',
      ),
      /what came is no program|what came is \d+ bytes/,
    ],
    [
      'a program of another machine',
      sends(() => buildElf({ machine: 183 }).bytes),
      /what came is no program for Linux on amd64/,
    ],
    [
      'half of it, from a server that does not say how much it is',
      ((_, { socket }, file) =>
        socket?.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), half(file)]))) satisfies Fault,
      /does not say where it ends, so it may be cut off/,
    ],
    ['half of it, as if it were all', sends(half), /what came is no program for Linux on amd64/],
  ])('%s is not recorded, and what is recorded stays', async (_, fault, reason) => {
    const { before, fake } = await place();
    fake.server.failNext(UMOCI, fault);
    const result = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect([result.status, result.stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(fake.suite.pins()).toEqual(before);
  });

  test('an archive that is none', async () => {
    const { before, fake } = await place();
    fake.server.add(ARCHIVE, zstdCompressSync(Buffer.from('no tar')));
    const result = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect([result.status, result.stderr]).toEqual([
      1,
      expect.stringContaining('what came is no archive of a runtime'),
    ]);
    expect(fake.suite.pins()).toEqual(before);
  });

  test('what another checkout records in the meantime stays', async () => {
    const { fake } = await place();
    fake.server.failNext(UMOCI, (_, response, file) => {
      fake.suite.setPins({ ...fake.suite.pins(), 'of/another/checkout': sha256('x') });
      response.end(file);
    });
    const result = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: '' });
    expect(fake.suite.pins()).toMatchObject({ 'of/another/checkout': sha256('x') });
  });
});

describe('VT-6, VT-7: a part that is missing', () => {
  test('is said before the download, and in a dry run', async () => {
    const fake = await FakeRuntime.start();
    fake.contents.delete('umoci');
    fake.publish(fake.contents);
    fake.suite.setPins({ [ARCHIVE]: fake.suite.pins()[ARCHIVE] ?? '' });
    const problem =
      'warning: no SHA-256 of umoci v0.6.0 for linux/amd64 is recorded, so an archive without it is refused';
    expect((await fake.run('vm-setup', ['--dry-run'])).stdout).toContain(`# ${problem}`);
    const result = await fake.run('vm-setup');
    expect(result.stderr.indexOf(problem)).toBeGreaterThan(0);
    expect(result.stderr.indexOf(problem)).toBeLessThan(result.stderr.indexOf('downloading '));
  });

  test('does not cost the archive, which the next run has', async () => {
    const fake = await FakeRuntime.start();
    fake.contents.delete('umoci');
    fake.publish(fake.contents);
    fake.server.failNext(UMOCI, status(403));
    expect(await fake.run('vm-setup')).toMatchObject({ status: 1 });
    expect(await fake.run('vm-setup')).toMatchObject({ status: 0 });
    expect(fake.server.requests).toEqual([`GET /${ARCHIVE}`, `GET /${UMOCI}`, `GET /${UMOCI}`]);
    expect(readdirSync(join(fake.root, 'target')).sort()).toEqual([
      '.vm-runtime-compressed.lock',
      'vm-runtime-compressed',
    ]);
  });
});

test.each(['.verified.json', 'provenance.json', 'umoci.zst'])('VT-9: a FIFO as %s is not waited for', async (name) => {
  const fake = await FakeRuntime.start();
  await fake.run('vm-setup');
  rmSync(join(fake.directory, name));
  execFileSync('mkfifo', [join(fake.directory, name)]);
  expect(await fake.run('vm-setup', [], {}, LIMITED)).toMatchObject({ status: 0 });
  expect(staged(fake, 'umoci')).toBe(textOfPart(fake.contents.get('umoci') as Buffer));
});

test('VT-9: a record that names a device, and a provenance with a table for a platform', async () => {
  const fake = await FakeRuntime.start();
  await fake.run('vm-setup');
  const path = join(fake.directory, '.verified.json');
  const record = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...record, files: { ...record.files, '../../../../../../../dev/zero': 'x' } }));
  writeFileSync(join(fake.directory, 'provenance.json'), '{"platform":{"toString":1}}');
  expect(await fake.run('vm-setup', [], {}, LIMITED)).toMatchObject({ status: 0 });
});

test.each([
  ['SOURCE_DATE_EPOCH', '1700000000000', /^error: SOURCE_DATE_EPOCH is '1700000000000'; .* at most 8589934591/m],
  ['OPENSHELL_DOWNLOAD_TIMEOUT', '2147484', /is a whole number of at least 1 and at most 86400/],
  ['OPENSHELL_RELEASE_BASE_URL', 'https://me:geheim@x', /has a user or a password in it, which would be printed; take/],
])('VT-14, VT-15: %s=%s', async (name, value, reason) => {
  const fake = await FakeRuntime.start();
  fake.addBuild();
  const result = await fake.run('compress-vm-runtime', [], { [name]: value });
  expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(reason)]);
  expect(result.stderr).not.toContain('geheim');
});

test('VT-16: digests that cannot be read are not to be recorded again', async () => {
  const fake = await FakeRuntime.start();
  appendFileSync(fake.suite.pinsPath, 'x');
  const result = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
  expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(/get the file back from where the tasks/)]);
  expect(result.stderr).not.toContain('--update-pins');
});

test('VT-17: a runtime that a killed run has left beside its place comes back with the bundle', async () => {
  const fake = await FakeRuntime.start();
  await fake.run('vm-setup');
  const old = join(fake.root, 'target/.vm-runtime-compressed.old');
  renameSync(fake.directory, old);
  const result = await fake.run('build-supervisor-bundle');
  expect(result, result.stderr).toMatchObject({ status: 0 });
  expect([existsSync(old), existsSync(join(fake.directory, 'umoci.zst'))]).toEqual([false, true]);
});
