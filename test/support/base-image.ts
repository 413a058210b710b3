// SPDX-License-Identifier: Apache-2.0

/** A base image made of this machine's own programs, for tests: a shell, busybox's programs, and a user `sandbox`. */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathOfTool } from './real-tools.ts';

const APPLETS = ['sh', 'cat', 'chmod', 'cp', 'echo', 'env', 'id', 'ls', 'mkdir', 'mktemp', 'rm', 'sleep', 'touch'];

/**
 * Imports it into an engine's storage.
 *
 * @param engine the path of docker or podman
 */
export function importBaseImage(engine: string, env: Readonly<Record<string, string>>, name: string): void {
  const root = mkdtempSync(join(realpathSync(tmpdir()), 'base-image-'));
  try {
    for (const directory of ['etc', 'tmp', 'usr/bin', 'usr/local/bin']) {
      mkdirSync(join(root, directory), { recursive: true });
    }
    symlinkSync('usr/bin', join(root, 'bin'));
    for (const program of [pathOfTool('busybox'), '/bin/bash']) {
      copyFileSync(program, join(root, 'usr/bin', basename(program)));
      for (const [library = ''] of execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/\/\S+/g)) {
        mkdirSync(dirname(join(root, library)), { recursive: true });
        copyFileSync(library, join(root, library));
      }
    }
    for (const applet of APPLETS) symlinkSync('busybox', join(root, 'usr/bin', applet));
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nsandbox:x:1000:1000::/:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\nsandbox:x:1000:\n');
    const archive = execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '-c', '.'], { maxBuffer: 2 ** 28 });
    execFileSync(engine, ['import', '-', name], { env, input: archive, stdio: ['pipe', 'ignore', 'pipe'] });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
