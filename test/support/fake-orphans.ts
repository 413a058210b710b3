// SPDX-License-Identifier: Apache-2.0

/**
 * A checkout with a gateway, a VM driver and a CLI that behave as the real ones where the smoke test looks: the gateway
 * answers health checks and starts the driver, the CLI's sandbox makes the driver start a launcher and gvproxy, and
 * what goes when the gateway has gone is up to the test.
 */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { verifyPortFree } from '../../lib/gateway/port.ts';
import { thisHost } from '../../lib/host.ts';
import { BUNDLE_FILE, runtimeNames, type VmPlatform, vmPlatformOf } from '../../lib/vm/runtime-files.ts';
import { FakeCheckout } from './fake-rust.ts';
import { freePort } from './free-port.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';
import { runtimePart } from './runtime-parts.ts';

/** The gateway: `FAKE_GATEWAY` may end it at its start, or keep it from being healthy. */
const GATEWAY = `#!${process.execPath}
const { spawn } = require('node:child_process');
const { readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const env = process.env;
const toml = readFileSync(env.OPENSHELL_GATEWAY_CONFIG, 'utf8');
const value = (name) => JSON.parse(new RegExp('^' + name + ' = (".*")$', 'm').exec(toml)[1]);
if (!/allow_unauthenticated_users = true/.test(toml)) process.exit(4);
console.log('gateway: ' + JSON.stringify({ ...env }));
if (env.FAKE_GATEWAY === 'dies') process.exit(3);
const driver = spawn(value('driver_dir') + '/openshell-driver-vm', ['--state-dir', value('state_dir')], { stdio: ['pipe', 'inherit', 'inherit'] });
createServer((request, response) => { driver.stdin.write('sandbox\\n'); response.end('ok'); }).listen(Number(env.OPENSHELL_SERVER_PORT), '127.0.0.1');
if (env.FAKE_GATEWAY !== 'sick') createServer((request, response) => response.end('ok')).listen(Number(env.OPENSHELL_HEALTH_PORT), '127.0.0.1');
process.on('SIGTERM', () => { if (env.FAKE_LEAK !== 'gateway') process.exit(0); });
`;

/** The driver: its stdin ends with the gateway. What it starts is up to `FAKE_LEAK`. */
const DRIVER = `#!/bin/bash
here=\${0%/*}
pids=()
while read -r line; do
  [[ -n $FAKE_NO_GVPROXY ]] || case $FAKE_LEAK in
    daemon) /usr/bin/env -i /usr/bin/setsid "$here/gvproxy" -listen "$2/osd-gv" & ;;
    *) "$here/gvproxy" -listen "$2/osd-gv" & ;;
  esac
  pids+=($!)
  "$here/openshell-driver-vm-launcher" & pids+=($!)
done
case $FAKE_LEAK in
  gvproxy|daemon) kill "\${pids[1]}" ;;
  launcher) kill "\${pids[0]}" ;;
  slow) /bin/sleep 1; kill "\${pids[@]}" ;;
  *) kill "\${pids[@]}" ;;
esac
# What is embedded comes after it.
exit
`;

const SLEEPER = '#!/bin/bash\n/bin/sleep 300 & trap "kill $!" EXIT; trap exit TERM; wait\n';

/** The CLI: `sandbox create` stays, as the real one does. */
const CLI = `#!/bin/bash
printf '%s\\n' "$*" >> "$FAKE_CLI_LOG"
case "$1 $2" in
  'gateway add') [[ $FAKE_CLI != no-add ]] || { echo 'no such gateway' >&2; exit 1; }; printf '%s' "$5" > "$XDG_CONFIG_HOME/url" ;;
  'gateway select') ;;
  'sandbox create')
    [[ $FAKE_CLI != no-create ]] || { echo 'no image' >&2; exit 1; }
    url=$(<"$XDG_CONFIG_HOME/url")
    exec 3<> "/dev/tcp/127.0.0.1/\${url##*:}"
    printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3
    /bin/cat <&3 > /dev/null
    /bin/sleep 300 ;;
  *) exit 9 ;;
esac
`;

export class FakeOrphans extends FakeCheckout {
  readonly debug = join(this.root, 'target/debug');
  readonly runtime = join(this.root, 'target/vm-runtime-compressed');
  readonly temporary = join(this.tools.directory, 't');
  readonly cliLog = join(this.tools.directory, 'cli.log');
  port = 0;

  constructor(name?: string) {
    super({}, name);
    for (const directory of [this.debug, this.runtime, this.temporary, join(this.root, 'scripts/bin')]) {
      mkdirSync(directory, { recursive: true });
    }
    for (const [path, text] of [
      // What cargo builds, and what is beside it.
      [join(this.apps, 'openshell-gateway'), GATEWAY],
      [join(this.apps, 'openshell-driver-vm'), DRIVER],
      [join(this.debug, 'openshell-driver-vm-launcher'), SLEEPER],
      [join(this.debug, 'gvproxy'), SLEEPER],
      [join(this.root, 'scripts/bin/openshell'), CLI],
    ] as const) {
      writeFileSync(path, text, { mode: 0o755 });
    }
    this.addRuntime(vmPlatformOf(thisHost()));
    symlinkSync('/bin/sleep', join(this.tools.bin, 'sleep'));
  }

  /** What a driver for this platform embeds. */
  addRuntime(platform: VmPlatform): void {
    for (const name of runtimeNames(platform)) {
      writeFileSync(join(this.runtime, `${name}.zst`), zstdCompressSync(runtimePart(platform, name, name)));
    }
    writeFileSync(join(this.runtime, BUNDLE_FILE), zstdCompressSync(runtimePart(platform, 'umoci', BUNDLE_FILE)));
  }

  async smokeEnv(extra: Readonly<Record<string, string>> = {}): Promise<Record<string, string>> {
    this.port ||= await freePair();
    const own = { OPENSHELL_SERVER_PORT: String(this.port), TMPDIR: this.temporary, FAKE_CLI_LOG: this.cliLog };
    return this.env({ ...own, ...extra });
  }

  async smoke(
    extra: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    options: Partial<TaskOptions> = {},
  ): Promise<TaskResult> {
    const env = await this.smokeEnv(extra);
    return runTaskFile('vm/smoke-orphan-cleanup', args, { cwd: this.root, env, ...options });
  }
}

/** A port that nobody listens on, and neither on the next one. */
async function freePair(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const isFree = await verifyPortFree('127.0.0.1', port + 1).then(
      () => true,
      () => false,
    );
    if (isFree) return port;
  }
}
