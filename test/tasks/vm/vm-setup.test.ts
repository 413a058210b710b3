// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { runtimeDefects, runtimeFiles } from '../../../lib/vm/runtime-files.ts';
import { readContent } from '../../../lib/zstd/decompress.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { FakeLibkrun, FRAGMENT, libkrunTools } from '../../support/fake-libkrun.ts';
import { FakeRuntime, PATHS, runtimeArchive, runtimeContents } from '../../support/fake-runtime.ts';
import { breakOffAfter, sha256, stallAfter, status } from '../../support/release-server.ts';
import { whenSaid } from '../../support/run-task.ts';
import { runtimePart, textOfPart } from '../../support/runtime-parts.ts';

/** Whatever this machine's network is, GitHub does not answer. */
const OFFLINE = { HTTPS_PROXY: 'http://127.0.0.1:1' };
const ARCHIVE = PATHS.runtime('linux-x86_64');

/** What is staged, decompressed. */
function stagedContents({ contents, directory }: FakeRuntime): Record<string, string> {
  return Object.fromEntries(
    [...contents.keys()].map((name) => [name, sha256(readContent(join(directory, `${name}.zst`)))]),
  );
}

function publishedContents({ contents }: FakeRuntime): Record<string, string> {
  return Object.fromEntries([...contents].map(([name, content]) => [name, sha256(content)]));
}

test('LIB-1, DL-6, DL-7: from nothing, and a second time: nothing to do, nothing asked of the network', async () => {
  const fake = await FakeRuntime.start();
  const first = await fake.run('vm-setup');
  expect(first, first.stderr).toMatchObject({ status: 0, stdout: `${fake.directory}\n` });
  expect(stagedContents(fake)).toEqual(publishedContents(fake));
  expect(readdirSync(fake.directory).sort()).toEqual(
    ['.verified.json', 'gvproxy.zst', 'libkrun.so.zst', 'libkrunfw.so.5.zst', 'provenance.json', 'umoci.zst'].sort(),
  );
  expect(readdirSync(join(fake.root, 'target')).sort()).toEqual([
    '.vm-runtime-compressed.lock',
    'vm-runtime-compressed',
  ]);
  expect(fake.server.requests).toEqual([`GET /${ARCHIVE}`]);
  const second = await fake.run('vm-setup', [], { OPENSHELL_RELEASE_BASE_URL: 'http://127.0.0.1:1' });
  expect(second, second.stderr).toMatchObject({ status: 0, stdout: `${fake.directory}\n` });
  expect(second.stderr).toMatch(
    /^nothing to do: \S+vm-runtime-compressed for linux-x86_64; verified: the recorded SHA-256$/m,
  );
  expect(fake.tools.lines()).toEqual([]);
});

describe('downloads', () => {
  test.each([
    ['broken off', [breakOffAfter(9000)], 'bytes=9000-'],
    ['stalled', [stallAfter(5000)], 'bytes=5000-'],
    ['429 with Retry-After, then 500', [status(429, { 'retry-after': '1' }), status(500)], `GET /${ARCHIVE}`],
  ])('%s: mended', async (_, faults, last) => {
    const fake = await FakeRuntime.start();
    fake.server.failNext(ARCHIVE, ...faults);
    const result = await fake.run('vm-setup');
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stderr).toMatch(/; trying again in \d\.\d\d s$/m);
    expect(fake.server.requests.at(-1)).toContain(last);
    expect(stagedContents(fake)).toEqual(publishedContents(fake));
  });

  test.each([
    ['403', status(403), /HTTP 403: access is denied/],
    ['a web page', status(200, { 'content-type': 'text/html' }), /it sent a web page, not the file/],
    ['a web page that says nothing', status(200, {}, '<!DOCTYPE html><p>log in'), /is refused: its SHA-256 is /],
    [
      'a truncated file',
      status(200, {}, 'short'),
      /is refused: its SHA-256 is [0-9a-f]{64}, and the recorded SHA-256 is [0-9a-f]{64}; try/,
    ],
  ])('%s: refused with the reason, and nothing is in place', async (_, fault, reason) => {
    const fake = await FakeRuntime.start();
    fake.server.failNext(ARCHIVE, fault);
    const result = await fake.run('vm-setup');
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr.match(/^error: .*$/gm), result.stderr).toEqual([expect.stringMatching(reason)]);
    expect(existsSync(fake.directory)).toBe(false);
    expect(await fake.run('vm-setup')).toMatchObject({ status: 0 });
  });

  test('DL-3: a release without the file: the friendly text, at once', async () => {
    const fake = await FakeRuntime.start();
    fake.server.failNext(ARCHIVE, status(404));
    const result = await fake.run('vm-setup');
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(
      /^error: VM runtime for linux-x86_64: the release vm-runtime of NVIDIA\/OpenShell at \S+ has no vm-runtime-linux-x86_64\.tar\.zst; the workflow "Release VM Kernel" publishes it$/m,
    );
  });

  test('C32: a wrong digest: both are shown, and what was there stays', async () => {
    const fake = await FakeRuntime.start();
    await fake.run('vm-setup');
    const before = stagedContents(fake);
    const archive = fake.publish(runtimeContents('linux-x86_64', '2'));
    fake.record(ARCHIVE, 'something else');
    const result = await fake.run('download-kernel-runtime');
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toContain(
      `its SHA-256 is ${sha256(archive)}, and the recorded SHA-256 is ${sha256('something else')}`,
    );
    expect(stagedContents(fake)).toEqual(before);
  });

  test('killed while it downloads: the next run continues', async () => {
    const fake = await FakeRuntime.start();
    fake.server.failNext(ARCHIVE, stallAfter(9000));
    const slow = { OPENSHELL_DOWNLOAD_TIMEOUT: '60' };
    const onStart = whenSaid('downloading', (child) => setTimeout(() => child.kill('SIGKILL'), 700));
    expect(await fake.run('vm-setup', [], slow, { onStart })).toMatchObject({ signal: 'SIGKILL' });
    const result = await fake.run('vm-setup');
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(fake.server.requests.at(-1)).toBe(`GET /${ARCHIVE} bytes=9000-`);
    expect(stagedContents(fake)).toEqual(publishedContents(fake));
  });

  test('Ctrl-C while it downloads: 130, at once, and the next run continues', async () => {
    const fake = await FakeRuntime.start();
    fake.server.failNext(ARCHIVE, stallAfter(9000));
    const slow = { OPENSHELL_DOWNLOAD_TIMEOUT: '60' };
    const onStart = whenSaid('downloading', (child) => setTimeout(() => child.kill('SIGINT'), 500));
    const stopped = await fake.run('vm-setup', [], slow, { onStart });
    expect(stopped, stopped.stderr).toMatchObject({ status: 130, stdout: '' });
    expect(stopped.stderr).toMatch(/^error: stopped by SIGINT$/m);
    expect(await fake.run('vm-setup')).toMatchObject({ status: 0 });
    expect(fake.server.requests.at(-1)).toBe(`GET /${ARCHIVE} bytes=9000-`);
  });

  test('what an earlier run has left, and does not fit, is refused once, and dropped', async () => {
    const fake = await FakeRuntime.start();
    const downloads = join(fake.root, 'target/.vm-runtime-compressed.downloads');
    mkdirSync(downloads, { recursive: true, mode: 0o700 });
    const digest = fake.suite.pins()[ARCHIVE] ?? '';
    writeFileSync(join(downloads, `vm-runtime-linux-x86_64.tar.zst.${digest.slice(0, 16)}.part`), 'x'.repeat(5000));
    const refused = await fake.run('vm-setup');
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('is refused: its SHA-256 is ')]);
    const result = await fake.run('vm-setup');
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(fake.server.requests).toEqual([`GET /${ARCHIVE} bytes=5000-`, `GET /${ARCHIVE}`]);
    expect(existsSync(downloads)).toBe(false);
  });

  test('H32, LIB-6: six at once: one downloads, the others wait and have nothing to do', async () => {
    const fake = await FakeRuntime.start();
    const results = await Promise.all(Array.from({ length: 6 }, () => fake.run('vm-setup')));
    for (const result of results) expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(results.filter(({ stderr }) => stderr.includes('nothing to do: '))).toHaveLength(5);
    expect(fake.server.requests).toEqual([`GET /${ARCHIVE}`]);
  });
});

describe('C32, PIN-3: nothing is taken that nothing tells the SHA-256 of', () => {
  test('neither recorded nor stated: refused before the download, with the command that records it', async () => {
    const fake = await FakeRuntime.start();
    fake.suite.setPins({});
    const program = (payload: number) => buildElf({ machine: 62, payload }).bytes;
    for (const path of [PATHS.gvproxy('linux-amd64'), PATHS.umoci('linux.amd64')]) fake.server.add(path, program(100));
    const refused = await fake.run('vm-setup', [], OFFLINE);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /^error: VM runtime for linux-x86_64 cannot be verified now: https:\/\/api\.github\.com\S+ cannot be downloaded: .*; try again, or, .* record what is trusted with tasks\/vm\/vm-setup\.ts --update-pins$/m,
    );
    expect(fake.server.requests).toEqual([]);
    const update = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect(update, update.stderr).toMatchObject({ status: 0 });
    expect(update.stdout.split('\n').slice(0, -1)).toEqual(
      [PATHS.gvproxy('linux-amd64'), PATHS.umoci('linux.amd64'), ARCHIVE]
        .sort()
        .map((path) => `+ ${path} ${fake.suite.pins()[path]}`),
    );
    expect(update.stderr).toMatch(/^warning: gvproxy v0\.8\.8 for darwin-aarch64: the release has no such file; /m);
    expect(update.stderr).toMatch(
      /^warning: what comes is recorded as it is, and the next release will be refused: VM runtime for linux-x86_64 /m,
    );
    expect(await fake.run('vm-setup', [], OFFLINE)).toMatchObject({ status: 0 });
    fake.server.add(PATHS.umoci('linux.amd64'), program(5000));
    const again = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect(again.stdout).toBe(
      `- ${PATHS.umoci('linux.amd64')} ${sha256(program(100))}\n+ ${PATHS.umoci('linux.amd64')} ${sha256(program(5000))}\n`,
    );
  });

  test('a web page is not recorded, and without any file nothing is', async () => {
    const fake = await FakeRuntime.start();
    const before = fake.suite.pins();
    fake.server.add(PATHS.gvproxy('linux-amd64'), buildElf({ machine: 62 }).bytes);
    fake.server.add(PATHS.umoci('linux.amd64'), '<html>log in');
    const page = await fake.run('vm-setup', ['--update-pins'], OFFLINE);
    expect([page.status, page.stderr]).toEqual([
      1,
      expect.stringContaining('is not recorded: what came is no program'),
    ]);
    const none = await fake.run('vm-setup', ['--update-pins'], {
      ...OFFLINE,
      OPENSHELL_RELEASE_BASE_URL: `${fake.server.url}/nowhere`,
    });
    expect(none.status).toBe(1);
    expect(fake.suite.pins()).toEqual(before);
  });

  test.each([
    ['{"a": 1}', /vm-runtime\.json is not a table of SHA-256s in JSON; get the file back/],
    ['nonsense', /vm-runtime\.json is not a table of SHA-256s in JSON; get the file back/],
  ])('recorded digests that are %s', async (text, reason) => {
    const fake = await FakeRuntime.start();
    writeFileSync(fake.suite.pinsPath, text);
    const result = await fake.run('vm-setup');
    expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(reason)]);
  });
});

describe('what is there', () => {
  test('C23, SET-3, CMP-1: an empty, damaged or changed file is set up again, and only that is compressed', async () => {
    const fake = await FakeRuntime.start();
    await fake.run('vm-setup');
    for (const [content, reason] of [
      ['', 'empty'],
      [readFileSync(join(fake.directory, 'umoci.zst')).subarray(0, -3), 'cut off'],
      [
        zstdCompressSync(runtimePart('linux-x86_64', 'umoci', 'another')),
        'other content than .verified.json says was verified',
      ],
    ] as const) {
      writeFileSync(join(fake.directory, 'umoci.zst'), content);
      const result = await fake.run('vm-setup');
      expect(result, result.stderr).toMatchObject({ status: 0 });
      expect(result.stderr).toContain(`VM runtime for linux-x86_64: umoci.zst (${reason})\n`);
      expect(result.stderr.match(/^==> compression of .*/gm)).toEqual([expect.stringContaining('of umoci (zstd')]);
      expect(stagedContents(fake)).toEqual(publishedContents(fake));
    }
  });

  test('LIB-2, LIB-4, CMP-8: nothing stale stays, and the supervisor does', async () => {
    const fake = await FakeRuntime.start();
    mkdirSync(fake.directory, { recursive: true });
    const stale = ['libkrunfw.so.5.1.0.zst', 'libkrun.dylib.zst', 'rootfs.tar.zst', '.vm-bundle.lock'];
    for (const name of [...stale, 'openshell-sandbox.zst']) writeFileSync(join(fake.directory, name), name);
    expect(await fake.run('vm-setup')).toMatchObject({ status: 0 });
    expect(readdirSync(fake.directory).sort()).toEqual(
      ['.verified.json', 'provenance.json', 'openshell-sandbox.zst', ...runtimeFiles('linux-x86_64')].sort(),
    );
    expect(readFileSync(join(fake.directory, 'openshell-sandbox.zst'), 'utf8')).toBe('openshell-sandbox.zst');
  });

  test('LIB-5: the same release is not downloaded twice; with --force it is', async () => {
    const fake = await FakeRuntime.start();
    await fake.run('download-kernel-runtime');
    const same = await fake.run('download-kernel-runtime');
    expect([same.status, fake.server.requests.length]).toEqual([0, 1]);
    expect(same.stderr).toContain('nothing to do: ');
    const before = statSync(join(fake.directory, 'umoci.zst')).mtimeMs;
    const forced = await fake.run('vm-setup', ['--force']);
    expect(forced.stderr).toMatch(/^==> compression of libkrun\.so, libkrunfw\.so\.5, gvproxy, umoci \(/m);
    expect(statSync(join(fake.directory, 'umoci.zst')).mtimeMs).toBeGreaterThan(before);
  });

  test.each([
    ['a file of somebody else', (path: string) => writeFileSync(join(path, 'notes.txt'), ''), "holds 'notes.txt'"],
    ['a directory', (path: string) => mkdirSync(join(path, 'x.zst')), "holds 'x.zst'"],
    ['a hidden file', (path: string) => writeFileSync(join(path, '.env'), ''), "holds '.env'"],
  ])('a directory with %s is not replaced', async (_, add, problem) => {
    const fake = await FakeRuntime.start();
    mkdirSync(fake.directory, { recursive: true });
    add(fake.directory);
    const result = await fake.run('vm-setup');
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(
      `${problem}, which is not of a runtime, and is replaced as a whole; set OPENSHELL_VM_`,
    );
    expect(fake.server.requests).toEqual([]);
  });

  test('a link and a file in its place', async () => {
    const fake = await FakeRuntime.start();
    const other = join(fake.root, 'other');
    mkdirSync(other);
    symlinkSync(other, join(fake.root, 'link'));
    writeFileSync(join(fake.root, 'file'), '');
    for (const [path, problem] of [
      [join(fake.root, 'link'), 'is no directory, and is replaced as a whole'],
      [join(fake.root, 'file'), 'is no directory'],
    ] as const) {
      const result = await fake.run('vm-setup', [], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: path });
      expect([result.status, result.stderr]).toEqual([2, expect.stringContaining(problem)]);
    }
  });

  test('SET-4: a relative directory is relative to where the task was started', async () => {
    const fake = await FakeRuntime.start();
    const cwd = join(fake.root, 'crates');
    const result = await fake.run('vm-setup', [], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'here/it is' }, { cwd });
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `${join(cwd, 'here/it is')}\n` });
  });
});

describe('archives', () => {
  const platform = 'linux-x86_64';
  test.each([
    ['without umoci: that of its release is added', ['umoci'], undefined],
    ['without gvproxy', ['gvproxy'], /^error: the archive \S+ is refused: it has no gvproxy$/m],
    ['without the kernel', ['libkrunfw.so.5'], /^error: the archive \S+ is refused: it has no libkrunfw\.so\.5$/m],
  ])('DL-8: %s', async (_, without, problem) => {
    const fake = await FakeRuntime.start();
    for (const name of without) fake.contents.delete(name);
    fake.publish(fake.contents);
    const result = await fake.run('vm-setup');
    if (problem !== undefined) {
      expect([result.status, result.stderr]).toEqual([1, expect.stringMatching(problem)]);
      expect(existsSync(fake.directory)).toBe(false);
      return;
    }
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(textOfPart(readContent(join(fake.directory, 'umoci.zst')))).toBe('umoci of its release');
  });

  test.each([
    [
      'of another platform',
      (c: Map<string, Buffer>) => runtimeArchive(platform, c, { platform: 'darwin-aarch64' }),
      /its provenance\.json is not for linux-x86_64/,
    ],
    [
      'of no platform (VT-14)',
      (c: Map<string, Buffer>) => runtimeArchive(platform, c, { platform: { toString: 1 } }),
      /its provenance\.json is not for linux-x86_64/,
    ],
    ['not zstd', () => Buffer.from('PK\u0003\u0004 a zip file'), /is refused: not zstd at byte 0/],
    ['cut off', (c: Map<string, Buffer>) => runtimeArchive(platform, c).subarray(0, -50), /is refused: cut off/],
    ['not tar', () => zstdCompressSync(Buffer.from('no tar')), /is refused: /],
    [
      'hostile',
      (c: Map<string, Buffer>) => runtimeArchive(platform, new Map([...c, ['../../evil', Buffer.from('x')]])),
      /the entry '\.\/\.\.\/\.\.\/evil' is refused: it leaves the directory/,
    ],
  ])('DL-4, CMP-6: %s: refused, and nothing is in place', async (_, make, reason) => {
    const fake = await FakeRuntime.start();
    const archive = make(fake.contents);
    fake.server.add(ARCHIVE, archive);
    fake.record(ARCHIVE, archive);
    const result = await fake.run('vm-setup');
    expect([result.status, result.stderr]).toEqual([1, expect.stringMatching(reason)]);
    expect(readdirSync(join(fake.root, 'target')).filter((name) => !name.startsWith('.'))).toEqual([]);
  });
});

describe('usage', () => {
  test.each([
    [['--nonsense'], {}, /unknown option '--nonsense'/],
    [[], { FROM_SOURCE: 'maybe' }, /^error: FROM_SOURCE is 'maybe'; allowed are 1\/true\/yes\/on, 0\/false\/no\/off/m],
    [[], { OPENSHELL_RELEASE_BASE_URL: 'github.com' }, /OPENSHELL_RELEASE_BASE_URL is not https:\/\/HOST/],
    [[], { OPENSHELL_RELEASE_BASE_URL: 'https://x?y' }, /OPENSHELL_RELEASE_BASE_URL is not/],
    [[], { GITHUB_REPOSITORY: '../x' }, /GITHUB_REPOSITORY is '\.\.\/x'; allowed is OWNER\/NAME/],
    [[], { VM_RUNTIME_RELEASE_TAG: '--help' }, /VM_RUNTIME_RELEASE_TAG is '--help'; allowed is a tag/],
    [[], { UMOCI_VERSION: '../../x' }, /UMOCI_VERSION is/],
    [[], { HTTPS_PROXY: 'proxy:3128' }, /HTTPS_PROXY is not the URL of a proxy/],
  ])('SET-2: %j %j', async (args, extra, reason) => {
    const fake = await FakeRuntime.start();
    const result = await fake.run('vm-setup', args, extra as Record<string, string>);
    expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(reason)]);
    expect(fake.server.requests).toEqual([]);
  });

  test.each([
    [['--platform'], /--platform needs a value: --platform PLATFORM/],
    [['--platform', '*'], /--platform is '\*'; allowed are linux-x86_64, linux-aarch64, darwin-aarch64/],
  ])('DL-1, DL-2: %j', async (args, reason) => {
    const fake = await FakeRuntime.start();
    const result = await fake.run('download-kernel-runtime', args);
    expect([result.status, result.stderr]).toEqual([2, expect.stringMatching(reason)]);
  });

  test('another platform than this machine', async () => {
    const fake = await FakeRuntime.start();
    fake.publish(runtimeContents('darwin-aarch64'), 'darwin-aarch64');
    const result = await fake.run('download-kernel-runtime', ['--platform', 'darwin-aarch64']);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(runtimeDefects(fake.directory, 'darwin-aarch64')).toEqual([]);
  });

  test.each([
    ['UMOCI_VERSION', 'v9.9.9', /umoci v0\.6\.0, wanted .*, umoci v9\.9\.9\)$/m],
    ['GVPROXY_VERSION', 'v9.9.9', /gvproxy v0\.8\.8, .*, gvproxy v9\.9\.9, umoci v0\.6\.0\)$/m],
    [
      'VM_RUNTIME_RELEASE_TAG',
      'vm-runtime-2',
      /NVIDIA\/OpenShell vm-runtime, .*, wanted NVIDIA\/OpenShell vm-runtime-2,/,
    ],
    ['GITHUB_REPOSITORY', 'me/fork', /NVIDIA\/OpenShell vm-runtime, .*, wanted me\/fork vm-runtime,/],
  ])('VT-28: with another %s there is something to do, once', async (name, value, reason) => {
    const fake = await FakeRuntime.start();
    const provenance = { platform: 'linux-x86_64', gvproxy_version: 'v0.8.8', umoci_version: 'v0.6.0' };
    const archive = runtimeArchive('linux-x86_64', fake.contents, provenance);
    const publish = (path: string) => {
      fake.server.add(path, archive);
      fake.record(path, archive);
    };
    publish(ARCHIVE);
    await fake.run('vm-setup');
    const { repository, tag } = {
      repository: name === 'GITHUB_REPOSITORY' ? value : 'NVIDIA/OpenShell',
      tag: name === 'VM_RUNTIME_RELEASE_TAG' ? value : 'vm-runtime',
    };
    publish(`${repository}/releases/download/${tag}/vm-runtime-linux-x86_64.tar.zst`);
    const result = await fake.run('vm-setup', [], { [name]: value });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stderr).toMatch(/^VM runtime for linux-x86_64: \.verified\.json \(of another release: /m);
    expect(result.stderr).toMatch(reason);
    const again = await fake.run('vm-setup', [], { [name]: value });
    expect(again.stderr).toContain('nothing to do: ');
  });

  test('VT-30: a link with a slash at its end is refused before anything is downloaded', async () => {
    const fake = await FakeRuntime.start();
    mkdirSync(join(fake.root, 'other'));
    symlinkSync(join(fake.root, 'other'), join(fake.root, 'link'));
    for (const end of ['/', '/x/..']) {
      const env = { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: join(fake.root, 'link') + end };
      const result = await fake.run('vm-setup', [], env);
      expect([result.status, result.stderr]).toEqual([2, expect.stringContaining('is no directory, and is replaced')]);
    }
    expect(fake.server.requests).toEqual([]);
  });

  test('a dry run asks nobody and writes nothing', async () => {
    const fake = await FakeRuntime.start();
    const result = await fake.run('vm-setup', ['--dry-run']);
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stdout).toMatch(new RegExp(`^# downloads ${fake.server.url}/${ARCHIVE} `, 'm'));
    expect([fake.server.requests, existsSync(join(fake.root, 'target'))]).toEqual([[], false]);
  });
});

describe('gh', () => {
  const statement = (archive: Buffer) =>
    JSON.stringify({ assets: [{ name: 'vm-runtime-linux-x86_64.tar.zst', digest: `sha256:${sha256(archive)}` }] });

  /** A gh that is signed in, and downloads what is published; the server has to be GitHub's own. */
  function addGh(fake: FakeRuntime, attestation: string, archive: Buffer): void {
    writeFileSync(join(fake.tools.directory, 'archive'), archive);
    fake.tools.add('gh', [
      {
        args: ['release', 'download', 'vm-runtime', '--repo', 'NVIDIA/OpenShell', '--pattern'],
        script: `/bin/cp ${join(fake.tools.directory, 'archive')} "$9"`,
      },
      { args: ['api'], script: `echo '${statement(archive)}'` },
      { args: ['attestation', 'verify'], script: attestation },
    ]);
  }
  const GITHUB = { OPENSHELL_RELEASE_BASE_URL: 'https://github.com' };

  test('it downloads, and its attestation is checked where no digest is recorded', async () => {
    const fake = await FakeRuntime.start();
    addGh(fake, ':', fake.publish(fake.contents));
    fake.suite.setPins({});
    const result = await fake.run('vm-setup', [], { ...OFFLINE, ...GITHUB });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    expect(result.stderr).toMatch(/; verified: the SHA-256 that the release's API states, and its attestation$/m);
    expect(fake.tools.lines().map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      expect.stringMatching(/^gh api repos/),
      'gh release download',
      'gh attestation verify',
    ]);
    expect(stagedContents(fake)).toEqual(publishedContents(fake));
  });

  test('VT-11: it does not write through a link in the directory of downloads', async () => {
    const fake = await FakeRuntime.start();
    addGh(fake, ':', fake.publish(fake.contents));
    const downloads = join(fake.root, 'target/.vm-runtime-compressed.downloads');
    mkdirSync(downloads, { recursive: true });
    writeFileSync(join(fake.root, 'victim'), 'precious');
    symlinkSync(join(fake.root, 'victim'), join(downloads, 'vm-runtime-linux-x86_64.tar.zst'));
    expect(await fake.run('vm-setup', [], { ...OFFLINE, ...GITHUB })).toMatchObject({ status: 0 });
    expect(readFileSync(join(fake.root, 'victim'), 'utf8')).toBe('precious');
  });

  test('an attestation that is not accepted, and one that cannot be looked up', async () => {
    const fake = await FakeRuntime.start();
    const archive = fake.publish(fake.contents);
    fake.suite.setPins({});
    addGh(fake, 'echo "no attestations found for subject" >&2; exit 1', archive);
    const refused = await fake.run('vm-setup', [], { ...OFFLINE, ...GITHUB });
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringContaining('gh attestation verify does not accept it: no attestations found for subject'),
    ]);
    addGh(fake, 'echo "unknown command \\"attestation\\" for \\"gh\\"" >&2; exit 1', archive);
    const unknown = await fake.run('vm-setup', [], { ...OFFLINE, ...GITHUB });
    expect(unknown, unknown.stderr).toMatchObject({ status: 0 });
    expect(unknown.stderr).toMatch(
      /^warning: VM runtime for linux-x86_64: its attestation could not be checked: unknown/m,
    );
  });

  test('signed out: the public URL, and what is recorded decides', async () => {
    const fake = await FakeRuntime.start();
    const script = 'echo "To get started with GitHub CLI, please run:  gh auth login" >&2; exit 4';
    fake.tools.add('gh', [{ args: ['release', 'download'], script }]);
    const result = await fake.run('vm-setup', [], { ...OFFLINE, ...GITHUB });
    expect(result.stderr).toContain('gh auth login; going on without it\ndownloading https://github.com/NVIDIA/');
    expect(result.status).toBe(1);
  });

  test('DL-3: a release without the file is the friendly text', async () => {
    const fake = await FakeRuntime.start();
    addGh(fake, ':', Buffer.alloc(0));
    fake.tools.add('gh', [
      { args: ['release', 'download'], script: 'echo "no assets match the file pattern" >&2; exit 1' },
    ]);
    const result = await fake.run('vm-setup', [], GITHUB);
    expect([result.status, result.stderr]).toEqual([1, expect.stringContaining('the workflow "Release VM Kernel"')]);
  });
});

describe('--from-source', libkrunTools.options, () => {
  /** A checkout whose libkrun can be built, with the server of a runtime. */
  async function place() {
    const fake = await FakeRuntime.start();
    const libkrun = new FakeLibkrun();
    const pin = (name: string, value: string) => `${name}="\${${name}:-${value}}"\n`;
    libkrun.pin(libkrun.head('libkrunfw'), pin('GVPROXY_VERSION', 'v0.8.8') + pin('UMOCI_VERSION', 'v0.6.0'));
    const run = (args: readonly string[], extra: Readonly<Record<string, string>> = {}) => {
      const env = libkrun.libkrunEnv({ ...fake.releaseEnv(), ...extra });
      return fake.suite.run('vm/vm-setup', args, { cwd: libkrun.root, env });
    };
    return { fake, libkrun, run, directory: join(libkrun.root, 'target/vm-runtime-compressed') };
  }

  test('SET-1: after a download, what was built is what is staged', async () => {
    const { directory, fake, libkrun, run } = await place();
    expect(await run([])).toMatchObject({ status: 0 });
    const result = await run([], { FROM_SOURCE: 'true' });
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `${directory}\n` });
    const built = (name: string) => readFileSync(join(libkrun.out, name));
    expect(readContent(join(directory, 'libkrun.so.zst')).equals(built('libkrun.so'))).toBe(true);
    expect(textOfPart(readContent(join(directory, 'gvproxy.zst')))).toBe('gvproxy of its release');
    const staged = (text: string) => text.match(/^set up: .*/m)?.[0];
    expect(staged(result.stderr)).toMatch(
      /; verified: the libraries are of a local build in \S+libkrun-build, the programs have the /,
    );
    const provenance = JSON.parse(readFileSync(join(directory, 'provenance.json'), 'utf8'));
    expect(provenance).toMatchObject({ platform: 'linux-x86_64', libkrunfw_commit: libkrun.head('libkrunfw') });
    expect(fake.server.requests).toHaveLength(3);
    libkrun.setFragment(`${FRAGMENT}CONFIG_NEW=y\n`);
    const again = await run(['--from-source']);
    expect(again, again.stderr).toMatchObject({ status: 0 });
    expect(fake.server.requests).toHaveLength(3);
    expect(await run([])).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^nothing to do: .*; verified: the/m),
    });
  });

  test('programs that cannot be verified are found before the build', async () => {
    const { fake, run } = await place();
    fake.suite.setPins({});
    const result = await run(['--from-source']);
    expect([result.status, result.stderr]).toEqual([
      2,
      expect.stringMatching(/gvproxy v0\.8\.8 .* is recorded; record it/),
    ]);
    expect(result.stderr).not.toMatch(/^==> /m);
  });
});
