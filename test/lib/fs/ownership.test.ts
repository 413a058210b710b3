// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../lib/cli/env.ts';
import { copyWhole, keepWithMode, sweepTemporary, writeWhole } from '../../../lib/fs/atomic-write.ts';
import { asOwner, invokerOf, makeDirectory } from '../../../lib/fs/ownership.ts';
import { makePrivateDirectory } from '../../../lib/fs/writable-places.ts';
import { onlyRoot, requireThing, requireTools } from '../../support/real-tools.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('making a directory', () => {
  test('with all above it, each with the mode; one that is there stays as it is', () => {
    const place = temporaryDirectory();
    makeDirectory(join(place, 'a/b'), 0o700);
    makeDirectory(join(place, 'a/b'), 0o755);
    for (const name of ['a', 'a/b']) expect(statSync(join(place, name)).mode & 0o777).toBe(0o700);
  });

  test('below /proc it ends, and says why not', requireThing('/proc', existsSync('/proc/self')), () => {
    expect(refusalOf(() => makeDirectory('/proc/nope/x'))).toMatch(
      /^1: the directory \/proc\/nope\/x cannot be created: \/proc\/nope: it does not exist \(ENOENT\)$/,
    );
  });

  test.each([
    ['a file in its place', 'file', 'it is not a directory'],
    ['a file on the way', 'file/x', 'PLACE/file/x: a part of the path is not a directory (ENOTDIR)'],
    ['a link to nowhere', 'link', 'PLACE/link: it does not exist (ENOENT)'],
  ])('%s is an error of one line', (_, name, reason) => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    symlinkSync('nowhere', join(place, 'link'));
    expect(refusalOf(() => makeDirectory(join(place, name)))).toBe(
      `1: the directory ${join(place, name)} cannot be created: ${reason.replace('PLACE', place)}`,
    );
    expect(existsSync(join(place, 'nowhere'))).toBe(false);
  });
});

describe('the user who called sudo', () => {
  const PASSWD = 'root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000:Dev,,,:/srv/dev:/bin/zsh\n';
  const SUDO = { SUDO_USER: 'dev', SUDO_UID: '1000', SUDO_GID: '1001' };
  const of = (env: Environment, euid: number | undefined) => invokerOf(env, { euid, passwd: () => PASSWD });

  test('P2: with the home that /etc/passwd has, and no guess', () => {
    expect(of(SUDO, 0)).toEqual({ uid: 1000, gid: 1001, user: 'dev', home: '/srv/dev' });
    expect(of({ ...SUDO, SUDO_UID: '1002' }, 0)).toMatchObject({ uid: 1002, home: undefined });
  });

  test.each<[string, Environment, number | undefined]>([
    ['this is not root', SUDO, 1000],
    ['there are no users', SUDO, undefined],
    ['this is not sudo', {}, 0],
    ['root called it', { SUDO_USER: 'root', SUDO_UID: '0', SUDO_GID: '0' }, 0],
    ['a number is not one', { ...SUDO, SUDO_UID: '-1' }, 0],
    ['a number is absent', { ...SUDO, SUDO_GID: '' }, 0],
  ])('nobody, where %s', (_, env, euid) => {
    expect(of(env, euid)).toBeUndefined();
  });
});

describe('what root makes in a directory of another user (only as root)', onlyRoot(), () => {
  const ownerOf = (path: string) => {
    const { uid, gid } = lstatSync(path);
    return [uid, gid];
  };

  const own = [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];

  test('belongs to that user, each directory on the way too', () => {
    const place = temporaryDirectory();
    chownSync(place, 1234, 1235);
    makeDirectory(join(place, 'a/b'));
    for (const name of ['a', 'a/b']) expect(ownerOf(join(place, name))).toEqual([1234, 1235]);
    asOwner(join(place, 'a'), () => symlinkSync('/', join(place, 'a/link')));
    expect(ownerOf(join(place, 'a/link'))).toEqual([1234, 1235]);
    expect(ownerOf('/')).toEqual([0, 0]);
    expect([process.geteuid?.(), process.getegid?.(), process.getgroups?.()]).toEqual(own);
  });

  const setpriv = requireTools('setpriv', 'unshare');
  test('a root who may not become another user works as it is', onlyRoot(setpriv.options), () => {
    const place = temporaryDirectory();
    const home = join(place, 'home');
    mkdirSync(home, { mode: 0o777 });
    chmodSync(home, 0o777);
    lchownSync(home, 1234, 1235);
    const file = JSON.stringify(join(import.meta.dirname, '../../../lib/fs/atomic-write.ts'));
    const script = `(await import(${file})).writeWhole(${JSON.stringify(join(home, 'file'))}, 'x', 0o644)`;
    const node = [process.execPath, '--input-type=module-typescript', '-e', script];
    execFileSync(setpriv.path('setpriv'), ['--bounding-set=-all', '--inh-caps=-all', ...node]);
    expect(readFileSync(join(home, 'file'), 'utf8')).toBe('x');
  });

  // Not every container has them, and no chroot has (user_namespaces(7)).
  const hasNamespaces = () => setpriv.ok && spawnSync(setpriv.path('unshare'), ['--user', 'true']).status === 0;
  const namespaces = requireThing('user namespaces', hasNamespaces(), onlyRoot(setpriv.options));
  test('AM-17: and so does one in a user namespace that does not have that user', namespaces, async () => {
    const place = temporaryDirectory();
    chmodSync(place, 0o777);
    chownSync(place, 1234, 1235);
    const module = JSON.stringify(join(import.meta.dirname, '../../../lib/fs/atomic-write.ts'));
    const script = `(await import(${module})).writeWhole(${JSON.stringify(join(place, 'file'))}, 'x', 0o644)`;
    const node = [process.execPath, '--input-type=module-typescript', '-e', script];
    const args = ['--user', 'bash', '-c', 'echo; read -r _; exec "$@"', 'bash', ...node];
    const child = spawn(setpriv.path('unshare'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    writeFileSync(`/proc/${child.pid}/uid_map`, '0 0 1000\n');
    writeFileSync(`/proc/${child.pid}/gid_map`, '0 0 1000\n');
    child.stdin.end('\n');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(readFileSync(join(place, 'file'), 'utf8')).toBe('x');
  });

  test('and so does one whose place the user cannot reach', () => {
    const place = join(temporaryDirectory(), 'root');
    mkdirSync(join(place, 'checkout'), { recursive: true });
    chmodSync(place, 0o700);
    lchownSync(join(place, 'checkout'), 1234, 1235);
    writeWhole(join(place, 'checkout/a/file'), 'x', 0o644);
    expect(readFileSync(join(place, 'checkout/a/file'), 'utf8')).toBe('x');
    expect([process.geteuid?.(), process.getegid?.(), process.getgroups?.()]).toEqual(own);
  });

  test('a link of root’s does not hide where a link of the user’s behind it leads', () => {
    const place = temporaryDirectory();
    const [home, victim] = [join(place, 'home'), join(place, 'victim')];
    for (const directory of [home, victim]) mkdirSync(directory);
    chmodSync(place, 0o755);
    symlinkSync(victim, join(home, 'link'));
    lchownSync(home, 1234, 1235);
    lchownSync(join(home, 'link'), 1234, 1235);
    symlinkSync(join(home, 'link'), join(place, 'outer'));
    expect(() => writeWhole(join(place, 'outer/file'), 'x', 0o644)).toThrow(/cannot be|EACCES/);
    expect(readdirSync(victim)).toEqual([]);
  });

  test('F4: is made with no more power than that user has, wherever links lead', () => {
    const place = temporaryDirectory();
    const [home, victim] = [join(place, 'home'), join(place, 'victim')];
    for (const directory of [home, victim]) mkdirSync(directory);
    writeFileSync(join(victim, 'file'), 'root', { mode: 0o640 });
    chmodSync(place, 0o755);
    symlinkSync(victim, join(home, 'link'));
    symlinkSync(join(victim, 'file'), join(home, 'file'));
    symlinkSync(join(victim, 'new'), join(home, 'dangling'));
    for (const path of [home, ...['link', 'file', 'dangling'].map((name) => join(home, name))])
      lchownSync(path, 1234, 1235);
    const tries = [
      () => makeDirectory(join(home, 'link/a/b')),
      () => makeDirectory(join(home, 'dangling')),
      () => makePrivateDirectory('S', join(home, 'link/state'), [0]),
      () => writeWhole(join(home, 'link/file'), 'planted', 0o666),
      () => copyWhole(join(victim, 'file'), join(home, 'link/copy'), 0o666),
      () => copyWhole(join(home, 'file'), join(home, 'copy'), 0o666),
      () => keepWithMode(join(home, 'link'), 0o777),
      () => keepWithMode(join(home, 'file'), 0o777),
      () => asOwner(join(home, 'file'), () => appendFileSync(join(home, 'file'), 'planted')),
    ];
    writeFileSync(join(victim, '.file.1.tmp'), '');
    for (const attempt of tries) expect(attempt).toThrow(/EACCES|EPERM|ENOENT|cannot be/);
    sweepTemporary(join(home, 'link/file'));
    expect(readdirSync(victim)).toEqual(['.file.1.tmp', 'file']);
    expect(readFileSync(join(victim, 'file'), 'utf8')).toBe('root');
    expect([statSync(victim).mode & 0o777, statSync(join(victim, 'file')).mode & 0o777]).toEqual([0o755, 0o640]);
    expect([process.geteuid?.(), process.getegid?.(), process.getgroups?.()]).toEqual(own);
  });

  test('F4: a link of root, and a link of the user to a place of his own, lead where they lead', () => {
    const place = temporaryDirectory();
    chmodSync(place, 0o755);
    for (const name of ['home', 'disk', 'system']) mkdirSync(join(place, name));
    for (const name of ['home', 'disk']) chownSync(join(place, name), 1234, 1235);
    symlinkSync(join(place, 'disk'), join(place, 'home/target'));
    lchownSync(join(place, 'home/target'), 1234, 1235);
    symlinkSync(join(place, 'home'), join(place, 'of-root'));
    symlinkSync(join(place, 'system'), join(place, 'home/of-root'));
    writeWhole(join(place, 'of-root/target/a/file'), 'x', 0o600);
    writeWhole(join(place, 'home/of-root/a/file'), 'x', 0o600);
    for (const path of ['disk/a', 'disk/a/file']) expect(ownerOf(join(place, path))).toEqual([1234, 1235]);
    for (const path of ['system/a', 'system/a/file']) expect(ownerOf(join(place, path))).toEqual([0, 0]);
  });

  test('a source that only root can read is copied, and a directory of root there stays that of root', () => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'source'), 'x'.repeat(3_000_000), { mode: 0o600 });
    chmodSync(place, 0o755);
    mkdirSync(join(place, 'home/of-root'), { recursive: true });
    chownSync(join(place, 'home'), 1234, 1235);
    for (const name of ['home/a/copy', 'home/of-root/copy']) copyWhole(join(place, 'source'), join(place, name), 0o755);
    expect(readFileSync(join(place, 'home/a/copy')).length).toBe(3_000_000);
    expect(['home/a/copy', 'home/of-root/copy'].map((name) => ownerOf(join(place, name)))).toEqual([
      [1234, 1235],
      [0, 0],
    ]);
  });
});
