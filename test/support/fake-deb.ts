// SPDX-License-Identifier: Apache-2.0

/** What packaging and installing need beside a fake checkout: the authored files, binaries, dpkg, sudo and systemd. */

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { onTestFinished, vi } from 'vitest';
import { asDryRun } from '../../lib/cli/dry-run-marks.ts';
import type { Machine } from '../../lib/host.ts';
import { type InstallFacts, installDeb } from '../../lib/package/install/execute.ts';
import { findProgram } from '../../lib/process/which.ts';
import { BUNDLE_FILE, runtimeFiles } from '../../lib/vm/runtime-files.ts';
import { buildElf } from './elf-builder.ts';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote } from './fake-tools.ts';
import { freePort } from './free-port.ts';
import { type InProcess, inProcess } from './in-process.ts';
import { runTaskFile, SUITE_ROOT, type TaskOptions, type TaskResult } from './run-task.ts';
import { runtimePart } from './runtime-parts.ts';

const X86_64 = 62;

/** Adds them to a checkout; dpkg-deb is a fake that strings the files together. */
export function addDeb({ root, tools }: FakeCheckout): void {
  cpSync(join(SUITE_ROOT, 'test/fixtures/openshell/deploy/deb'), join(root, 'deploy/deb'), { recursive: true });
  mkdirSync(join(root, 'in'));
  setBinaries(root, 'first');
  const state = bashQuote(join(tools.directory, 'service'));
  tools.add('dpkg', [
    { args: ['--print-architecture'], script: 'echo amd64' },
    { args: ['-i'], script: 'eval "$FAKE_DPKG"' },
  ]);
  tools.add('dpkg-deb', [
    {
      args: ['--build', '--root-owner-group'],
      script: '/bin/cat $(PATH=/usr/bin:/bin; find "$3" -type f | sort) > "$4"; eval "$FAKE_DPKG_DEB"',
    },
    { args: ['--info'], script: ':' },
    { args: ['--contents'], script: ':' },
  ]);
  tools.add('sudo', [
    { args: ['-n', 'true'], script: 'eval "$FAKE_SUDO"' },
    { args: ['dpkg'], script: 'exec "$@"' },
  ]);
  const start = `echo \${FAKE_STATE:-active} > ${state}`;
  const unit = 'openshell-gateway';
  tools.add('systemctl', [
    {
      args: ['--user', 'show', '--property=ActiveState', '--value', unit],
      script: `eval "$FAKE_SHOW"; [[ -e ${state} ]] && /bin/cat ${state} || echo inactive`,
    },
    { args: ['--user', 'daemon-reload'], script: ':' },
    { args: ['--user', 'enable', '--now', unit], script: start },
    { args: ['--user', 'restart', unit], script: start },
  ]);
  tools.add('journalctl', [
    { args: ['--user', '-u', unit, '-n', '50', '--no-pager'], script: "printf 'one\\ntwo\\n'" },
  ]);
}

/** Writes the binaries that are packaged; those of another text differ. */
export function setBinaries(root: string, text: string): void {
  for (const name of ['openshell', 'openshell-gateway', 'openshell-driver-vm']) {
    const content = Buffer.concat([buildElf({ machine: X86_64 }).bytes, Buffer.from(`${name} ${text}`)]);
    writeFileSync(join(root, 'in', name), content, { mode: 0o755 });
  }
}

/** The variables of a packaging in a checkout, all paths absolute. */
export function debEnv(root: string): Record<string, string> {
  return {
    OPENSHELL_CLI_BINARY: join(root, 'in/openshell'),
    OPENSHELL_GATEWAY_BINARY: join(root, 'in/openshell-gateway'),
    OPENSHELL_DRIVER_VM_BINARY: join(root, 'in/openshell-driver-vm'),
    OPENSHELL_DEB_VERSION: '1.2.3-1',
    OPENSHELL_DEB_ARCH: 'amd64',
    SOURCE_DATE_EPOCH: '1700000000',
  };
}

export class FakeDeb extends FakeCheckout {
  /** The directory for temporary files. */
  readonly temporary: string;
  /** The context of the last installation, whether it failed or not. */
  last: InProcess | undefined;

  constructor(name?: string) {
    super({}, name);
    addDeb(this);
    this.tools.add('openshell', [
      { args: ['--version'], script: 'echo openshell 1' },
      { args: ['gateway', 'add'], script: 'eval "$FAKE_ADD"' },
    ]);
    this.tools.add('openshell-gateway', [{ args: ['--version'], script: 'echo openshell-gateway 1' }]);
    this.temporary = join(this.tools.directory, 'tmp');
    mkdirSync(this.temporary);
  }

  /** Takes the machine's own dpkg, and what that starts. */
  useRealDpkg(): this {
    for (const name of ['dpkg', 'dpkg-deb', 'tar', 'rm']) {
      const path = join(this.tools.bin, name);
      rmSync(path, { force: true });
      const real = findProgram(name, process.env);
      if (real !== undefined) symlinkSync(real, path);
    }
    return this;
  }

  packageEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return this.env({ ...debEnv(this.root), TMPDIR: this.temporary, ...extra });
  }

  /** Runs `tasks/package-deb.ts`. */
  package(
    extra: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    return runTaskFile('package-deb', args, { cwd: this.root, env: this.packageEnv(extra), ...options });
  }

  /** Writes a complete VM runtime and its supervisor: every file is one zstd frame. */
  addRuntime(without: readonly string[] = []): string {
    const directory = join(this.root, 'target/vm-runtime-compressed');
    mkdirSync(directory, { recursive: true });
    for (const name of [...runtimeFiles('linux-x86_64'), BUNDLE_FILE].filter((one) => !without.includes(one))) {
      const part = runtimePart('linux-x86_64', name.replace(/\.zst$/, ''), name);
      writeFileSync(join(directory, name), zstdCompressSync(part));
    }
    return directory;
  }

  /** Where the CLI has its gateways. */
  get config(): string {
    return join(this.tools.directory, 'config');
  }

  installEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return this.env({ TMPDIR: this.temporary, XDG_CONFIG_HOME: this.config, ...extra });
  }

  /** What a run of `tasks/package-deb-install.ts` prints, with programs of the fakes in the place of installed ones. */
  async install(
    facts: Partial<InstallFacts> = {},
    extra: Readonly<Record<string, string>> = {},
    isDryRun = false,
    machine: Partial<Machine> = {},
  ): Promise<InProcess> {
    const ctx = inProcess(this.tools, this.installEnv(extra), this.tools.directory, machine);
    const host = { platform: 'linux', arch: 'amd64' } as const;
    const own = { host, isRoot: false, hasTerminal: true, programs: this.tools.bin, waitMs: 2000, ...facts };
    this.last = ctx;
    // Node asks for it where nobody can hand it in.
    vi.stubEnv('TMPDIR', this.temporary);
    onTestFinished(() => void vi.unstubAllEnvs());
    await installDeb(isDryRun ? asDryRun(ctx) : ctx, isDryRun, { port: await freePort(), ...own });
    return ctx;
  }

  /** The service's state as the fake systemd has it. */
  get service(): string | undefined {
    const path = join(this.tools.directory, 'service');
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
  }

  setService(state: string): void {
    writeFileSync(join(this.tools.directory, 'service'), `${state}\n`);
  }
}
