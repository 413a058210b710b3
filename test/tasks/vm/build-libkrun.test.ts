// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PRODUCT } from '../../../lib/product.ts';
import { FakeLibkrun, KERNEL_NAME, libkrunTools } from '../../support/fake-libkrun.ts';
import { onlyRoot, requireTools } from '../../support/real-tools.ts';
import { whenSaid } from '../../support/run-task.ts';

/** The packages that a build needs on Debian. */
const DEBIAN = [
  ...['build-essential', 'git', 'python3', 'python3-pyelftools', 'flex', 'bison', 'libelf-dev', 'libssl-dev'],
  ...['libcap-ng-dev', 'bc', 'curl', 'libclang-dev', 'cpio'],
];
const STAGED = ['libkrun.so', 'libkrunfw.so.5.3.0', 'kernel.c', 'ABI_VERSION'];

async function built(checkout: FakeLibkrun, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const result = await checkout.build(env);
  expect(result.status, result.stderr).toBe(0);
  return result.stderr;
}

/** What the kernel that was built last is configured with. */
function kernelConfig(checkout: FakeLibkrun): string[] {
  return checkout
    .read('kernel.c')
    .split('\n')
    .filter((line) => line.startsWith('CONFIG_'));
}

describe('building libkrun', { ...libkrunTools.options, timeout: 60_000 }, () => {
  test('BLD-6: from nothing: the pinned commits, and all that staging, packaging and macOS need', async () => {
    const checkout = new FakeLibkrun();
    const result = await checkout.build();
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout.trim().split('\n')).toEqual(STAGED.map((name) => join(checkout.out, name)));
    const record = JSON.parse(checkout.read('build.json'));
    expect(record).toEqual({
      libkrunfw: { commit: checkout.head('libkrunfw') },
      libkrun: { commit: checkout.head('libkrun') },
      kernel: KERNEL_NAME,
    });
    expect(checkout.read('ABI_VERSION')).toBe('5\n');
    expect(kernelConfig(checkout)).toEqual([
      'CONFIG_64BIT=y',
      'CONFIG_BRIDGE=y',
      'CONFIG_NETFILTER=y',
      'CONFIG_NF_NAT=m',
    ]);
    expect(STAGED.map((name) => statSync(join(checkout.out, name)).mode & 0o777)).toEqual([0o755, 0o755, 0o644, 0o644]);
    const [build] = checkout.tools.calls().filter(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
    expect(build?.args.slice(0, 6)).toEqual(['build', '--release', '--locked', '--features', 'blk', '--features']);
    expect(checkout.readGit('libkrunfw', 'rev-list', '--count', 'HEAD'), 'no history').toBe('1');
    expect(build?.env.LIBCLANG_PATH).toBe(join(checkout.directory, 'libclang'));
  });

  test('BLD-4: a tree that was made from the same is kept, and nothing is asked of the network for a commit', async () => {
    const checkout = new FakeLibkrun();
    const commits = { LIBKRUN_REF: checkout.head('libkrun') };
    await built(checkout, commits);
    const image = process.arch === 'arm64' ? 'arch/arm64/boot/Image' : 'arch/x86/boot/bzImage';
    const kernelTime = () => statSync(join(checkout.out, 'libkrunfw', KERNEL_NAME, image)).mtimeMs;
    const before = kernelTime();
    checkout.goOffline();
    expect(await built(checkout, commits)).toContain(`${KERNEL_NAME} is configured already`);
    expect(kernelTime(), 'make has built no kernel').toBe(before);
  });

  test('BLD-4: an option that was removed is gone; the tree is made anew', async () => {
    const checkout = new FakeLibkrun();
    checkout.setFragment('CONFIG_BRIDGE=y\nCONFIG_NETFILTER=y\nCONFIG_NF_NAT=y\nCONFIG_OLD=y\n');
    await built(checkout);
    expect(kernelConfig(checkout)).toContain('CONFIG_OLD=y');
    checkout.setFragment('CONFIG_BRIDGE=y\nCONFIG_NETFILTER=y\nCONFIG_NF_NAT=y\n');
    expect(await built(checkout)).toContain(`${KERNEL_NAME} is made anew: `);
    expect(kernelConfig(checkout)).toEqual([
      'CONFIG_64BIT=y',
      'CONFIG_BRIDGE=y',
      'CONFIG_NETFILTER=y',
      'CONFIG_NF_NAT=y',
    ]);
  });

  test('BLD-4: another commit with the same kernel gets a tree of its own, and no library of the old one is left', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const makefile = checkout.git('libkrunfw', 'show', 'HEAD:Makefile').replace('5.3.0', '5.4.0');
    checkout.pin(checkout.commit('libkrunfw', { Makefile: `${makefile}\n`, 'config-libkrunfw': 'CONFIG_NEW=y\n' }));
    expect(await built(checkout)).toContain(`${KERNEL_NAME} is made anew: `);
    expect(kernelConfig(checkout)[0]).toBe('CONFIG_NEW=y');
    expect(readdirSync(checkout.out).filter((name) => name.startsWith('libkrunfw.so'))).toEqual(['libkrunfw.so.5.4.0']);
  });

  test.each([
    ['LIBKRUNFW_REF', 'libkrunfw'],
    ['LIBKRUN_REF', 'libkrun'],
  ])('BLD-1: %s that does not exist is fatal, and the files of the build before stay', async (variable, name) => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const before = STAGED.map((file) => checkout.read(file));
    const result = await checkout.build({ [variable]: 'v9.9.9' });
    expect(result).toMatchObject({ status: 128, stdout: '' });
    expect(result.stderr).toMatch(
      new RegExp(
        `^fatal: couldn't find remote ref v9\\.9\\.9\nerror: git .*/${name}\\.git v9.9.9 failed with status 128`,
        'm',
      ),
    );
    expect(STAGED.map((file) => checkout.read(file))).toEqual(before);
    await built(checkout);
  });

  test('a tag that was moved is fetched anew; an annotated one and a branch count, too', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const commit = checkout.commit('libkrun', { 'Cargo.toml': '[workspace]\n# new\n' });
    checkout.git('libkrun', 'tag', '--force', '--annotate', '--message', 'x', 'v1.17.4');
    await built(checkout);
    expect(JSON.parse(checkout.read('build.json')).libkrun).toEqual({ commit });
    expect(checkout.read('libkrun.so')).toContain('# new');
    checkout.git('libkrun', 'branch', 'feature/x', 'HEAD~1');
    await built(checkout, { LIBKRUN_REF: 'feature/x' });
    expect(checkout.read('libkrun.so')).not.toContain('# new');
  });

  test('changes of a user in a source are neither built nor thrown away', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const path = join(checkout.out, 'libkrun/Cargo.toml');
    writeFileSync(path, 'mine');
    const result = await checkout.build();
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(
      /libkrun has changes that are not in its commit \(Cargo\.toml\); undo them or remove it/,
    );
    expect(checkout.read('libkrun/Cargo.toml')).toBe('mine');
  });

  test('a source directory that is no repository is not built, and the one around it is left alone', async () => {
    const checkout = new FakeLibkrun();
    const git = (...args: readonly string[]) =>
      spawnSync(libkrunTools.path('git'), args, { cwd: checkout.root, encoding: 'utf8' }).stdout;
    git('init', '--quiet');
    mkdirSync(join(checkout.out, 'libkrunfw'), { recursive: true });
    writeFileSync(join(checkout.out, 'libkrunfw/Makefile'), 'mine');
    const result = await checkout.build();
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/would be overwritten by checkout:\n\tMakefile\n/);
    expect(checkout.read('libkrunfw/Makefile')).toBe('mine');
    expect(git('for-each-ref')).toBe('');
  });

  test("git's own variables lead to no other repository", async () => {
    const checkout = new FakeLibkrun();
    await built(checkout, { GIT_DIR: join(checkout.root, 'nowhere'), GIT_INDEX_FILE: '/nowhere/index' });
    expect(existsSync(join(checkout.out, 'libkrunfw/.git'))).toBe(true);
  });

  test('a ref that cannot be fetched does not make the commit that is there unusable', async () => {
    const checkout = new FakeLibkrun();
    const commits = { LIBKRUN_REF: checkout.head('libkrun') };
    await built(checkout, commits);
    checkout.goOffline();
    for (const LIBKRUN_REF of ['v9', 'abcdef1', '0'.repeat(39).concat('1')]) {
      expect((await checkout.build({ LIBKRUN_REF })).status).toBe(128);
    }
    await built(checkout, commits);
  });

  test('a download of the kernel that was cut off is no obstacle', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    rmSync(join(checkout.out, '.kernel.json'));
    rmSync(join(checkout.out, 'libkrunfw/tarballs/kernel/Makefile'));
    await built(checkout);
    expect(JSON.parse(checkout.read('.kernel.json')).kernel).toBe(KERNEL_NAME);
  });

  test('BLD-7: a target that is set for cargo has no effect, and a library for another machine is refused', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout, { CARGO_BUILD_TARGET: 'riscv64gc-unknown-linux-gnu' });
    const [build] = checkout.tools.calls().filter(({ tool, args }) => tool === 'cargo' && args[0] === 'build');
    expect(build?.env.CARGO_BUILD_TARGET).toBeUndefined();
    rmSync(checkout.out, { recursive: true });
    checkout.setLibrary(process.arch === 'arm64' ? 'amd64' : 'arm64');
    const result = await checkout.build();
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/error: cargo has built another library than is wanted: \S+libkrun\.so: is for /);
    expect(existsSync(join(checkout.out, 'libkrun.so'))).toBe(false);
  });

  test("BLD-8: files and commits of a user's are neither overwritten nor lost unseen", async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const source = join(checkout.out, 'libkrun');
    writeFileSync(join(source, 'NOTES'), 'mine');
    writeFileSync(join(source, '.git/info/exclude'), 'NOTES\n');
    checkout.commit('libkrun', { NOTES: 'theirs' });
    const main = { LIBKRUN_REF: 'main' };
    const result = await checkout.build(main);
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(
      /would be overwritten by checkout:\n\tNOTES\n(.*\n)*error: git .* checkout .* failed with /,
    );
    writeFileSync(join(source, '.git/info/exclude'), '');
    expect((await checkout.build(main)).stderr).toMatch(/would be overwritten by checkout:\n\tNOTES\n/);
    expect(checkout.read('libkrun/NOTES')).toBe('mine');
    rmSync(join(source, 'NOTES'));
    await built(checkout, main);
    expect(checkout.read('libkrun/NOTES')).toBe('theirs');
    checkout.readGit('libkrun', 'commit', '--quiet', '--allow-empty', '--message', 'mine');
    const mine = checkout.readGit('libkrun', 'rev-parse', '--short', 'HEAD');
    expect(await built(checkout)).toMatch(
      new RegExp(`^Warning: you are leaving \\d commits? behind, [\\s\\S]*\n {2}${mine} mine\n`, 'm'),
    );
  });

  test('BLD-10: why a source cannot be fetched is what git says; a commit that is not there is named', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const why = async (ref: string) => (await checkout.build({ LIBKRUN_REF: ref })).stderr;
    const nowhere = '0'.repeat(39).concat('1');
    expect(await why(nowhere)).toMatch(new RegExp(`^fatal: .*not our ref ${nowhere}`, 'm'));
    expect(await why('abcdef1')).toMatch(/^error: git .* abcdef1 failed with status 128 /m);
    checkout.goOffline();
    expect(await why('main')).toMatch(
      /^fatal: .*does not appear to be a git repository[\s\S]*^error: git .* main failed with status 128 /m,
    );
  });

  test('BLD-11: the lock of a git that may be at work is not removed', async () => {
    const checkout = new FakeLibkrun();
    await built(checkout);
    const lock = join(checkout.out, 'libkrun/.git/index.lock');
    writeFileSync(lock, '');
    checkout.commit('libkrun', { x: '' });
    const result = await checkout.build({ LIBKRUN_REF: 'main' });
    expect(result.status).toBe(128);
    expect(result.stderr).toContain(`Unable to create '${lock}': File exists.`);
    expect(existsSync(lock)).toBe(true);
    // Where nothing has to be changed it does not matter.
    await built(checkout, { LIBKRUN_REF: checkout.readGit('libkrun', 'rev-parse', 'HEAD') });
  });

  test('a kernel without an option that sandboxes need is not built', async () => {
    const checkout = new FakeLibkrun();
    checkout.setFragment('CONFIG_BRIDGE=y\n# CONFIG_NF_NAT is not set\n');
    const result = await checkout.build();
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/\/\.config has no CONFIG_NETFILTER, CONFIG_NF_NAT; look at what merge_config\.sh/);
    expect(existsSync(join(checkout.out, 'kernel.c'))).toBe(false);
  });

  test('without a fragment: a warning, and the configuration of libkrunfw', async () => {
    const checkout = new FakeLibkrun();
    rmSync(join(checkout.root, PRODUCT.kernelFragment));
    expect(await built(checkout)).toContain('warning: the checkout has no openshell.kconfig');
    expect(kernelConfig(checkout)).toEqual(['CONFIG_64BIT=y']);
  });

  test('BLD-5: a Makefile that names no kernel is an error', async () => {
    const checkout = new FakeLibkrun();
    checkout.pin(checkout.commit('libkrunfw', { Makefile: 'KERNEL_VERSION=\n' }));
    const result = await checkout.build();
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/the Makefile of libkrunfw has no line such as KERNEL_VERSION = linux-6\.12\.76/);
  });

  test('a failing cargo: its status, and a failing make too; nothing is put in place', async () => {
    const checkout = new FakeLibkrun();
    checkout.setLibkrunCargo('exit 101');
    expect((await checkout.build()).status).toBe(101);
    expect(readdirSync(checkout.out).filter((name) => STAGED.includes(name))).toEqual([]);
    const makefile = checkout.git('libkrunfw', 'show', 'HEAD:Makefile').replace('python3', '/bin/false');
    checkout.pin(checkout.commit('libkrunfw', { Makefile: makefile }));
    const result = await checkout.build();
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/error: make -j\d+ failed with status 2 in /);
  });

  test('Ctrl-C during the build ends it, and the next build does everything that was left', async () => {
    const checkout = new FakeLibkrun();
    checkout.setLibkrunCargo('/bin/sleep 30');
    const result = await checkout.build({}, [], {
      onStart: whenSaid('cargo build --release', (child) => child.kill('SIGINT')),
    });
    expect(result.status).toBe(130);
    checkout.setLibkrunCargo();
    await built(checkout);
    expect(STAGED.filter((name) => !existsSync(join(checkout.out, name)))).toEqual([]);
  });

  test('two at once: the second waits for the first', async () => {
    const checkout = new FakeLibkrun();
    // The first build ends when the second run has said that it waits.
    const go = join(checkout.tools.directory, 'go');
    checkout.setLibkrunCargo(`until [[ -e ${go} ]]; do /bin/sleep 0.02; done`);
    const onStart = whenSaid('waiting for another build', () => writeFileSync(go, ''));
    const results = await Promise.all([1, 2].map(() => checkout.build({}, [], { onStart })));
    expect(results.map(({ status }) => status)).toEqual([0, 0]);
    expect(results.map(({ stderr }) => stderr).join('')).toContain(
      'waiting for another build of libkrun in this checkout',
    );
  });

  test('a dry run prints the commands and starts only probes', async () => {
    const checkout = new FakeLibkrun();
    const result = await checkout.build({}, ['--dry-run']);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toContain(`make linux-VERSION\n`);
    expect(result.stdout).toMatch(/^LIBCLANG_PATH=\S+ cargo build --release --locked --features blk --features net /m);
    expect(result.stdout).toContain(`# writes ${join(checkout.out, 'libkrun.so')}\n`);
    expect(existsSync(checkout.out)).toBe(false);
    expect(checkout.tools.lines().filter((line) => !/^(python3|cargo --version)/.test(line))).toEqual([]);
  });
});

describe('under sudo (only as root)', onlyRoot(libkrunTools.options), () => {
  test('F18: sources, kernel and libraries belong to the user, who runs git, make and cargo', async () => {
    const checkout = new FakeLibkrun();
    const user = 1234;
    checkout.tools.add('getent', [
      { args: ['passwd'], script: `echo dev:x:${user}:${user}::${checkout.directory}/home:/` },
    ]);
    mkdirSync(join(checkout.directory, 'home'));
    checkout.libkrunEnv();
    const own = [checkout.root, checkout.directory, join(checkout.tools.directory, 'calls')];
    spawnSync('chown', ['-hR', `${user}:${user}`, ...own]);
    const result = await checkout.build({ SUDO_USER: 'dev', SUDO_UID: `${user}`, SUDO_GID: `${user}`, HOME: '/root' });
    expect(result.status, result.stderr).toBe(0);
    expect(spawnSync('find', [checkout.root, '-user', 'root'], { encoding: 'utf8' }).stdout).toBe('');
    // Git takes nothing from the repository of another user on the same machine.
    spawnSync('chown', ['-R', '0:0', join(checkout.directory, 'upstream')]);
    const container = await checkout.build();
    expect(container.status, container.stderr).toBe(0);
  });
});

const realTools = requireTools('git', 'make', 'cargo');

describe('with the real cargo', { ...realTools.options, timeout: 60_000 }, () => {
  const crate = (lock: string) => ({
    'Cargo.toml': `[workspace]

[package]
name = "libkrun"
version = "1.17.4"
edition = "2024"

[lib]
name = "krun"
crate-type = ["cdylib"]

[features]
blk = []
net = []
`,
    'Cargo.lock': lock,
    'src/lib.rs': '#[unsafe(no_mangle)]\npub extern "C" fn krun(value: i32) -> i32 {\n    value\n}\n',
  });
  const LOCK = 'version = 4\n\n[[package]]\nname = "libkrun"\nversion = "1.17.4"\n';

  function realCheckout(lock: string): FakeLibkrun {
    const checkout = new FakeLibkrun();
    for (const name of ['cargo', 'rustc', 'cc']) rmSync(join(checkout.tools.bin, name));
    checkout.commit('libkrun', crate(lock));
    checkout.git('libkrun', 'tag', '--force', 'v1.17.4');
    return checkout;
  }

  const env = (checkout: FakeLibkrun) => ({ ...realTools.env, PATH: `${checkout.tools.bin}:${realTools.env.PATH}` });

  test('the library is where cargo says, with another target directory', async () => {
    const checkout = realCheckout(LOCK);
    checkout.addApt(DEBIAN);
    await built(checkout, { ...env(checkout), CARGO_TARGET_DIR: 'elsewhere' });
    expect(checkout.read('libkrun.so').slice(1, 4)).toBe('ELF');
  });

  test('BLD-6: a lock file that does not fit is an error of cargo', async () => {
    const checkout = realCheckout('version = 4\n');
    checkout.addApt(DEBIAN);
    const result = await checkout.build(env(checkout));
    expect(result.status).toBe(101);
    expect(result.stderr).toContain('--locked');
  });
});

describe('BLD-2: packages', libkrunTools.options, () => {
  const LATE = ['python3-pyelftools', 'curl', 'libclang-dev', 'cpio'];
  const SOME = DEBIAN.filter((name) => !LATE.includes(name));

  test('missing ones are reported, and nothing is installed or built', async () => {
    const checkout = new FakeLibkrun();
    checkout.addApt(SOME);
    const result = await checkout.build();
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: packages are missing; run this with --install-deps, or: (sudo )?apt-get install -y python3-pyelftools curl libclang-dev cpio$/m,
    );
    expect(checkout.tools.calls().map(({ tool }) => tool)).toEqual(['dpkg-query']);
  });

  test('with --install-deps they are installed first', async () => {
    const checkout = new FakeLibkrun();
    checkout.addApt(SOME);
    checkout.tools.add('sudo', [{ args: ['apt-get'], script: '"$@"' }]);
    const result = await checkout.build({}, ['--install-deps']);
    expect(result.status, result.stderr).toBe(0);
    const lines = checkout.tools.lines().filter((line) => line.startsWith('apt-get'));
    expect(lines).toEqual(['apt-get update', 'apt-get install -y python3-pyelftools curl libclang-dev cpio']);
  });

  test('where all are installed nothing is, and one that was removed is missing', async () => {
    const checkout = new FakeLibkrun();
    checkout.addApt(DEBIAN);
    checkout.tools.add('sudo', []);
    expect((await checkout.build({}, ['--install-deps', '--dry-run'])).stdout).not.toContain('apt-get');
    checkout.tools.add('dpkg-query', [{ args: [], script: `echo 'config-files bc'` }]);
    expect((await checkout.build({}, ['--install-deps', '--dry-run'])).stdout).toMatch(/apt-get install -y .*\bbc\b/);
  });

  test("dnf's, and its names", async () => {
    const checkout = new FakeLibkrun();
    checkout.tools.add('dnf', []).add('rpm', [{ args: ['-qa'], script: 'printf "%s\\n" make git python3 gcc' }]);
    const result = await checkout.build();
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/or: (sudo )?dnf install -y python3-pyelftools flex bison elfutils-libelf-devel /);
  });

  test('neither manager: a warning that names what has to be here', async () => {
    const checkout = new FakeLibkrun();
    const result = await checkout.build({}, ['--dry-run']);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr).toMatch(
      /warning: neither apt-get nor dnf is on PATH; what Debian calls build-essential git /,
    );
  });
});

test('without git: refused before anything is started', async () => {
  const checkout = new FakeLibkrun();
  rmSync(join(checkout.tools.bin, 'git'));
  const result = await checkout.build();
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toContain('error: git is not on PATH; install it\n');
});
