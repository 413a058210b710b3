// SPDX-License-Identifier: Apache-2.0

/** A zig that tells what it is called with, for tests of the compiler wrappers. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

/** Names of directories that a shell, cmake or a workflow could take for something else. */
export const HOSTILE = [
  'with blank',
  "it's",
  'quo"te',
  '$HOME',
  '$(touch PWNED)',
  'x;touch PWNED;#',
  'new\nline',
  'ä',
  '-n',
  '`x`\\',
];
/** All of them at once, one below the other. */
export const ALL_HOSTILE = HOSTILE.join('/');

/** A zig that prints its arguments, each with a NUL after it. */
export function fakeZig(directory: string): string {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'zig'), `#!/bin/sh\nprintf '%s\\0' "$@"\n`, { mode: 0o755 });
  return join(directory, 'zig');
}

/** What zig gets when a wrapper is run by a shell. */
export function zigArguments(shell: string, script: string, given: readonly string[]): string[] {
  const result = spawnSync(shell, [script, ...given], { stdio: ['ignore', 'pipe', 'pipe'] });
  expect(result.stderr.toString()).toBe('');
  expect(result.status).toBe(0);
  return result.stdout.toString().split('\0').slice(0, -1);
}
