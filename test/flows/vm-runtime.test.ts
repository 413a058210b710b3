// SPDX-License-Identifier: Apache-2.0

/** The VM runtime on the miniature, with real cargo and a local server: from nothing to a gateway that starts from it. */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { embeddingProblem, runtimeDefects, runtimeNames } from '../../lib/vm/runtime-files.ts';
import { readContent } from '../../lib/zstd/decompress.ts';
import { FakeRuntime, PATHS, runtimeArchive, runtimeContents } from '../support/fake-runtime.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { onlyLinuxAmd64, requireTools } from '../support/real-tools.ts';
import { runApart } from '../support/refusals.ts';
import { ReleaseServer, sha256 } from '../support/release-server.ts';
import { runProcess, type TaskResult, whenSaid } from '../support/run-task.ts';
import { SuiteCopy } from '../support/suite-copy.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const TIMEOUT_MS = 300_000;
const PLATFORM = 'linux-x86_64';
const tools = requireTools('cargo', 'rustup', 'zigbuild', 'zig', 'zstd', 'gnu-x86_64');

/** An archive as upstream's script makes it: with `./`, its mode 0700, other owners, and more names than are used. */
function upstreamArchive(contents: ReadonlyMap<string, Buffer>): Buffer {
  const directory = temporaryDirectory('upstream');
  const script = `
set -euo pipefail
umask 022; chmod 700 .
for name in libkrunfw.so libkrunfw.so.5.2.0; do cp libkrunfw.so.5 "$name"; done
printf '{"artifact":"vm-runtime","platform":"${PLATFORM}"}' > provenance.json
tar --owner=builder:1001 --group=docker:118 -cf - . | "$0" -19 -T0 -q`;
  for (const [name, content] of contents) execFileSync('tee', [join(directory, name)], { input: content });
  return execFileSync('bash', ['-c', script, tools.path('zstd')], { cwd: directory, maxBuffer: 1e8 });
}

/** A home of the test's own, in which cargo and rustup find theirs. */
function homeBelow(directory: string): Record<string, string> {
  const { CARGO_HOME, HOME = '', RUSTUP_HOME } = tools.env;
  return {
    HOME: directory,
    CARGO_HOME: CARGO_HOME ?? join(HOME, '.cargo'),
    RUSTUP_HOME: RUSTUP_HOME ?? join(HOME, '.rustup'),
  };
}

test('gateway:vm from nothing, warm, after an edit, and after another cargo run', {
  ...onlyLinuxAmd64(tools.options),
  timeout: TIMEOUT_MS,
}, async () => {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'osv-'));
  const { root } = makeMiniature({ at: join(directory, 'checkout') });
  const server = await ReleaseServer.start();
  const suite = new SuiteCopy();
  const contents = runtimeContents(PLATFORM);
  const archive = upstreamArchive(contents);
  server.add(PATHS.runtime(PLATFORM), archive);
  suite.setPins({ [PATHS.runtime(PLATFORM)]: sha256(archive) });
  const runtime = join(root, 'target/vm-runtime-compressed');
  const driver = join(root, 'target/debug/openshell-driver-vm');
  const env = {
    ...tools.env,
    ...homeBelow(directory),
    OPENSHELL_ROOT: root,
    OPENSHELL_RELEASE_BASE_URL: server.url,
    OPENSHELL_SERVER_PORT: String(await freePort()),
    OPENSHELL_VM_DRIVER_STATE_ROOT: directory,
    XDG_CONFIG_HOME: join(directory, 'config'),
    USER: 'dev',
  };
  const embedding = () => embeddingProblem(driver, runtime, PLATFORM);
  /** Launches, and ends the gateway when it is up. */
  const launch = async (): Promise<TaskResult> => {
    const onStart = whenSaid(/ is up at |^error: /m, (child) => child.kill('SIGINT'));
    const result = await suite.run('gateway-vm', [], { cwd: root, env, onStart });
    expect(result.status, result.stderr).toBe(0);
    expect(runtimeDefects(runtime, PLATFORM)).toEqual([]);
    expect(embedding()).toBeUndefined();
    return result;
  };
  try {
    const cold = await launch();
    expect(cold.stderr).toMatch(/^==> VM runtime: libkrun\.so\.zst \(not there\)/m);
    for (const name of runtimeNames(PLATFORM)) {
      expect(readContent(join(runtime, `${name}.zst`)).equals(contents.get(name) ?? Buffer.alloc(0)), name).toBe(true);
    }
    expect(server.requests).toHaveLength(1);
    const bundle = readFileSync(join(runtime, 'openshell-sandbox.zst'));
    const warm = await launch();
    expect(warm.stderr).not.toMatch(/^==> (VM runtime|compression)|Compiling openshell-sandbox/m);
    appendFileSync(
      join(root, 'crates/openshell-sandbox/src/main.rs'),
      '\n#[used]\nstatic CHANGED: [u8; 5000] = [7; 5000];\n',
    );
    expect((await launch()).stderr).toMatch(/^==> compression$/m);
    expect(readFileSync(join(runtime, 'openshell-sandbox.zst')).equals(bundle)).toBe(false);
    // Another cargo run, without the variable and with nothing to keep, embeds stubs.
    execFileSync('cargo', ['clean', '-q', '-p', 'openshell-driver-vm'], { cwd: root, env: tools.env });
    const stubs = await runProcess('cargo', ['build', '-q', '-p', 'openshell-driver-vm'], {
      cwd: root,
      env: tools.env,
    });
    expect(stubs.status, stubs.stderr).toBe(0);
    expect(embedding()).toMatch(/ does not have (?:\S+, ){4}openshell-sandbox\.zst of /);
    await launch();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

const mounts = requireTools('unshare');

describe('a disk that becomes full', mounts.options, () => {
  // The archive has 80 kB, and so have the compressed files; compression alone needs no space for a download.
  test.each([
    ['while it downloads', 'vm-setup', 40],
    ['while it compresses', 'compress-vm-runtime', 40],
    ['with the last files', 'vm-setup', 88],
  ])('%s: one line, nothing half-done, and with more space a normal run works', async (_, name, kilobytes) => {
    const fake = await FakeRuntime.start();
    const directory = dirname(fake.tools.directory);
    const target = join(fake.root, 'target');
    const task = join(fake.suite.root, `tasks/vm/${name}.ts`);
    const tarball = join(directory, 'vm-runtime-linux-x86_64.tar.zst');
    writeFileSync(tarball, runtimeArchive(PLATFORM, fake.contents));
    const before = `
mkdir -p ${target}
mount -t tmpfs -o size=${kilobytes}k none ${target}
PATH=$fakes ${process.execPath} ${task} && echo "it worked" >&2 || echo "status $?, and there is: $(ls ${target})" >&2
mount -o remount,size=10m ${target}`;
    const env = fake.env({ ...fake.releaseEnv(), VM_RUNTIME_TARBALL: tarball });
    const result = await runApart({ directory, cwd: directory, env, suite: fake.suite.root }, `vm/${name}`, [], {
      before,
    });
    expect(result.stderr).toMatch(
      /^error: \/\S+: no space is left on the device; free some \(ENOSPC\)$|^error: \S+ cannot be written: .*ENOSPC\)$/m,
    );
    expect(result.stderr).toMatch(/^status 1, and there is: *$/m);
    expect(result.stderr).not.toMatch(/\n {4}at |bug of the tasks|it worked/);
    expect(result, result.stderr).toMatchObject({ status: 0, stdout: `${fake.directory}\n` });
  });
});
