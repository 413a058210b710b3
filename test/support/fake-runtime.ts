// SPDX-License-Identifier: Apache-2.0

/** A VM runtime to download: a server with its releases, and a checkout with the real names and versions. */

import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { writeArchive } from '../../lib/archive/tar.ts';
import { PRODUCT } from '../../lib/product.ts';
import { runtimeNames, type VmPlatform } from '../../lib/vm/runtime-files.ts';
import { FakeCheckout } from './fake-rust.ts';
import { ReleaseServer, sha256 } from './release-server.ts';
import type { TaskOptions, TaskResult } from './run-task.ts';
import { runtimePart } from './runtime-parts.ts';
import { SuiteCopy } from './suite-copy.ts';

const PINS = join(import.meta.dirname, '../fixtures/openshell', PRODUCT.vmPins);
const RELEASE = 'NVIDIA/OpenShell/releases/download/vm-runtime';

/** The paths of releases on the server. */
export const PATHS = {
  runtime: (platform: VmPlatform) => `${RELEASE}/vm-runtime-${platform}.tar.zst`,
  gvproxy: (name: string) => `containers/gvisor-tap-vsock/releases/download/v0.8.8/gvproxy-${name}`,
  umoci: (name: string) => `opencontainers/umoci/releases/download/v0.6.0/umoci.${name}`,
} as const;

/** The uncompressed files of a runtime; those of each version differ. */
export function runtimeContents(platform: VmPlatform, version = '1'): Map<string, Buffer> {
  const text = (name: string) => Buffer.concat([Buffer.from(`${name} ${version}\n`), randomBytes(20_000)]);
  return new Map(runtimeNames(platform).map((name) => [name, runtimePart(platform, name, text(name))]));
}

/** The archive of a release. */
export function runtimeArchive(
  platform: VmPlatform,
  contents: ReadonlyMap<string, Buffer>,
  provenance: object | undefined = { artifact: 'vm-runtime', platform },
): Buffer {
  const files = [...contents].map(([name, content]) => ({ path: `./${name}`, content, mode: 0o755 }));
  const own =
    provenance === undefined
      ? []
      : [{ path: './provenance.json', content: Buffer.from(JSON.stringify(provenance)), mode: 0o644 }];
  return zstdCompressSync(writeArchive([...files, ...own], 1_700_000_000));
}

export class FakeRuntime extends FakeCheckout {
  readonly suite = new SuiteCopy();
  readonly server: ReleaseServer;
  contents = runtimeContents('linux-x86_64');

  private constructor(server: ReleaseServer, name?: string) {
    super({}, name);
    this.server = server;
    const pins = join(this.root, PRODUCT.vmPins);
    mkdirSync(dirname(pins), { recursive: true });
    cpSync(PINS, pins);
  }

  /** A runtime of this machine's kind on a server; its digests are recorded. */
  static async start(name?: string): Promise<FakeRuntime> {
    const fake = new FakeRuntime(await ReleaseServer.start(), name);
    fake.publish(fake.contents);
    for (const [name, path] of [
      ['gvproxy', PATHS.gvproxy('linux-amd64')],
      ['umoci', PATHS.umoci('linux.amd64')],
    ] as const) {
      const program = runtimePart('linux-x86_64', name, `${name} of its release`);
      fake.server.add(path, program);
      fake.record(path, program);
    }
    return fake;
  }

  get directory(): string {
    return join(this.root, 'target/vm-runtime-compressed');
  }

  /** Publishes a runtime, and records its digest. */
  publish(contents: ReadonlyMap<string, Buffer>, platform: VmPlatform = 'linux-x86_64'): Buffer {
    const archive = runtimeArchive(platform, contents);
    this.server.add(PATHS.runtime(platform), archive);
    this.record(PATHS.runtime(platform), archive);
    return archive;
  }

  /** Records what a file has to be. */
  record(path: string, content: Buffer | string): void {
    this.suite.setPins({ ...this.suite.pins(), [path]: sha256(content) });
  }

  /** Variables with which releases come from the server. */
  releaseEnv(): Record<string, string> {
    return { OPENSHELL_RELEASE_BASE_URL: this.server.url, OPENSHELL_DOWNLOAD_TIMEOUT: '1' };
  }

  run(
    task: string,
    args: readonly string[] = [],
    extra: Readonly<Record<string, string>> = {},
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    const env = this.env({ ...this.releaseEnv(), ...extra });
    return this.suite.run(`vm/${task}`, args, { cwd: this.root, env, ...options });
  }

  /** A build of the libraries where `build-libkrun` leaves it. */
  addBuild(files: Readonly<Record<string, string>> = { 'libkrun.so': 'krun', 'libkrunfw.so.5.2.0': 'krunfw' }): string {
    const build = join(this.root, 'target/libkrun-build');
    mkdirSync(build, { recursive: true });
    for (const [name, content] of Object.entries(files)) {
      const platform = name.endsWith('.dylib') ? 'darwin-aarch64' : 'linux-x86_64';
      const isPart = name.startsWith('libkrun') && content !== '';
      writeFileSync(join(build, name), isPart ? runtimePart(platform, name, content) : content);
    }
    return build;
  }
}
