// SPDX-License-Identifier: Apache-2.0

/** Running tasks through real mise, as users do. */

import { dirname, join } from 'node:path';
import { runProcess, SUITE_ROOT, type TaskResult } from './run-task.ts';

const BIN = join(SUITE_ROOT, 'node_modules/.bin');

/**
 * Runs mise with nobody's configuration but this suite's. Without a network it cannot install its tools; the tasks need
 * only Node, which is on PATH.
 *
 * @param extra the environment; its HOME takes mise's own files
 */
export function runMise(
  args: readonly string[],
  cwd: string,
  extra: Readonly<Record<string, string>>,
): Promise<TaskResult> {
  return runProcess(join(BIN, 'mise'), args, { cwd, env: miseEnvironment(extra) });
}

/** The environment in which mise has no configuration but this suite's. */
export function miseEnvironment(extra: Readonly<Record<string, string>>): Record<string, string> {
  const home = extra.HOME ?? '/nowhere';
  return {
    ...extra,
    PATH: `${extra.PATH ?? ''}:${BIN}:${dirname(process.execPath)}:/usr/bin:/bin`,
    MISE_TRUSTED_CONFIG_PATHS: SUITE_ROOT,
    MISE_TASK_RUN_AUTO_INSTALL: 'false',
    MISE_OFFLINE: '1',
    MISE_QUIET: '1',
    MISE_DATA_DIR: join(home, 'mise'),
    MISE_CACHE_DIR: join(home, 'mise-cache'),
    MISE_CONFIG_DIR: join(home, 'mise-config'),
  };
}
