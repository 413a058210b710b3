// SPDX-License-Identifier: Apache-2.0

/** Vitest in vitest, for tests of what the tests stand on. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProcess, SUITE_ROOT } from './run-task.ts';
import { temporaryDirectory } from './temporary.ts';

/** Runs the text as a test file of its own, without the terminal's colours. */
export async function runVitest(
  text: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ status: number | null; lines: string[]; stderr: string }> {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'test'));
  symlinkSync(join(SUITE_ROOT, 'node_modules'), join(root, 'node_modules'));
  writeFileSync(join(root, 'test/a.test.ts'), text);
  const config = join(SUITE_ROOT, 'vitest.config.ts');
  const vitest = [join(SUITE_ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', config, '--root', root];
  const environment = { PATH: process.env.PATH ?? '', HOME: root, NO_COLOR: '1', ...env };
  const { status, stdout, stderr } = await runProcess(process.execPath, vitest, { cwd: root, env: environment });
  return { status, lines: stdout.trimEnd().split('\n'), stderr };
}
