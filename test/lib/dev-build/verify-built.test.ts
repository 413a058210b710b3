// SPDX-License-Identifier: Apache-2.0
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { installSupervisor, verifySupervisor } from '../../../lib/dev-build/verify-built.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A static program; the payload tells them apart. */
function program(payload = 0): Buffer {
  return buildElf({ machine: 62, payload: payload * 64 }).bytes;
}

/** Puts a file in the place of another as a linker does: a new inode. */
function replace(path: string, bytes: Buffer): void {
  writeFileSync(`${path}.new`, bytes, { mode: 0o755 });
  renameSync(`${path}.new`, path);
}

function place() {
  const directory = temporaryDirectory();
  const path = join(directory, 'openshell-sandbox');
  replace(path, program());
  return { directory, path, state: join(directory, 'state/openshell-sandbox') };
}

test('a supervisor for another machine is refused', () => {
  const { path } = place();
  expect(verifySupervisor(path, 'amd64').path).toBe(path);
  expect(refusalOf(() => verifySupervisor(path, 'arm64'))).toMatch(/^1: .*x86-64/);
});

describe('installing', () => {
  test('copies it whole, makes the directory, and leaves the same one alone', () => {
    const { path, state } = place();
    const built = verifySupervisor(path, 'amd64');
    expect(installSupervisor(built, state)).toBe('written');
    const { ino, mode } = statSync(state);
    expect(mode & 0o777).toBe(0o755);
    expect(ino).not.toBe(statSync(path).ino);
    expect(installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ino).toBe(ino);
  });

  test('one that is there is not touched', () => {
    const { path, state } = place();
    const built = verifySupervisor(path, 'amd64');
    installSupervisor(built, state);
    installSupervisor(built, state);
    const { ctimeMs } = statSync(state);
    expect(installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ctimeMs).toBe(ctimeMs);
  });

  test('a running sandbox keeps the file that it has', () => {
    const { path, state } = place();
    installSupervisor(verifySupervisor(path, 'amd64'), state);
    linkSync(state, `${state}.mounted`);
    replace(path, program(9));
    expect(installSupervisor(verifySupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(`${state}.mounted`)).toEqual(program());
    expect(readFileSync(state)).toEqual(program(9));
  });

  test('what a kill in the middle has left is swept, and half a file is never taken for it', () => {
    const { path, state } = place();
    const built = verifySupervisor(path, 'amd64');
    mkdirSync(join(state, '..'));
    writeFileSync(join(state, '..', '.openshell-sandbox.999999.tmp'), 'half');
    writeFileSync(state, program().subarray(0, 100));
    expect(installSupervisor(built, state)).toBe('written');
    expect(readFileSync(state)).toEqual(program());
    expect(readdirSync(join(state, '..'))).toEqual(['openshell-sandbox']);
  });

  test('a link in its place is replaced, and what it points at is left alone', () => {
    const { directory, path, state } = place();
    mkdirSync(join(state, '..'));
    writeFileSync(join(directory, 'other'), program());
    symlinkSync(join(directory, 'other'), state);
    expect(installSupervisor(verifySupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(join(directory, 'other'))).toEqual(program());
  });

  test('what has taken its place since it was verified is verified, too', () => {
    const { path, state } = place();
    const built = verifySupervisor(path, 'amd64');
    replace(path, buildElf({ machine: 183, payload: 192 }).bytes);
    expect(refusalOf(() => installSupervisor(built, state))).toMatch(/^1: what was built cannot be used: .*aarch64/);
    expect(readdirSync(join(state, '..'))).toEqual([]);
  });
});
