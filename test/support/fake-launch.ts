// SPDX-License-Identifier: Apache-2.0

/**
 * A launch with fake tools: a checkout whose cargo "builds" a small real program for a gateway. A call that a fake does
 * not expect fails the test.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { zstdCompressSync } from 'node:zlib';
import { parse } from 'smol-toml';
import { onTestFinished } from 'vitest';
import { thisHost } from '../../lib/host.ts';
import { PRODUCT } from '../../lib/product.ts';
import { runtimeNames, vmPlatformOf } from '../../lib/vm/runtime-files.ts';
import { serveApi } from './fake-api.ts';
import { addEngine, type FakeEngine } from './fake-engine.ts';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote, type FakeCase } from './fake-tools.ts';
import { freePort } from './free-port.ts';
import { processesWith } from './processes.ts';
import { runTaskFile, SUITE_ROOT, type TaskOptions, type TaskResult } from './run-task.ts';
import { runtimePart } from './runtime-parts.ts';

const SOURCE = join(import.meta.dirname, 'fake-gateway.c');

/** A start of the fake gateway. */
export interface GatewayCall {
  readonly pid: number;
  readonly softLimit: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export class FakeLaunch extends FakeCheckout {
  readonly log: string;
  readonly config: string;
  port = 0;

  /** @param engines fake engines by their program */
  constructor(engines: Partial<Record<'docker' | 'podman', FakeEngine>> = { docker: {} }, name?: string) {
    super({}, name);
    onTestFinished(() => this.tools.verify());
    const images = join(this.tools.directory, 'image');
    this.log = join(this.tools.directory, 'gateway.log');
    this.config = join(this.tools.directory, 'config');
    copyFileSync(fakeGateway(), join(this.apps, 'openshell-gateway'));
    copyFileSync('/bin/true', join(this.apps, 'openshell-driver-vm'));
    mkdirSync(join(this.root, 'deploy/docker'), { recursive: true });
    mkdirSync(join(this.tools.directory, 'home/.kube'));
    writeFileSync(join(this.tools.directory, 'home/.kube/config'), 'apiVersion: v1\n');
    copyFileSync(SOURCE, join(this.root, 'deploy/docker/Dockerfile.supervisor'));
    for (const [program, engine] of Object.entries(engines)) {
      const cases = program === 'podman' ? [...(engine.cases ?? []), ...podmanImages(images)] : (engine.cases ?? []);
      const api = serveApi(this.socket(program), program as 'docker');
      addEngine(this.tools, program as 'docker', { api, ...engine, cases });
    }
  }

  /** Where an engine's API is. */
  socket(engine: string): string {
    return join(this.tools.directory, `${engine}.sock`);
  }

  /** Runs `tasks/NAME.ts` on a free port. */
  async launch(
    name: string,
    args: readonly string[] = [],
    extra: Readonly<Record<string, string>> = {},
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    const env = await this.launchEnv(extra);
    return runTaskFile(name, args, { cwd: this.root, env, ...options });
  }

  /** The environment of a launch, with a free port that stays the same. */
  async launchEnv(extra: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
    this.port ||= await freePort();
    return this.env({
      XDG_CONFIG_HOME: this.config,
      OPENSHELL_SERVER_PORT: String(this.port),
      FAKE_GATEWAY_LOG: this.log,
      ...extra,
    });
  }

  /** The starts of the gateway, the one for certificates first. */
  gatewayCalls(): GatewayCall[] {
    if (!existsSync(this.log)) return [];
    return readFileSync(this.log, 'utf8')
      .split('\u001d\0')
      .slice(0, -1)
      .map((record) => {
        const [head = '', tail = ''] = record.split('\u001e\0');
        const [pid, limit, ...args] = head.split('\0').slice(0, -1);
        const pairs = tail
          .split('\0')
          .slice(0, -1)
          .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
        return { pid: Number(pid), softLimit: Number(limit), args, env: Object.fromEntries(pairs) };
      });
  }

  /** The start that serves; the certificates' one is not it. */
  served(): GatewayCall | undefined {
    return this.gatewayCalls().find(({ args }) => args[0] !== 'generate-certs');
  }

  state(driver: string): string {
    return join(this.root, '.cache', `gateway-${driver}`);
  }

  /** The configuration that was written. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it wants
  toml(driver: string): any {
    return parse(readFileSync(join(this.state(driver), 'gateway.toml'), 'utf8'));
  }

  entry(name: string): unknown {
    return JSON.parse(readFileSync(join(this.config, 'openshell/gateways', name, 'metadata.json'), 'utf8'));
  }

  active(): string | undefined {
    const path = join(this.config, 'openshell/active_gateway');
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  }

  setActive(name: string): void {
    mkdirSync(join(this.config, 'openshell'), { recursive: true });
    writeFileSync(join(this.config, 'openshell/active_gateway'), name);
  }

  /** Variables with which the watcher leaves a mark for each look at the port, see `looks`. */
  lookEnv(): Record<string, string> {
    const preload = pathToFileURL(join(import.meta.dirname, 'count-looks.ts')).href;
    return { NODE_OPTIONS: `--import=${preload}`, WATCHER_LOOKS: join(this.tools.directory, 'looks') };
  }

  /** How often the watcher has looked at the port; it has acted on all of these but the last one. */
  looks(): number {
    return statSync(join(this.tools.directory, 'looks'), { throwIfNoEntry: false })?.size ?? 0;
  }

  /** The pids of the watchers of this launch that run. */
  watchers(): string[] {
    return processesWith(`FAKE_GATEWAY_LOG=${this.log}`).filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[1]?.endsWith('/activation-watcher.ts') === true;
      } catch {
        // It has just ended.
        return false;
      }
    });
  }

  /** Writes a complete VM runtime: every file is one zstd frame. */
  addRuntime(without: readonly string[] = []): string {
    const directory = join(this.root, 'target/vm-runtime-compressed');
    mkdirSync(directory, { recursive: true });
    const platform = vmPlatformOf(thisHost());
    for (const name of runtimeNames(platform).filter((one) => !without.includes(`${one}.zst`))) {
      writeFileSync(join(directory, `${name}.zst`), zstdCompressSync(runtimePart(platform, name, name)));
    }
    return directory;
  }

  /** Writes the versions of a runtime that is not there. */
  addPins(): void {
    mkdirSync(dirname(join(this.root, PRODUCT.vmPins)), { recursive: true });
    copyFileSync(join(SUITE_ROOT, 'test/fixtures/openshell', PRODUCT.vmPins), join(this.root, PRODUCT.vmPins));
  }

  /** Takes the Rust tools off PATH; only mise has them. */
  moveToMise(): void {
    const directory = join(this.tools.directory, 'mise');
    mkdirSync(directory);
    for (const name of ['cargo', 'cargo-zigbuild', 'rustc', 'rustup', 'zig']) {
      renameSync(join(this.tools.bin, name), join(directory, name));
    }
    const set = JSON.stringify({ PATH: `${directory}:${this.tools.bin}` });
    this.tools.add('mise', [{ args: ['env', '--json'], script: `echo ${bashQuote(set)}` }]);
  }
}

/** A podman that remembers the one image that was built, with its labels. */
function podmanImages(memory: string): FakeCase[] {
  const file = bashQuote(memory);
  return [
    {
      args: ['build'],
      script: `
labels= args=("$@")
for ((i = 0; i < \${#args[@]}; i++)); do
  case \${args[i]} in
    --label) labels+="\${labels:+,}\\"\${args[i + 1]%%=*}\\":\\"\${args[i + 1]#*=}\\"" ;;
  esac
done
printf '[{"Id":"1","Labels":{%s}}]' "$labels" > ${file}`,
    },
    { args: ['image', 'inspect', '--', 'given:1'], script: `echo '[{"Id":"1"}]'` },
    {
      args: ['image', 'inspect', '--'],
      script: `
case $4 in
  openshell/supervisor:dev*) /bin/cat ${file} 2>/dev/null || exit 125 ;;
  *) echo "no such image" >&2; exit 125 ;;
esac`,
    },
  ];
}

/** The compiled fake, made once for each version of its source. */
function fakeGateway(): string {
  const key = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 16);
  const directory = join(SUITE_ROOT, 'node_modules/.cache/openshell-tasks');
  const path = join(directory, `fake-gateway-${key}`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  const temporary = `${path}.${process.pid}`;
  execFileSync('cc', ['-O1', '-o', temporary, SOURCE]);
  renameSync(temporary, path);
  return path;
}
