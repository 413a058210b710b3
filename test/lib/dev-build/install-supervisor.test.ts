// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf, inspectSupervisor, installSupervisor } from '../../../lib/dev-build/install-supervisor.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { refusalFrom } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A static program; the payload tells them apart. */
function program(payload = 0): Buffer {
  return buildElf({ machine: 62, payload: payload * 64 }).bytes;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
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

describe('the digest of a file', () => {
  test('is kept, and taken anew whenever the file is another', async () => {
    const { directory, path } = place();
    expect(await digestOf(path)).toBe(sha256(program()));
    const memo = join(directory, '.openshell-sandbox.sha256');
    // A wrong digest, which is used as long as the file is not read again.
    writeFileSync(memo, readFileSync(memo, 'utf8').replace(/^[0-9a-f]{64}/, 'f'.repeat(64)));
    expect(await digestOf(path)).toBe('f'.repeat(64));
    replace(path, program(1));
    expect(await digestOf(path)).toBe(sha256(program(1)));
  });

  test('written in place, with size and time as before: it is seen', async () => {
    const { path } = place();
    await digestOf(path);
    const { atime, mtime, size } = statSync(path);
    const other = Buffer.alloc(size, 7);
    writeFileSync(path, other);
    utimesSync(path, atime, mtime);
    expect(await digestOf(path)).toBe(sha256(other));
  });

  test.each(['', 'x\n', `${'0'.repeat(64)} 1 2 3\n`, `${'0'.repeat(63)}`])(
    'a broken note (%j) does not count',
    async (note) => {
      const { directory, path } = place();
      writeFileSync(join(directory, '.openshell-sandbox.sha256'), note);
      expect(await digestOf(path)).toBe(sha256(program()));
    },
  );
});

describe('looking at a supervisor', () => {
  test('gives its facts', async () => {
    const { path } = place();
    expect(await inspectSupervisor(path, 'amd64')).toMatchObject({
      path,
      sha256: sha256(program()),
      verified: 'x86-64, complete, static',
    });
  });

  test('for another machine: refused', async () => {
    const { path } = place();
    expect(await refusalFrom(() => inspectSupervisor(path, 'arm64'))).toMatch(/^1: .*x86-64/);
  });

  test('another build is just replacing it: the new one is looked at', async () => {
    const { path } = place();
    rmSync(path);
    setTimeout(() => replace(path, program(5)), 300);
    expect((await inspectSupervisor(path, 'amd64')).sha256).toBe(sha256(program(5)));
  });

  test('it never comes: an error', async () => {
    const { path } = place();
    rmSync(path);
    expect(await refusalFrom(() => inspectSupervisor(path, 'amd64'))).toMatch(/^1: .* replaced again and again/);
  });
});

describe('installing', () => {
  test('copies it whole, makes the directory, and leaves the same one alone', async () => {
    const { path, state } = place();
    const built = await inspectSupervisor(path, 'amd64');
    expect(await installSupervisor(built, state)).toBe('written');
    const { ino, mode } = statSync(state);
    expect(mode & 0o777).toBe(0o755);
    expect(ino).not.toBe(statSync(path).ino);
    expect(await installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ino).toBe(ino);
  });

  test('one that is there is not touched, so that its digest stays remembered', async () => {
    const { path, state } = place();
    const built = await inspectSupervisor(path, 'amd64');
    await installSupervisor(built, state);
    await installSupervisor(built, state);
    const { ctimeMs } = statSync(state);
    expect(await installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ctimeMs).toBe(ctimeMs);
  });

  test('a running sandbox keeps the file that it has', async () => {
    const { path, state } = place();
    await installSupervisor(await inspectSupervisor(path, 'amd64'), state);
    linkSync(state, `${state}.mounted`);
    replace(path, program(9));
    expect(await installSupervisor(await inspectSupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(`${state}.mounted`)).toEqual(program());
    expect(readFileSync(state)).toEqual(program(9));
  });

  test('what a kill in the middle has left is swept, and half a file is never taken for it', async () => {
    const { path, state } = place();
    const built = await inspectSupervisor(path, 'amd64');
    mkdirSync(join(state, '..'));
    writeFileSync(join(state, '..', '.openshell-sandbox.999999.tmp'), 'half');
    writeFileSync(state, program().subarray(0, 100));
    expect(await installSupervisor(built, state)).toBe('written');
    expect(readFileSync(state)).toEqual(program());
    expect(readdirSync(join(state, '..'))).toEqual(['.openshell-sandbox.sha256', 'openshell-sandbox']);
  });

  test('a link in its place is replaced, and what it points at is left alone', async () => {
    const { directory, path, state } = place();
    mkdirSync(join(state, '..'));
    writeFileSync(join(directory, 'other'), program());
    symlinkSync(join(directory, 'other'), state);
    expect(await installSupervisor(await inspectSupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(join(directory, 'other'))).toEqual(program());
  });

  test('one that was replaced since it was verified is not installed', async () => {
    const { path, state } = place();
    const built = await inspectSupervisor(path, 'amd64');
    replace(path, program(3));
    expect(await refusalFrom(() => installSupervisor(built, state))).toBe(
      `1: another build has replaced ${path} since it was verified; start again`,
    );
    expect(readdirSync(join(state, '..'))).toEqual([]);
  });

  test('the same content in a new file is', async () => {
    const { path, state } = place();
    const built = await inspectSupervisor(path, 'amd64');
    linkSync(path, `${path}.again`);
    replace(path, program());
    expect(await installSupervisor(built, state)).toBe('written');
  });
});
