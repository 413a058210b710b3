// SPDX-License-Identifier: Apache-2.0

/** What vouches for a runtime: pins of the suite and digests of releases, and never a file of the checkout. */

import { type ChildProcess, execFileSync } from 'node:child_process';
import { appendFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readContent } from '../../lib/zstd/decompress.ts';
import { buildElf } from '../support/elf-builder.ts';
import { FakeRuntime, PATHS } from '../support/fake-runtime.ts';
import { onlyRoot } from '../support/real-tools.ts';
import { type Fault, status } from '../support/release-server.ts';
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
    const result = await fake.run('package-vm-runtime', [...PACKAGE, 'fifo']);
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringContaining('it is a link or not a regular file; remove it'),
    ]);
    expect(fake.server.requests).toEqual([]);
  });

  test('a device stays one', onlyRoot(), async () => {
    const fake = await FakeRuntime.start();
    fake.addBuild();
    const device = join(fake.root, 'null');
    execFileSync('mknod', [device, 'c', '1', '3']);
    expect(await fake.run('package-vm-runtime', [...PACKAGE, device])).toMatchObject({ status: 2 });
    expect(execFileSync('stat', ['-c', '%F', device]).toString()).toContain('character special file');
  });
});

describe('VT-5: --update-pins', () => {
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
      expect.stringMatching(/what came for VM runtime for \S+ is refused: /),
    ]);
    expect(fake.suite.pins()).toEqual(before);
  });
});

describe('VT-7: a part that is missing', () => {
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

test.each([
  ['SOURCE_DATE_EPOCH', '1700000000000', /^error: SOURCE_DATE_EPOCH is '1700000000000'; .* at most 8589934591/m],
  ['OPENSHELL_DOWNLOAD_TIMEOUT', '2147484', /is a whole number of at least 1 and at most 86400/],
  [
    'OPENSHELL_RELEASE_BASE_URL',
    'https://me:geheim@x',
    /is not https:\/\/HOST or http:\/\/HOST:PORT\/PATH, without a user/,
  ],
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
