// SPDX-License-Identifier: Apache-2.0

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ReleaseFile } from '../../../../lib/vm/runtime/config.ts';
import { Releases } from '../../../../lib/vm/runtime/releases.ts';
import { bashQuote } from '../../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { ReleaseServer, sha256, status } from '../../../support/release-server.ts';
import { taskErrorFrom } from '../../../support/task-errors.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const FILE: ReleaseFile = {
  what: 'the runtime',
  repository: 'o/r',
  tag: 'rolling',
  names: ['vm-runtime-x.tar.zst'],
  isRolling: true,
};
const API = 'repos/o/r/releases/tags/rolling';
const PATH = 'o/r/releases/download/rolling/vm-runtime-x.tar.zst';

/** A server that is a mirror, and GitHub's API at once. */
async function place(assets: unknown, pins: Readonly<Record<string, string>> = {}) {
  const server = (await ReleaseServer.start()).add(PATH, 'content');
  if (assets !== undefined) server.add(API, JSON.stringify({ assets }));
  const directory = temporaryDirectory();
  const pinsPath = join(directory, 'pins.json');
  writeFileSync(pinsPath, JSON.stringify(pins));
  const tools = fakeTools();
  const ctx = inProcess(tools);
  const config = { baseUrl: server.url, apiUrl: server.url, stallMs: 2000, pinsPath };
  return {
    server,
    tools,
    ctx,
    scratch: join(directory, '.scratch.downloads'),
    /** Releases that say what a file has to be, and get it. */
    make: () => {
      const releases = new Releases(ctx, config, join(directory, 'scratch'));
      return { fetch: async (file: ReleaseFile) => releases.fetch(file, await releases.expect(file)) };
    },
  };
}

const asset = (content: string) => [{ name: 'other' }, { name: FILE.names[0], digest: `sha256:${sha256(content)}` }];

describe('C32: the rolling release, by what its API states', () => {
  test('a file with that digest, also where the API first fails', async () => {
    const { make, server, scratch } = await place(asset('content'));
    server.failNext(API, status(500));
    const { content, verified } = await make().fetch(FILE);
    expect([content.toString(), verified]).toEqual(['content', "the SHA-256 that the release's API states"]);
    expect(existsSync(join(scratch, 'vm-runtime-x.tar.zst'))).toBe(false);
  });

  test('another digest: both are shown', async () => {
    const { make } = await place(asset('what was published'));
    await expect(make().fetch(FILE)).rejects.toThrow(
      `its SHA-256 is ${sha256('content')}, and the SHA-256 that the release's API states is ${sha256('what was published')}; try again in some minutes`,
    );
  });

  test('a release without the file', async () => {
    const { make, server } = await place([{ name: 'other' }]);
    await expect(make().fetch(FILE)).rejects.toThrow('has no vm-runtime-x.tar.zst; the workflow "Release VM Kernel"');
    expect(server.requests).toEqual([`GET /${API}`]);
  });

  test.each([
    ['no digest', [{ name: FILE.names[0], digest: null }], /, and the release's API states none; record it with/],
    ['a digest of another kind', [{ name: FILE.names[0], digest: 'md5:1' }], /states none/],
    ['something else', 'nonsense', /states none/],
  ])('%s: refused before the download', async (_, assets, reason) => {
    const { make, server } = await place(assets);
    const error = await taskErrorFrom(() => make().fetch(FILE));
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(reason) });
    expect(server.requests).toEqual([`GET /${API}`]);
  });

  test('no release: refused before the download, too', async () => {
    const { make, server } = await place(undefined);
    const error = await taskErrorFrom(() => make().fetch(FILE));
    expect(error).toMatchObject({ exitCode: 1, message: expect.stringMatching(/cannot be verified now: .*HTTP 404/) });
    expect(server.requests).toEqual([`GET /${API}`]);
  });

  test('what is recorded wins, and the API is not asked', async () => {
    const { make, server } = await place(asset('x'), { [PATH]: sha256('content') });
    expect((await make().fetch(FILE)).verified).toBe('the recorded SHA-256');
    expect(server.requests).toEqual([`GET /${PATH}`]);
  });

  test('with gh its attestation is checked besides', async () => {
    const { make, tools } = await place(asset('content'));
    tools.add('gh', [{ args: ['attestation', 'verify'], script: ':' }]);
    expect((await make().fetch(FILE)).verified).toBe("the SHA-256 that the release's API states, and its attestation");
    expect(tools.lines()).toEqual([expect.stringMatching(/^gh attestation verify \S+\.part --repo o\/r$/)]);
  });

  test.each([
    'HTTP 403: API rate limit exceeded for 1.2.3.4 (https://api.github.com/repos)',
    'HTTP 429: Too Many Requests',
    'Get "https://api.github.com": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    'error connecting to api.github.com',
    'Get "https://api.github.com": EOF',
    'context deadline exceeded',
    'proxyconnect tcp: Forbidden',
    'failed to create TUF client: open /x: read-only file system',
    'open /x/y.part: permission denied',
  ])('VT-26: a lookup that failed is no refusal: %s', async (said) => {
    const { ctx, make, tools } = await place(asset('content'));
    tools.add('gh', [{ args: ['attestation', 'verify'], script: `echo ${bashQuote(said)} >&2; exit 1` }]);
    expect((await make().fetch(FILE)).verified).toBe("the SHA-256 that the release's API states");
    expect(ctx.screen.stderr()).toContain(`warning: the runtime: its attestation could not be checked: ${said}`);
  });

  test.each(['no attestations found for subject sha256:1', 'HTTP 404: Not Found', 'verifying with issuer "x"'])(
    'VT-26: what gh does not accept is refused: %s',
    async (said) => {
      const { make, tools } = await place(asset('content'));
      tools.add('gh', [{ args: ['attestation', 'verify'], script: `echo ${bashQuote(said)} >&2; exit 1` }]);
      await expect(make().fetch(FILE)).rejects.toThrow(`gh attestation verify does not accept it: ${said}`);
    },
  );

  test.each([
    ['does not answer', status(500)],
    ['answers with a page', status(200, { 'content-type': 'text/plain' }, '<html>captive</html>')],
  ])('VT-27: an API that %s has not stated that there is nothing', async (_, fault) => {
    const { make, server } = await place(undefined);
    server.failNext(API, fault, fault, fault);
    const error = await taskErrorFrom(() => make().fetch(FILE));
    expect(error).toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/ cannot be verified now: .*; try again, or, where/),
    });
  });

  test('what the API does not tell everybody it tells gh', async () => {
    const { make, tools } = await place(undefined);
    const answer = bashQuote(JSON.stringify({ assets: asset('content') }));
    tools.add('gh', [
      { args: ['api', API], script: `echo ${answer}` },
      { args: ['attestation', 'verify'], script: ':' },
    ]);
    expect((await make().fetch(FILE)).verified).toBe("the SHA-256 that the release's API states, and its attestation");
  });

  test('an attestation that cannot be looked up is said, and the digest counts', async () => {
    const { ctx, make, tools } = await place(asset('content'));
    tools.add('gh', [{ args: ['attestation', 'verify'], script: 'echo "dial tcp: i/o timeout" >&2; exit 1' }]);
    expect((await make().fetch(FILE)).verified).toBe("the SHA-256 that the release's API states");
    expect(ctx.screen.stderr()).toContain('warning: the runtime: its attestation could not be checked: dial tcp');
  });
});

test('a file with two names: the one that is recorded, by its digest', async () => {
  const file: ReleaseFile = {
    what: 'umoci',
    repository: 'o/r',
    tag: 'rolling',
    names: ['umoci.linux.amd64', 'umoci.amd64'],
  };
  const key = (name: string) => `o/r/releases/download/rolling/${name}`;
  const { make, scratch, server } = await place(undefined, { [key('umoci.amd64')]: sha256('two') });
  server.add(key('umoci.linux.amd64'), 'one').add(key('umoci.amd64'), 'two');
  expect((await make().fetch(file)).content.toString()).toBe('two');
  server.add(key('umoci.amd64'), 'one');
  rmSync(scratch, { recursive: true });
  await expect(make().fetch(file)).rejects.toThrow('is refused: its SHA-256 is ');
});

describe('VT-7, VT-11, VT-12: the directory of downloads', () => {
  const PINS = { [PATH]: sha256('content') };

  test('what was verified stays until it is staged, and is not downloaded again', async () => {
    const { make, server } = await place(undefined, PINS);
    await make().fetch(FILE);
    expect((await make().fetch(FILE)).content.toString()).toBe('content');
    expect(server.requests).toEqual([`GET /${PATH}`]);
  });

  test('it is for its owner alone, and what others have put there is not written through', async () => {
    const { make, scratch } = await place(undefined, PINS);
    const victim = join(scratch, '../victim');
    writeFileSync(victim, 'precious');
    mkdirSync(scratch);
    chmodSync(scratch, 0o777);
    symlinkSync(victim, join(scratch, `${FILE.names[0]}.${sha256('content').slice(0, 16)}.part`));
    await make().fetch(FILE);
    expect([readFileSync(victim, 'utf8'), statSync(scratch).mode & 0o777]).toEqual(['precious', 0o700]);
  });
});
