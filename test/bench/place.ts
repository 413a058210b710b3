// SPDX-License-Identifier: Apache-2.0

/**
 * Where the benchmark runs: a temporary directory with the fake tools and, for each contestant, a
 * checkout of its own, so that nobody finds what another one left. The bash checkout is never
 * written to: its scripts are copied.
 */

import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { zstdCompressSync } from 'node:zlib';
import { inspectGlibc } from '../../lib/elf/verify.ts';
import { PRODUCT } from '../../lib/product.ts';
import { RECORD_FILE, runtimeFiles, sha256Of } from '../../lib/vm/runtime-files.ts';
import { buildElf } from '../support/elf-builder.ts';
import { SUITE_ROOT } from '../support/run-task.ts';
import { runtimePart } from '../support/runtime-parts.ts';
import { type BenchCase, FILES } from './cases.ts';
import type { Contestant } from './measure.ts';

/** Where `mise.toml` has Node keep compiled code. */
export const COMPILE_CACHE = join(SUITE_ROOT, 'node_modules', '.cache', 'openshell-tasks');

const SYSTEM_PATH = '/usr/bin:/bin';
/** Enough for reading and copying to be seen; a real supervisor has 26 MB. */
const BINARY_BYTES = 700_000;
/** e_machine of the ELF files. */
const MACHINES = { x86_64: 62, aarch64: 183 } as const;

/** Starts that do nothing else. */
export interface Baselines {
  readonly node: Contestant;
  readonly bash: Contestant;
  /** What a task does at the least that starts so many programs one after the other. */
  readonly floor: (programs: number, way: Way) => Contestant;
}

/**
 * A script that starts `true` as often as it is told, each through zx/core and bash as the runner does it. It is
 * TypeScript, as every task is.
 */
function floorText(): string {
  const zx = JSON.stringify(createRequire(import.meta.url).resolve('zx/core'));
  return `import { createRequire } from 'node:module';
const count: number = Number(process.argv[2]);
if (count > 0) {
  const { $, quote } = createRequire(import.meta.url)(${zx});
  const run = $({ shell: 'bash', prefix: 'set -euo pipefail; ', postfix: '', quote, stdio: 'pipe', detached: true });
  for (let left = count; left > 0; left--) await run\`exec true\`;
}
`;
}

/** The APIs of the fake engines. */
const ENGINE_APIS = `
const { createServer } = require('node:http');
const { workerData } = require('node:worker_threads');
const own = { docker: { 'Api-Version': '1.41' }, podman: { 'Libpod-Api-Version': '5.0.0' } };
for (const [name, headers] of Object.entries(own)) {
  createServer((_, response) => response.writeHead(200, headers).end('OK')).listen(workerData + '/' + name + '.sock');
}`;

/** Who can run a case. */
export type Way = 'bash' | 'mise' | 'direct';

export const WAYS: Readonly<Record<Way, string>> = {
  bash: "OpenShell's bash task",
  mise: 'node tasks/X.ts with NODE_COMPILE_CACHE, as mise.toml sets it',
  direct: 'node tasks/X.ts, the variable not set',
};

export class Place {
  readonly root: string;
  readonly #bashCheckout: string | undefined;
  readonly #files: Readonly<Record<string, string>>;

  /** @param bashCheckout an OpenShell checkout with the bash tasks */
  constructor(bashCheckout: string | undefined) {
    this.root = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-bench-'));
    this.#bashCheckout = bashCheckout;
    for (const directory of ['binaries', 'home']) mkdirSync(join(this.root, directory));
    copyFileSync(join(import.meta.dirname, 'fake-tool.sh'), join(this.root, 'fake-tool'));
    chmodSync(join(this.root, 'fake-tool'), 0o755);
    for (const [cpu, machine] of Object.entries(MACHINES)) {
      const { bytes } = buildElf({ machine, payload: BINARY_BYTES });
      writeFileSync(join(this.root, 'binaries', cpu), bytes, { mode: 0o755 });
    }
    for (const triple of Object.keys(MACHINES).flatMap((cpu) =>
      ['gnu', 'musl'].map((c) => `${cpu}-unknown-linux-${c}`),
    )) {
      mkdirSync(join(this.root, 'rustlib', triple, 'lib'), { recursive: true });
      writeFileSync(join(this.root, 'rustlib', triple, 'lib', 'libstd-0123456789abcdef.rlib'), '');
    }
    // What a launch starts has to run: here it ends at once.
    for (const name of ['openshell-gateway', 'openshell-driver-vm'])
      copyFileSync('/bin/true', join(this.root, 'binaries', name));
    this.#files = { [FILES.static]: join(this.root, 'binaries', 'x86_64'), [FILES.dynamic]: this.#dynamicBinary() };
  }

  /** Answers the pings of launches until the process ends, in a thread of its own: this one waits for programs. */
  serveEngines(): void {
    new Worker(ENGINE_APIS, { eval: true, workerData: this.root }).unref();
  }

  /** The bare starts that everything is compared with. */
  baselines(): Baselines {
    const start = (name: string, argv: Contestant['argv'], more: Readonly<Record<string, string>> = {}): Contestant => {
      return { name, argv, cwd: this.root, env: { ...this.#env([]), ...more }, removed: [] };
    };
    const script = (name: string, text: string): string => {
      writeFileSync(join(this.root, name), text);
      return join(this.root, name);
    };
    const floor = script('floor.mts', floorText());
    return {
      node: start('node -e 0', [process.execPath, '-e', '0']),
      bash: start('bash -c :', ['bash', '-c', ':']),
      floor: (programs, way) =>
        start(
          `floor of ${programs} programs [${way}]`,
          [process.execPath, floor, String(programs)],
          way === 'mise' ? { NODE_COMPILE_CACHE: COMPILE_CACHE } : {},
        ),
    };
  }

  /** The case as one way runs it, in a checkout made for it; `undefined` where that way cannot run it. */
  contestant(record: BenchCase, way: Way): Contestant | undefined {
    const name = `${record.name} [${way}]`;
    const env = { ...this.#env(record.tools), ...record.env };
    const removed = record.removed ?? [];
    if (way === 'bash') {
      if (record.bash === undefined || this.#bashCheckout === undefined) return undefined;
      const cwd = this.#checkout(name);
      this.copyBashTasks(cwd);
      const argv = ['bash', join(cwd, record.bash.script), ...this.#args(record.bash.args)] as const;
      return { name, argv, cwd, env, removed };
    }
    const cwd = this.#checkout(name);
    const task = join(SUITE_ROOT, 'tasks', `${record.task}.ts`);
    const argv = [process.execPath, task, ...this.#args(record.args)] as const;
    const cache: Record<string, string> = way === 'mise' ? { NODE_COMPILE_CACHE: COMPILE_CACHE } : {};
    return { name, argv, cwd, env: { ...env, ...cache, OPENSHELL_ROOT: cwd }, removed };
  }

  /** Puts a copy of the bash tasks into a checkout, which they then work on. @returns whether there are any */
  copyBashTasks(root: string): boolean {
    if (this.#bashCheckout === undefined) return false;
    cpSync(join(this.#bashCheckout, 'tasks'), join(root, 'tasks'), { recursive: true });
    return true;
  }

  #args(args: readonly string[]): readonly string[] {
    return args.map((word) => this.#files[word] ?? word);
  }

  /** What the tasks need to see in a checkout; the fake cargo reads nothing of it. */
  #checkout(name: string): string {
    const root = join(this.root, 'checkouts', name.replaceAll(/[^a-z0-9]+/gi, '-'));
    mkdirSync(join(root, 'crates', 'openshell-server'), { recursive: true });
    mkdirSync(join(root, 'deploy', 'docker'), { recursive: true });
    for (const image of ['gateway', 'supervisor', 'ci']) {
      writeFileSync(join(root, 'deploy', 'docker', `Dockerfile.${image}`), 'FROM scratch\n');
    }
    this.#addRuntime(join(root, 'target', 'vm-runtime-compressed'));
    mkdirSync(join(root, dirname(PRODUCT.vmPins)), { recursive: true });
    copyFileSync(join(SUITE_ROOT, 'test/fixtures/openshell', PRODUCT.vmPins), join(root, PRODUCT.vmPins));
    writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n\n[workspace.package]\nversion = "0.0.0"\n');
    return root;
  }

  /** A complete VM runtime with the supervisor that the fake cargo makes. */
  #addRuntime(directory: string): void {
    mkdirSync(directory, { recursive: true });
    const supervisor = readFileSync(join(this.root, 'binaries', 'x86_64'));
    for (const name of ['libkrun.so', 'libkrunfw.so.5', 'gvproxy', 'umoci', 'openshell-sandbox']) {
      const content = name === 'openshell-sandbox' ? supervisor : runtimePart('linux-x86_64', name, name);
      writeFileSync(join(directory, `${name}.zst`), zstdCompressSync(content));
    }
    const names = runtimeFiles('linux-x86_64');
    const record = {
      platform: 'linux-x86_64',
      wanted: 'NVIDIA/OpenShell vm-runtime, gvproxy v0.8.8, umoci v0.6.0',
      sources: {},
      verified: 'the recorded SHA-256',
      files: Object.fromEntries(names.map((name) => [name, sha256Of(readFileSync(join(directory, name)))])),
    };
    writeFileSync(join(directory, RECORD_FILE), JSON.stringify(record));
  }

  /** Node's own builds for Linux need no more than glibc 2.28; another Node gives way to the static file. */
  #dynamicBinary(): string {
    const isSuitable = inspectGlibc(process.execPath, { max: { major: 2, minor: 28 } }).ok;
    return isSuitable ? process.execPath : join(this.root, 'binaries', 'x86_64');
  }

  /** A clean environment: the fake tools of a case first on PATH, then the system's own programs. */
  #env(tools: readonly string[]): Record<string, string> {
    const bin = join(this.root, ['bin', ...tools].join('-'));
    if (!existsSync(bin)) {
      mkdirSync(bin);
      for (const tool of tools) symlinkSync(join(this.root, 'fake-tool'), join(bin, tool));
    }
    return { PATH: `${bin}:${SYSTEM_PATH}`, HOME: join(this.root, 'home'), USER: 'dev', LANG: 'C.UTF-8' };
  }
}
