// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InterruptedError } from '../../../../lib/errors.ts';
import { recoverRuntime, type Staging, stageRuntime } from '../../../../lib/vm/runtime/stage.ts';
import { runtimeDefects } from '../../../../lib/vm/runtime-files.ts';
import { runtimeContents } from '../../../support/fake-runtime.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { runtimePart } from '../../../support/runtime-parts.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const PLATFORM = 'linux-x86_64';

/** What is staged into a directory of the test. */
function staging(own: Partial<Staging> = {}): Staging {
  const directory = join(temporaryDirectory(), 'runtime');
  const record = { wanted: 'x', sources: {}, verified: 'by the test' };
  return { platform: PLATFORM, directory, contents: runtimeContents(PLATFORM), record, isForced: false, ...own };
}

const beside = (directory: string, ending: string) => directory.replace(/runtime$/, `.runtime.${ending}`);

test('killed between the two renames: the old one is there again, with the bundle', async () => {
  const ctx = inProcess(fakeTools());
  const one = staging();
  await stageRuntime(ctx, one);
  writeFileSync(join(one.directory, 'openshell-sandbox.zst'), 'bundle');
  const names = readdirSync(one.directory);
  mkdirSync(beside(one.directory, 'new'));
  writeFileSync(join(beside(one.directory, 'new'), 'umoci.zst'), 'half');
  renameSync(one.directory, beside(one.directory, 'old'));
  recoverRuntime(one.directory);
  expect(readdirSync(one.directory)).toEqual(names);
  expect(['new', 'old'].map((ending) => existsSync(beside(one.directory, ending)))).toEqual([false, false]);
});

test('nothing behind a link is removed', async () => {
  const ctx = inProcess(fakeTools());
  const one = staging();
  const victim = temporaryDirectory();
  writeFileSync(join(victim, 'umoci.zst'), 'precious');
  symlinkSync(victim, beside(one.directory, 'new'));
  await stageRuntime(ctx, one);
  expect(readFileSync(join(victim, 'umoci.zst'), 'utf8')).toBe('precious');
});

test('a signal ends it before anything is in place', async () => {
  const ctx = inProcess(fakeTools());
  const one = staging({ contents: runtimeContents(PLATFORM) });
  ctx.signals.listen();
  try {
    setImmediate(() => process.emit('SIGTERM', 'SIGTERM'));
    await expect(stageRuntime(ctx, one)).rejects.toBeInstanceOf(InterruptedError);
  } finally {
    ctx.signals.stop();
  }
  expect(existsSync(one.directory)).toBe(false);
  expect(existsSync(beside(one.directory, 'new'))).toBe(false);
});

test('a second version: only what is new is compressed; a third time nothing is', async () => {
  const ctx = inProcess(fakeTools());
  const one = staging();
  await stageRuntime(ctx, one);
  const contents = new Map([...one.contents, ['gvproxy', runtimePart(PLATFORM, 'gvproxy', 'new')]]);
  const second = await stageRuntime(ctx, { ...one, contents });
  expect(second.lines.filter((line) => line.startsWith('compressed'))).toEqual([
    expect.stringMatching(/^compressed: gvproxy\.zst \(0\.0 MB in /),
  ]);
  expect(runtimeDefects(one.directory, PLATFORM)).toEqual([]);
  expect((await stageRuntime(ctx, { ...one, contents })).isChanged).toBe(false);
  expect((await stageRuntime(ctx, { ...one, contents, provenance: '{}\n' })).isChanged).toBe(true);
  expect(readFileSync(join(one.directory, 'provenance.json'), 'utf8')).toBe('{}\n');
});
