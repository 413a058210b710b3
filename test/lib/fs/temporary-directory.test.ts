// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isLeftover, newRunName, removeScratch, temporaryRoot } from '../../../lib/fs/temporary-directory.ts';
import { onlyRoot, requireTools } from '../../support/real-tools.ts';
import { endedRun } from '../../support/run-names.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const MODULE = join(import.meta.dirname, '../../../lib/fs/temporary-directory.ts');

describe('the directory for temporary files', () => {
  const before = process.env.TMPDIR;
  afterEach(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });

  test('is TMPDIR', () => {
    const place = temporaryDirectory();
    process.env.TMPDIR = place;
    expect(temporaryRoot()).toBe(place);
  });

  test('AM-12: of root, it is no directory that another user can lead elsewhere', onlyRoot(), () => {
    const place = temporaryDirectory();
    chownSync(place, 65534, 65534);
    process.env.TMPDIR = place;
    expect(temporaryRoot()).toBe('/tmp');
  });

  test.each(['/dev/null', '/nowhere/at/all'])('TMPDIR=%s is refused', (directory) => {
    process.env.TMPDIR = directory;
    expect(refusalOf(() => temporaryRoot())).toMatch(
      /^2: (TMPDIR is '\/nowhere\/at\/all'; set it to|\/dev\/null cannot be written: .* set TMPDIR to another directory)/,
    );
  });
});

describe('leftovers', () => {
  test('of this run, of a dead one, of another program', () => {
    expect(isLeftover(`openshell-publish-${newRunName()}`)).toBe(false);
    expect(isLeftover(`localhost/openshell-publish/gateway:${endedRun()}`)).toBe(true);
    for (const name of [
      'openshell-publish',
      'x:dev',
      'x-0-0123abcd-0123abcd',
      'x-999999999-0123',
      'x-999999999-0123abcd-0123abcd',
    ]) {
      expect(isLeftover(name), name).toBe(false);
    }
  });

  const apart = requireTools('unshare');
  test('AH-5: a run that another container has is none', onlyRoot(apart.options), () => {
    const name = newRunName();
    const code = `const { isLeftover } = await import(${JSON.stringify(MODULE)}); console.log(isLeftover('x-${name}'))`;
    const node = [process.execPath, '--input-type=module-typescript', '-e', code];
    const args = ['--pid', '--fork', '--mount-proc', ...node];
    expect(execFileSync(apart.path('unshare'), args, { encoding: 'utf8' })).toBe('false\n');
  });

  test('no two runs have the same name', () => {
    expect(newRunName()).not.toBe(newRunName());
  });
});

test("what root has created in another user's directory is removed, too", onlyRoot(), () => {
  const temporary = temporaryDirectory();
  for (const name of ['x-1', 'x-2', 'y-1']) mkdirSync(join(temporary, name));
  for (const path of [temporary, join(temporary, 'x-1'), join(temporary, 'y-1')]) chownSync(path, 65534, 65534);
  chmodSync(temporary, 0o755);
  const warnings: string[] = [];
  removeScratch(
    join(temporary, 'x-1'),
    'x-',
    () => true,
    (reason) => warnings.push(reason),
  );
  expect(readdirSync(temporary).sort()).toEqual(['x-2', 'y-1']);
  expect(warnings).toEqual([]);
});
