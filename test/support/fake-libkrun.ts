// SPDX-License-Identifier: Apache-2.0

/**
 * A checkout that builds libkrun from repositories of its own: real git and make, Makefiles that do in a moment what
 * the real ones do in an hour, and a fake cargo. git takes the repositories for those of GitHub (`insteadOf`).
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PRODUCT } from '../../lib/product.ts';
import { buildElf } from './elf-builder.ts';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote } from './fake-tools.ts';
import { requireTools } from './real-tools.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';

export const libkrunTools = requireTools('git', 'make');

export const KERNEL_NAME = 'linux-6.12.76';
const TAG = 'v1.17.4';

/** The options without which a kernel is refused. */
export const FRAGMENT = 'CONFIG_BRIDGE=y\nCONFIG_NETFILTER=y\nCONFIG_NF_NAT=m\n';

/** As libkrunfw's: a tree with a configuration of its own, the kernel, and what carries it. Programs by their path. */
const firmware = (library: string) => ({
  Makefile: `KERNEL_VERSION = ${KERNEL_NAME}
ABI_VERSION = 5
FULL_VERSION = 5.3.0
IMAGE = $(KERNEL_VERSION)/arch/$(if $(findstring aarch64,$(shell /bin/uname -m)),arm64/boot/Image,x86/boot/bzImage)

libkrunfw.so.$(FULL_VERSION): kernel.c
\t/bin/cat ${library} kernel.c > $@
kernel.c: $(IMAGE)
\tpython3 bin2cbundle.py
\t/bin/cp $(IMAGE) $@
$(IMAGE): $(KERNEL_VERSION)
\t$(MAKE) -C $(KERNEL_VERSION) IMAGE=$(IMAGE:$(KERNEL_VERSION)/%=%)
$(KERNEL_VERSION):
\t/bin/mkdir -p tarballs
\t[ -e tarballs/kernel ] || /bin/cp -r kernel tarballs/kernel
\t/bin/cp -r tarballs/kernel $@
\t/bin/cp config-libkrunfw $@/.config
`,
  'config-libkrunfw': 'CONFIG_64BIT=y\n',
  'bin2cbundle.py': '',
  'kernel/Makefile': `all:
\t/bin/mkdir -p $(dir $(IMAGE))
\t/bin/cp .config $(IMAGE)
olddefconfig:
\t[ "$(ARCH)" ]
`,
  'kernel/scripts/kconfig/merge_config.sh': `#!/bin/bash
[[ $1 == -m && $2 == -O && $KCONFIG_CONFIG == "$4" && -n $ARCH ]] || exit 9
/bin/cat "$5" >> "$4"
`,
});

const LIBRARY = {
  Makefile: 'init/init: init/init.c\n\t/bin/cp $< $@\n',
  'init/init.c': 'int main;\n',
  'Cargo.toml': '[workspace]\n',
  'Cargo.lock': 'version = 4\n',
} as const;

/** The number of each machine in ELF files. */
const MACHINES = { amd64: 62, arm64: 183 } as const;

/** Builds a library from what is checked out, and says so as cargo does. */
const cargoBuild = (library: string) => `
[[ -s init/init ]] || { echo 'no init/init' >&2; exit 5; }
path=$PWD/target/release/libkrun.so
/bin/mkdir -p "\${path%/*}"
/bin/cat ${bashQuote(library)} Cargo.toml init/init > "$path"
printf '{"reason":"compiler-artifact","target":{"kind":["cdylib"],"name":"krun"},"filenames":["%s"]}\\n' "$path"
`;

type Name = 'libkrunfw' | 'libkrun';

export class FakeLibkrun extends FakeCheckout {
  readonly directory: string;
  /** The build directory. */
  readonly out: string;
  /** What cargo's library begins with. */
  readonly #library: string;

  constructor(name?: string) {
    super({}, name);
    this.directory = dirname(this.tools.directory);
    this.out = join(this.root, 'target/libkrun-build');
    this.#library = join(this.directory, 'library');
    for (const program of ['git', 'make', 'rm']) {
      symlinkSync(program === 'rm' ? '/bin/rm' : libkrunTools.path(program as 'git'), join(this.tools.bin, program));
    }
    this.tools.add('python3', [{ args: [], script: ':' }]);
    this.setLibrary(process.arch === 'arm64' ? 'arm64' : 'amd64');
    this.setLibkrunCargo();
    mkdirSync(join(this.directory, 'libclang'));
    writeFileSync(join(this.directory, 'libclang/libclang.so'), '');
    this.commit('libkrunfw', firmware(this.#library));
    this.commit('libkrun', LIBRARY);
    this.git('libkrun', 'tag', TAG);
    this.setFragment(FRAGMENT);
    this.commit('libkrunfw', { README: '' });
    this.pin(this.head('libkrunfw'));
  }

  /** @param before what cargo does before it builds */
  setLibkrunCargo(before = '', version = '1.95.0'): void {
    this.tools.add('cargo', [
      { args: ['--version'], script: `echo 'cargo ${version} (f2d3ce0bd 2026-03-21)'` },
      { args: ['build', '--release', '--locked'], script: `${before}\n${cargoBuild(this.#library)}` },
    ]);
  }

  /** What cargo builds is for this machine. */
  setLibrary(arch: keyof typeof MACHINES): void {
    writeFileSync(this.#library, buildElf({ machine: MACHINES[arch], type: 3, dynamic: true }).bytes);
  }

  /** Pins libkrunfw, as the checkout's `pins.env` does. */
  pin(ref: string, more = ''): void {
    this.write(PRODUCT.vmPins, `# Pinned.\nLIBKRUNFW_REF="\${LIBKRUNFW_REF:-${ref}}"\n${more}`);
  }

  setFragment(text: string): void {
    this.write(PRODUCT.kernelFragment, text);
  }

  /** A file of the checkout. */
  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** Makes a commit with these files in an upstream repository; gives its id. */
  commit(name: Name, files: Readonly<Record<string, string>>): string {
    const upstream = join(this.directory, 'upstream', `${name}.git`);
    mkdirSync(upstream, { recursive: true });
    if (!existsSync(join(upstream, '.git'))) this.git(name, 'init', '--quiet', '--initial-branch=main');
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(upstream, path)), { recursive: true });
      writeFileSync(join(upstream, path), text, { mode: path.endsWith('.sh') ? 0o755 : 0o644 });
    }
    this.git(name, 'add', '--all');
    this.git(name, 'commit', '--quiet', '--message', 'x');
    return this.head(name);
  }

  /** The newest commit of an upstream repository. */
  head(name: Name): string {
    return this.git(name, 'rev-parse', 'HEAD');
  }

  /** Git in an upstream repository. */
  git(name: Name, ...args: readonly string[]): string {
    return gitIn(join(this.directory, 'upstream', `${name}.git`), args);
  }

  /** Git in a source that was checked out. */
  readGit(name: Name, ...args: readonly string[]): string {
    return gitIn(join(this.out, name), args);
  }

  /** Takes the upstream repositories away, as a machine without network has it. */
  goOffline(): void {
    rmSync(join(this.directory, 'upstream'), { recursive: true });
  }

  libkrunEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    const config = join(this.directory, 'gitconfig');
    const base = `${join(this.directory, 'upstream')}/`;
    writeFileSync(config, `[url "${base}"]\n\tinsteadOf = https://github.com/containers/\n`);
    const own = {
      GIT_CONFIG_GLOBAL: config,
      GIT_CONFIG_NOSYSTEM: '1',
      LIBCLANG_PATH: join(this.directory, 'libclang'),
    };
    return this.env({ ...own, ...extra });
  }

  build(
    extra: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    return runTaskFile('vm/build-libkrun', args, { cwd: this.root, env: this.libkrunEnv(extra), ...options });
  }

  /** The text of a file in the build directory. */
  read(name: string): string {
    return readFileSync(join(this.out, name), 'utf8');
  }

  /** A fake package manager of Debian, on which these packages are installed. */
  addApt(installed: readonly string[], install = ':'): void {
    const lines = installed.map((name) => `installed ${name}`).join('\n');
    this.tools.add('dpkg-query', [{ args: ['-W', '-f'], script: `printf '%s\\n' ${bashQuote(lines)}` }]);
    this.tools.add('apt-get', [
      { args: ['update'], script: ':' },
      { args: ['install', '-y'], script: install },
    ]);
  }
}

function gitIn(cwd: string, args: readonly string[]): string {
  const identity = ['-c', 'user.name=x', '-c', 'user.email=x@y'];
  return execFileSync(libkrunTools.path('git'), [...identity, ...args], { cwd, encoding: 'utf8' }).trim();
}
