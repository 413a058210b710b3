// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { judgeRuntime, remember, trustProblem } from '../../../../lib/vm/runtime/trust.ts';
import { runtimeFiles } from '../../../../lib/vm/runtime-files.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const KEY = 'o/r/releases/download/v1/x';
const PLATFORM = 'linux-x86_64';
const FILES = Object.fromEntries(runtimeFiles(PLATFORM).map((name) => [name, 'c'.repeat(64)]));
const RECORD = { platform: PLATFORM, sources: { [KEY]: 'a'.repeat(64) }, files: FILES };

function place(record: object = RECORD) {
  const directory = temporaryDirectory();
  const pinsPath = join(directory, 'pins.json');
  const path = join(directory, '.verified.json');
  const ctx = inProcess(fakeTools());
  writeFileSync(pinsPath, '{}');
  writeFileSync(path, JSON.stringify(record));
  const judged = { directory, platform: PLATFORM, release: { pinsPath } } as const;
  return {
    ...{ directory, pinsPath, path, ctx, judged },
    problem: () => trustProblem(ctx, judged),
    rememberIt: () => remember(ctx, directory, readFileSync(path, 'utf8')),
  };
}

test('VT-1: a record counts where a run of this user has written it, and for no other text', () => {
  const { ctx, judged, path, problem, rememberIt } = place();
  expect(problem()).toBe('no run of this user has written it, so nothing vouches for the files');
  rememberIt();
  expect(problem()).toBeUndefined();
  const judgement = judgeRuntime(ctx, judged);
  expect(judgement.distrust).toContain('is NOT verified: it is of an archive that the user named; set');
  expect(judgement.files).toEqual(FILES);
  writeFileSync(path, `${readFileSync(path, 'utf8')} `);
  expect(problem()).toMatch(/^no run of this user/);
});

test('VT-2: another digest that is recorded by now', () => {
  const { pinsPath, problem, rememberIt } = place();
  rememberIt();
  writeFileSync(pinsPath, JSON.stringify({ [KEY]: 'a'.repeat(64) }));
  expect(problem()).toBeUndefined();
  writeFileSync(pinsPath, JSON.stringify({ [KEY]: 'b'.repeat(64) }));
  expect(problem()).toBe(`another SHA-256 is recorded of ${KEY} by now`);
});

test('VT-21: a record vouches for its own platform, and for the files that it names', () => {
  const other = place({ ...RECORD, platform: 'darwin-aarch64' });
  other.rememberIt();
  expect(other.problem()).toBe('what was verified is for darwin-aarch64');
  const { 'libkrun.so.zst': _, ...rest } = FILES;
  const fewer = place({ ...RECORD, files: rest });
  fewer.rememberIt();
  expect(fewer.problem()).toBe('nothing tells what libkrun.so.zst has to be');
});

test.each([
  ['HOME is not set', ''],
  [': a part of the path is not a directory (ENOTDIR)', '/dev/null'],
])('without a home it is said that the next run will not know: %s', (reason, HOME) => {
  const { ctx, directory } = place();
  remember({ ...ctx, env: { ...ctx.env, HOME } }, directory, 'x');
  expect(ctx.screen.stderr()).toMatch(/^warning: \S+ is this user's, and the next run will not know: .*; set HOME to/m);
  expect(ctx.screen.stderr()).toContain(reason);
  expect(readdirSync(directory)).toContain('.verified.json');
});
