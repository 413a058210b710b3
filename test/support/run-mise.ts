// SPDX-License-Identifier: Apache-2.0

/** Running tasks through real mise, as users do. */

import { dirname, join } from 'node:path';
import { runProcess, SUITE_ROOT, type TaskResult } from './run-task.ts';

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
  const bin = join(SUITE_ROOT, 'node_modules/.bin');
  const home = extra.HOME ?? '/nowhere';
  const env = {
    ...extra,
    PATH: `${extra.PATH ?? ''}:${bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
    MISE_TRUSTED_CONFIG_PATHS: `${SUITE_ROOT}:${extra.MISE_TRUSTED_CONFIG_PATHS ?? ''}`,
    MISE_TASK_RUN_AUTO_INSTALL: 'false',
    MISE_OFFLINE: '1',
    MISE_QUIET: '1',
    MISE_DATA_DIR: join(home, 'mise'),
    MISE_CACHE_DIR: join(home, 'mise-cache'),
    MISE_CONFIG_DIR: join(home, 'mise-config'),
  };
  return runProcess(join(bin, 'mise'), args, { cwd, env });
}
