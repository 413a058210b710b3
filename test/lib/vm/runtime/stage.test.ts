// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InterruptedError } from '../../../../lib/errors.ts';
import type { RuntimeConfig } from '../../../../lib/vm/runtime/config.ts';
import { type Collected, recoverRuntime, stageRuntime } from '../../../../lib/vm/runtime/stage.ts';
import { runtimeDefects } from '../../../../lib/vm/runtime-files.ts';
import { runtimeContents } from '../../../support/fake-runtime.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { runtimePart } from '../../../support/runtime-parts.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const PLATFORM = 'linux-x86_64';

const PART = { what: 'x', repository: 'o/r', tag: 'v1', names: ['x'] } as const;

/** What is staged into a directory of the test. */
function staging() {
  const directory = join(temporaryDirectory(), 'runtime');
  const release = { baseUrl: '', apiUrl: '', stallMs: 1, pinsPath: '' };
  const parts = { runtime: PART, gvproxy: PART, umoci: PART };
  const config: RuntimeConfig = { root: directory, platform: PLATFORM, directory, release, ...parts };
  const runtime: Collected = { contents: runtimeContents(PLATFORM), sources: {}, verified: 'by the test' };
  const ctx = inProcess(fakeTools());
  const stage = (own: Partial<Collected> = {}) => stageRuntime(ctx, config, { ...runtime, ...own }, false);
  return { ctx, directory, runtime, stage };
}

const beside = (directory: string, ending: string) => directory.replace(/runtime$/, `.runtime.${ending}`);

test('killed between the two renames: the old one is there again, with the bundle', async () => {
  const one = staging();
  await one.stage();
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
  const one = staging();
  const victim = temporaryDirectory();
  writeFileSync(join(victim, 'umoci.zst'), 'precious');
  symlinkSync(victim, beside(one.directory, 'new'));
  recoverRuntime(one.directory);
  await one.stage();
  expect(readFileSync(join(victim, 'umoci.zst'), 'utf8')).toBe('precious');
});

test('a signal ends it before anything is in place', async () => {
  const one = staging();
  const { ctx } = one;
  ctx.signals.listen();
  try {
    setImmediate(() => process.emit('SIGTERM', 'SIGTERM'));
    await expect(one.stage()).rejects.toBeInstanceOf(InterruptedError);
  } finally {
    ctx.signals.stop();
  }
  expect(existsSync(one.directory)).toBe(false);
  expect(existsSync(beside(one.directory, 'new'))).toBe(false);
});

test('a second version: only what is new is compressed; a third time nothing is', async () => {
  const one = staging();
  await one.stage();
  const contents = new Map([...one.runtime.contents, ['gvproxy', runtimePart(PLATFORM, 'gvproxy', 'new')]]);
  expect(await one.stage({ contents })).toBe('set up');
  expect(
    one.ctx.screen
      .stderr()
      .match(/^==> compression of .*/gm)
      ?.at(-1),
  ).toMatch(/^==> compression of gvproxy \(/);
  expect(runtimeDefects(one.directory, PLATFORM)).toEqual([]);
  expect(await one.stage({ contents })).toBe('unchanged');
  expect(await one.stage({ contents, provenance: '{}\n' })).toBe('set up');
  expect(one.ctx.screen.stderr().match(/^==> compression of /gm)).toHaveLength(2);
  expect(readFileSync(join(one.directory, 'provenance.json'), 'utf8')).toBe('{}\n');
});
