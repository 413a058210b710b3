// SPDX-License-Identifier: Apache-2.0

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runtimeDefects } from '../../../lib/vm/runtime-files.ts';
import { readContent } from '../../../lib/zstd/decompress.ts';
import { FakeRuntime, PATHS } from '../../support/fake-runtime.ts';
import { breakOffAfter, sha256, stallAfter, status } from '../../support/release-server.ts';

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

test('from nothing, and a second time: nothing to do, nothing asked of the network', async () => {
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
    /^nothing to do: \S+ has a complete runtime for linux-x86_64; verified: the recorded SHA-256$/m,
  );
  expect(fake.tools.lines()).toEqual([]);
});
