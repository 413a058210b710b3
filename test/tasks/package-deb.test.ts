// SPDX-License-Identifier: Apache-2.0

/** Packaging over a fake checkout, with the machine's own dpkg-deb where what it makes counts. */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { buildElf } from '../support/elf-builder.ts';
import { FakeDeb, setBinaries } from '../support/fake-deb.ts';
import { requireTools } from '../support/real-tools.ts';
import { runMise } from '../support/run-mise.ts';
import { runProcess, SUITE_ROOT, whenSaid } from '../support/run-task.ts';

const errorsOf = (stderr: string) => stderr.match(/^error: .*$/gm) ?? [];

describe('what is wrong is said at once, and nothing is started', () => {
  test('DEB-0: required variables, all in one go, and an empty one is not set', async () => {
    const fake = new FakeDeb();
    const names = ['OPENSHELL_CLI_BINARY', 'OPENSHELL_GATEWAY_BINARY', 'OPENSHELL_DRIVER_VM_BINARY'];
    const result = await fake.package({
      ...Object.fromEntries(names.map((name) => [name, ''])),
      OPENSHELL_DEB_VERSION: '',
    });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(errorsOf(result.stderr)).toEqual([
      'error: OPENSHELL_DEB_VERSION is not set; set it to a version such as 1.2.3-1',
      'error: OPENSHELL_CLI_BINARY is not set; set it to the path of openshell',
      'error: OPENSHELL_GATEWAY_BINARY is not set; set it to the path of openshell-gateway',
      'error: OPENSHELL_DRIVER_VM_BINARY is not set; set it to the path of openshell-driver-vm',
    ]);
    expect(fake.tools.calls()).toEqual([]);
  });

  test('DEB-4: a directory, a file that cannot be executed, a FIFO, and what is for another machine', async () => {
    const fake = new FakeDeb();
    chmodSync(join(fake.root, 'in/openshell-gateway'), 0o644);
    writeFileSync(join(fake.root, 'in/openshell-driver-vm'), buildElf({ machine: 183 }).bytes);
    const result = await fake.package({ OPENSHELL_CLI_BINARY: 'in' });
    expect(result.status).toBe(2);
    expect(errorsOf(result.stderr)).toEqual([
      "error: OPENSHELL_CLI_BINARY is 'in', which is not an executable file; set it to the path of openshell",
      expect.stringMatching(/^error: OPENSHELL_GATEWAY_BINARY is '.*', which is not an executable file; set it to /),
      expect.stringMatching(/openshell-driver-vm: is for aarch64, wanted amd64 \(x86-64\); build it .* --any-machine$/),
    ]);
    execFileSync('mkfifo', ['-m', '755', join(fake.root, 'in/pipe')]);
    expect((await fake.package({ OPENSHELL_CLI_BINARY: 'in/pipe' })).stderr).toContain("is 'in/pipe', which is not");
    expect(fake.tools.calls()).toEqual([]);
  });

  test('DEB-4: --any-machine packs scripts and programs of another machine, with a warning for each', async () => {
    const fake = new FakeDeb();
    writeFileSync(join(fake.root, 'in/openshell'), '#!/bin/sh\n');
    const result = await fake.package({ OPENSHELL_DEB_ARCH: 'arm64' }, ['--any-machine']);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr.match(/^warning: packaged as it is: .*$/gm)).toHaveLength(3);
    expect(result.stdout).toBe(`${fake.root}/artifacts/openshell_1.2.3-1_arm64.deb\n`);
  });

  test.each([
    ['OPENSHELL_DEB_VERSION', '1/../../x', 'is a Debian version'],
    ['OPENSHELL_DEB_ARCH', 'x86_64', 'are amd64, arm64'],
    ['SOURCE_DATE_EPOCH', 'yesterday', 'is a whole number'],
    ['SOURCE_DATE_EPOCH', '99999999999999', 'at most 8589934591'],
    ['OPENSHELL_OUTPUT_DIR', '/dev/null/x', 'cannot be written'],
    ['TMPDIR', '/nowhere', "TMPDIR is '/nowhere'; set it to the absolute path of a directory that exists"],
    ['TMPDIR', 'in', "TMPDIR is 'in'; set it to the absolute path of a directory that exists"],
  ])('DEB-2, DEB-6: %s=%j', async (name, value, text) => {
    const fake = new FakeDeb();
    const result = await fake.package({ [name]: value });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(errorsOf(result.stderr)).toEqual([expect.stringContaining(text)]);
    expect(fake.tools.calls()).toEqual([]);
  });

  test('an authored file, dpkg-deb, and an output file that is a directory', async () => {
    const fake = new FakeDeb();
    rmSync(join(fake.root, 'deploy/deb/control.in'));
    rmSync(join(fake.tools.bin, 'dpkg-deb'));
    mkdirSync(join(fake.root, 'artifacts/openshell_1.2.3-1_amd64.deb'), { recursive: true });
    const first = await fake.package();
    expect(first.status).toBe(2);
    expect(errorsOf(first.stderr)).toEqual([
      `error: ${fake.root}/deploy/deb/control.in: it does not exist (ENOENT)`,
      expect.stringMatching(/^error: dpkg-deb is not on PATH/),
      expect.stringMatching(/_amd64\.deb cannot be written: it is a directory/),
    ]);
    const again = new FakeDeb();
    mkdirSync(join(again.root, 'artifacts/openshell_1.2.3-1_amd64.deb'), { recursive: true });
    const second = await again.package();
    expect(second.status).toBe(2);
    expect(errorsOf(second.stderr)).toEqual([
      expect.stringMatching(/_amd64\.deb cannot be written: it is a directory/),
    ]);
  });
});

test('AQ-15: the architecture is that of dpkg, else of this machine; one that is not packaged is refused', async () => {
  const fake = new FakeDeb();
  const packaged = (script: string) => {
    fake.tools.add('dpkg', [{ args: ['--print-architecture'], script }]);
    return fake.package({ OPENSHELL_DEB_ARCH: '' }, ['--any-machine', '--dry-run']);
  };
  expect((await packaged('echo arm64')).stdout).toMatch(/_arm64\.deb$/m);
  const other = await packaged('echo i386');
  expect(other.status).toBe(2);
  expect(other.stderr).toContain(
    "dpkg's architecture, 'i386', is neither amd64 nor arm64; set OPENSHELL_DEB_ARCH to amd64 or arm64",
  );
  const own = process.arch === 'x64' ? /_amd64\.deb$/m : /_arm64\.deb$/m;
  expect((await packaged('echo broken database >&2; exit 2')).stdout).toMatch(own);
  rmSync(join(fake.tools.bin, 'dpkg'));
  const without = await fake.package({ OPENSHELL_DEB_ARCH: '' }, ['--any-machine', '--dry-run']);
  expect(without.stdout).toMatch(own);
});

test('a dry run writes nothing, starts nothing, and names every file with its mode', async () => {
  const fake = new FakeDeb('a b');
  const { status, stdout } = await fake.package({ OPENSHELL_OUTPUT_DIR: 'out dir' }, ['--dry-run']);
  expect(status).toBe(0);
  expect(stdout).toContain(`cd '${fake.root}'\n# creates ${fake.temporary}/openshell-deb-`);
  expect(stdout).toMatch(/\/stage\/usr\/bin\/openshell \(0755\)$/m);
  expect(stdout).toMatch(/\/stage\/DEBIAN\/control \(0644\)$/m);
  expect(stdout).toMatch(
    /^SOURCE_DATE_EPOCH=1700000000 dpkg-deb --build --root-owner-group \/\S+\/stage \/\S+\/package\.deb$/m,
  );
  expect(stdout).toMatch(new RegExp(`^# writes ${fake.root}/out dir/openshell_1\\.2\\.3-1_amd64\\.deb$`, 'm'));
  expect(fake.tools.calls()).toEqual([]);
  expect(readdirSync(fake.root)).not.toContain('out dir');
  expect(readdirSync(fake.temporary)).toEqual([]);
});

test('DEB-3: relative paths are all from where the task was started, and absolute ones are printed', async () => {
  const fake = new FakeDeb();
  const cwd = join(fake.root, 'in');
  const own = {
    OPENSHELL_CLI_BINARY: 'openshell',
    OPENSHELL_GATEWAY_BINARY: './openshell-gateway',
    OPENSHELL_OUTPUT_DIR: '../out',
  };
  const result = await fake.package(own, [], { cwd });
  expect(result).toMatchObject({ status: 0, stdout: `${fake.root}/out/openshell_1.2.3-1_amd64.deb\n` });
  expect(result.stderr).toMatch(/^packaged: \/\S+_amd64\.deb \(1\.2\.3-1 for amd64\)$/m);
  expect((await fake.package(own, [], { cwd })).stderr).toMatch(/^unchanged: /m);
});

test('real mise: the tasks of one architecture set it, and arguments after the name are passed on', async () => {
  const fake = new FakeDeb();
  const { OPENSHELL_DEB_ARCH: _, ...env } = fake.packageEnv();
  const run = (task: string) => runMise(['run', task, '--', '--any-machine', '--dry-run'], SUITE_ROOT, env);
  const [plain, amd64, arm64] = [
    await run('package:deb'),
    await run('package:deb:amd64'),
    await run('package:deb:arm64'),
  ];
  for (const { stdout, stderr } of [plain, amd64])
    expect(stdout, stderr).toMatch(/^# writes \S+_1\.2\.3-1_amd64\.deb$/m);
  expect(arm64.stdout, arm64.stderr).toMatch(/^# writes \S+_1\.2\.3-1_arm64\.deb$/m);
});

describe('DEB-5: whole or not there', () => {
  test("dpkg-deb's own failure and status, and the package of an earlier run stays", async () => {
    const fake = new FakeDeb();
    const path = join(fake.root, 'artifacts/openshell_1.2.3-1_amd64.deb');
    expect((await fake.package()).status).toBe(0);
    const before = readFileSync(path);
    setBinaries(fake.root, 'second');
    const failed = await fake.package({ FAKE_DPKG_DEB: 'echo "no space" >&2; exit 2' });
    expect(failed).toMatchObject({ status: 2, stdout: '' });
    expect(failed.stderr).toMatch(/^error: dpkg-deb --build .* failed with status 2 in /m);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(join(fake.root, 'artifacts'))).toHaveLength(1);
    expect(readdirSync(fake.temporary)).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s while dpkg-deb runs: nothing is left', async (signal) => {
    const fake = new FakeDeb();
    const onStart = whenSaid('at work', (child) => child.kill(signal));
    const result = await fake.package({ FAKE_DPKG_DEB: 'echo at work >&2; /bin/sleep 30 & wait' }, [], { onStart });
    expect(result.status).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(readdirSync(fake.root)).not.toContain('artifacts');
    expect(readdirSync(fake.temporary)).toEqual([]);
  });
});

const dpkg = requireTools('dpkg-deb');
describe('with the real dpkg-deb', dpkg.options, () => {
  const list = (deb: string) =>
    execFileSync('dpkg-deb', ['--contents', deb], { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } });
  const control = (deb: string, into: string) => execFileSync('dpkg-deb', ['--raw-extract', deb, into]);

  test.each(['077', '002'])('DEB-1: with the umask %s all modes are as they have to be', async (umask) => {
    const fake = new FakeDeb().useRealDpkg();
    symlinkSync('in', join(fake.root, 'link'));
    const env = fake.packageEnv({ OPENSHELL_CLI_BINARY: 'link/openshell' });
    const through = ['/bin/bash', '-c', `umask ${umask}; exec "$@"`, 'bash'];
    const result = await runProcess(process.execPath, [join(import.meta.dirname, '../../tasks/package-deb.ts')], {
      cwd: fake.root,
      env,
      through,
    });
    expect(result.status, result.stderr).toBe(0);
    const deb = result.stdout.trim();
    expect(statSync(deb).mode & 0o777).toBe(0o644);
    expect(
      list(deb)
        .split('\n')
        .slice(0, -1)
        .map((line) => line.replace(/ +\d+ /, ' ')),
    ).toEqual(CONTENTS);
    const into = join(fake.tools.directory, 'raw');
    control(deb, into);
    expect(
      readdirSync(join(into, 'DEBIAN')).map((name) => [name, statSync(join(into, 'DEBIAN', name)).mode & 0o777]),
    ).toEqual([
      ['control', 0o644],
      ['postinst', 0o755],
      ['postrm', 0o755],
      ['prerm', 0o755],
    ]);
    expect(readFileSync(join(into, 'DEBIAN/control'), 'utf8')).toContain('\nVersion: 1.2.3-1\nArchitecture: amd64\n');
    expect(gunzipSync(readFileSync(join(into, 'usr/share/doc/openshell/changelog.gz'))).toString()).toBe(
      'openshell (1.2.3-1) unstable; urgency=medium\n\n  * Release build.\n\n' +
        ' -- NVIDIA OpenShell Maintainers <openshell@nvidia.com>  Tue, 14 Nov 2023 22:13:20 +0000\n',
    );
    expect(readFileSync(join(into, 'usr/share/doc/openshell/copyright'), 'utf8')).toContain('Apache-2.0');
  });

  test('DEB-5: the same bytes from copies of another time, in another place, and another date gives others', async () => {
    const [one, two] = [new FakeDeb().useRealDpkg(), new FakeDeb('elsewhere').useRealDpkg()];
    for (const name of readdirSync(join(two.root, 'in'))) utimesSync(join(two.root, 'in', name), 1, 1);
    const [first, second] = [await one.package(), await two.package()];
    expect([first.status, second.status], first.stderr).toEqual([0, 0]);
    const bytes = [first, second].map(({ stdout }) => readFileSync(stdout.trim()));
    expect(bytes[0]?.equals(bytes[1] as Buffer)).toBe(true);
    expect((await one.package({ SOURCE_DATE_EPOCH: '0' })).stderr).toMatch(/^packaged: /m);
    expect(readFileSync(first.stdout.trim()).equals(bytes[0] as Buffer)).toBe(false);
    expect(list(first.stdout.trim())).toContain('1970-01-01 00:00');
  });

  test("DEB-2: every version that is let through is one that dpkg takes, and an epoch is not in the file's name", async () => {
    const fake = new FakeDeb().useRealDpkg();
    const result = await fake.package({ OPENSHELL_DEB_VERSION: '2:1.0~rc1+b-2' });
    expect(result.stdout, result.stderr).toBe(`${fake.root}/artifacts/openshell_1.0~rc1+b-2_amd64.deb\n`);
    const field = execFileSync('dpkg-deb', ['--field', result.stdout.trim(), 'Version'], { encoding: 'utf8' });
    expect(field).toBe('2:1.0~rc1+b-2\n');
  });

  test('DEB-2: what stands in the template is put in as it is, wherever it is', async () => {
    const fake = new FakeDeb().useRealDpkg();
    const result = await fake.package();
    const shown = execFileSync('dpkg-deb', ['--field', result.stdout.trim(), 'Description'], { encoding: 'utf8' });
    expect(shown).toContain('version 1.2.3-1 for amd64');
  });
});

const CONTENTS = [
  'drwxr-xr-x root/root 2023-11-14 22:13 ./',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/bin/',
  '-rwxr-xr-x root/root 2023-11-14 22:13 ./usr/bin/openshell',
  '-rwxr-xr-x root/root 2023-11-14 22:13 ./usr/bin/openshell-gateway',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/lib/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/lib/systemd/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/lib/systemd/user/',
  '-rw-r--r-- root/root 2023-11-14 22:13 ./usr/lib/systemd/user/openshell-gateway.service',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/libexec/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/libexec/openshell/',
  '-rwxr-xr-x root/root 2023-11-14 22:13 ./usr/libexec/openshell/openshell-driver-vm',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/share/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/share/doc/',
  'drwxr-xr-x root/root 2023-11-14 22:13 ./usr/share/doc/openshell/',
  '-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/doc/openshell/changelog.gz',
  '-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/doc/openshell/copyright',
];
