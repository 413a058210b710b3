// SPDX-License-Identifier: Apache-2.0

/**
 * A package of real binaries: lintian looks at it, and a Debian root of its own installs, upgrades and removes it. The
 * root is made of packages from where this machine has its own.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeDeb } from '../support/fake-deb.ts';
import { listen } from '../support/listener.ts';
import { makeMiniature } from '../support/miniature.ts';
import { both, requireTools } from '../support/real-tools.ts';

const MINUTES = 60_000;
const PROGRAM = '#include <stdio.h>\nint main(int n, char **a) { if (n > 1) puts(VERSION); return 0; }\n';

/** Compiles the three programs of one version, for this machine. */
function compile(fake: FakeDeb, version: string): void {
  const source = join(fake.tools.directory, 'program.c');
  writeFileSync(source, PROGRAM);
  const path = join(fake.root, 'in/openshell');
  execFileSync('cc', ['-static', '-s', `-DVERSION="${version}"`, '-o', path, source]);
  for (const name of ['openshell-gateway', 'openshell-driver-vm']) copyFileSync(path, join(fake.root, 'in', name));
}

async function packed(fake: FakeDeb, version: string): Promise<string> {
  compile(fake, version);
  const result = await fake.package({ OPENSHELL_DEB_VERSION: version });
  expect(result.status, result.stderr).toBe(0);
  return result.stdout.trim();
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: it is dpkg-query's
const FORMAT = '${Version} ${db:Status-Status}';

/** What is said of any package of these parts, and why it is so. */
const SAID = [
  // The name of the changelog is that of the bash task's package.
  'debian-changelog-file-missing-or-wrong-name',
  'initial-upload-closes-no-bugs',
  // Nobody has written any.
  'no-manual-page',
  // The miniature has nothing to do there.
  'maintainer-script-empty',
  // A sentence that names the licence stands for the whole.
  'copyright-not-using-common-license-for-apache2',
  'no-copyright-file',
  'copyright-without-copyright-notice',
  // Static, to run in any root.
  'statically-linked-binary',
];

const lintian = requireTools('dpkg-deb', 'lintian', 'cc', 'glibc-static');
test('lintian has nothing to say of modes, dates, control file and scripts', {
  ...lintian.options,
  timeout: MINUTES,
}, async () => {
  const fake = new FakeDeb().useRealDpkg();
  const deb = await packed(fake, '1.2.3-1');
  const { stdout } = spawnSync('lintian', ['--no-tag-display-limit', deb], { encoding: 'utf8' });
  const tags = [...stdout.matchAll(/^[EW]: openshell: ([\w-]+)/gm)].map(([, tag]) => tag);
  expect(
    tags.filter((tag) => !SAID.includes(tag ?? '')),
    stdout,
  ).toEqual([]);
  expect(tags).toContain('no-manual-page');
});

/** Makes a root of this machine's release; gives why that cannot be. */
function makeRoot(root: string): string | undefined {
  const release = /^VERSION_CODENAME=(\w+)/m.exec(
    existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
  )?.[1];
  const format = ['--format', 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages', 'Origin: Debian'];
  const sources = spawnSync('apt-get', ['indextargets', ...format], { encoding: 'utf8' }).stdout ?? '';
  if (release === undefined || sources.trim() === '') return 'apt-get names no Debian archive here';
  const args = ['--variant=essential', '--quiet', release, root, '-'];
  const made = spawnSync('mmdebstrap', args, { input: sources, encoding: 'utf8', timeout: 5 * MINUTES });
  return made.status === 0 ? undefined : `mmdebstrap: ${made.stderr?.trim().split('\n').at(-1)}`;
}

const tools = requireTools('dpkg-deb', 'mmdebstrap', 'cc', 'glibc-static');
describe('in a Debian root', tools.options, () => {
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'openshell-tasks-root-')));
  const root = join(scratch, 'root');
  let problem: string | undefined;
  beforeAll(() => {
    problem = makeRoot(root);
    if (problem !== undefined && process.env.CI) throw new Error(problem);
  }, 6 * MINUTES);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const inRoot = (...argv: string[]) => {
    const { status, stdout, stderr } = spawnSync('chroot', [root, ...argv], { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };
  const state = () => inRoot('dpkg-query', '-W', '-f', FORMAT, 'openshell').output;
  const install = (deb: string) => {
    copyFileSync(deb, join(root, 'tmp/openshell.deb'));
    return inRoot('dpkg', '-i', '/tmp/openshell.deb');
  };

  test("DEB-1: it is installed, upgraded, downgraded and removed, and its files are root's", async ({ skip }) => {
    if (problem !== undefined) return skip(problem);
    const fake = new FakeDeb().useRealDpkg();
    const first = await packed(fake, '1.0~rc1-1');
    const second = await packed(fake, '1.0-1');
    expect(install(first)).toMatchObject({ status: 0 });
    expect(state()).toBe('1.0~rc1-1 installed');
    expect(inRoot('/usr/bin/openshell', '--version').output).toBe('1.0~rc1-1\n');
    // By the rules of Debian the release comes after its candidate.
    expect(install(second).output).toContain('Unpacking openshell (1.0-1) over (1.0~rc1-1)');
    expect(inRoot('/usr/bin/openshell-gateway', '--version').output).toBe('1.0-1\n');
    expect(inRoot('dpkg', '--verify', 'openshell')).toEqual({ status: 0, output: '' });
    const owners = inRoot('sh', '-c', 'dpkg -L openshell | xargs stat -c "%U:%G %a %n"').output.trim().split('\n');
    expect(owners.filter((line) => !/^root:root (755|644) /.test(line))).toEqual([]);
    expect(inRoot('sh', '-c', 'dpkg -L openshell | grep /etc/').output).toBe('');
    expect(install(first).output).toContain('downgrading openshell from 1.0-1 to 1.0~rc1-1');
    expect(inRoot('dpkg', '-r', 'openshell')).toMatchObject({ status: 0 });
    expect(existsSync(join(root, 'usr/bin/openshell'))).toBe(false);
    expect(install(second)).toMatchObject({ status: 0 });
    expect(inRoot('dpkg', '-P', 'openshell')).toMatchObject({ status: 0 });
    expect(state()).toContain('no packages found');
    for (const path of [
      'usr/libexec/openshell',
      'usr/share/doc/openshell',
      'usr/lib/systemd/user/openshell-gateway.service',
    ]) {
      expect(existsSync(join(root, path)), path).toBe(false);
    }
  });

  test.each([
    ['postinst', ['configure', 'abort-upgrade', 'abort-remove', 'abort-deconfigure'], ['nonsense']],
    ['prerm', ['remove', 'upgrade', 'deconfigure', 'failed-upgrade'], ['nonsense']],
    ['postrm', ['remove', 'purge', 'upgrade', 'abort-install', 'disappear', 'failed-upgrade'], []],
  ])('%s takes each verb of dpkg', async (name, good, bad) => {
    const fake = new FakeDeb();
    const script = join(fake.root, 'deploy/deb', `${name}.sh`);
    const run = (verb: string) => spawnSync('dash', [script, verb, '1.0']).status;
    expect(good.filter((verb) => run(verb) !== 0)).toEqual([]);
    expect(bad.filter((verb) => run(verb) === 0)).toEqual([]);
  });

  const cargo = requireTools('cargo');
  test('DPI-1, DPI-2: from source to a registered service, with real cargo and dpkg', {
    ...both(tools.options, cargo.options),
    timeout: 5 * MINUTES,
  }, async ({ skip }) => {
    if (problem !== undefined) return skip(problem);
    const fake = new FakeDeb().useRealDpkg();
    const { root: checkout } = makeMiniature({ at: join(fake.tools.directory, 'mini') });
    addCli(checkout);
    const chroot = (...argv: string[]) => `PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot ${root} ${argv.join(' ')}`;
    const replaced = ['dpkg', 'cargo', 'cargo-zigbuild', 'rustc', 'rustup', 'zig', 'cc'];
    for (const name of replaced) rmSync(join(fake.tools.bin, name));
    fake.tools.add('dpkg', [
      { args: ['--print-architecture'], script: 'echo amd64' },
      { args: ['-i'], script: `PATH=/bin cp "$2" ${root}/tmp/local.deb; ${chroot('dpkg', '-i', '/tmp/local.deb')}` },
    ]);
    for (const name of ['openshell', 'openshell-gateway']) {
      fake.tools.add(name, [{ args: [], script: chroot(`/usr/bin/${name}`, '"$@"') }]);
    }
    fake.setService('active');
    const env = { ...cargo.env, PATH: `${fake.tools.bin}:${cargo.env.PATH}`, OPENSHELL_ROOT: checkout };
    const { screen } = await fake.install({ port: await listen('127.0.0.1'), isRoot: true }, env);
    expect(screen.stdout()).toBe(`${checkout}/artifacts/openshell_0.0.0-local_amd64.deb\n`);
    expect(screen.stderr()).toContain('WITHOUT its runtime');
    expect(state()).toBe('0.0.0-local installed');
    expect(inRoot('/usr/bin/openshell', 'x').output).toBe('openshell x\n');
    expect(inRoot('dpkg', '-P', 'openshell')).toMatchObject({ status: 0 });
  });
});

/** The miniature has no command-line program. */
function addCli(checkout: string): void {
  const directory = join(checkout, 'crates/openshell-cli');
  mkdirSync(join(directory, 'src'), { recursive: true });
  const bin = '[[bin]]\nname = "openshell"\npath = "src/main.rs"\n';
  writeFileSync(
    join(directory, 'Cargo.toml'),
    `[package]\nname = "openshell-cli"\nversion = "0.0.0"\nedition = "2024"\n\n${bin}`,
  );
  writeFileSync(
    join(directory, 'src/main.rs'),
    'fn main() { println!("openshell {}", std::env::args().skip(1).collect::<Vec<_>>().join(" ")) }\n',
  );
}
