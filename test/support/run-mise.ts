// SPDX-License-Identifier: Apache-2.0

/** Running tasks through real mise, as users do. */

import { dirname, join } from 'node:path';
import { runProcess, SUITE_ROOT, type TaskResult } from './run-task.ts';

const OWN_MISE = join(SUITE_ROOT, 'node_modules/.bin/mise');

/** The mise of this suite, and others to test with: `OPENSHELL_TASKS_MISE` has their paths, with colons between them. */
export const MISES = [OWN_MISE, ...(process.env.OPENSHELL_TASKS_MISE ?? '').split(':').filter((path) => path !== '')];

/**
 * Runs mise with nobody's configuration but this suite's. Without a network it cannot install its tools; the tasks need
 * only Node, which is on PATH.
 *
 * @param cwd the directory, whose configuration is trusted
 * @param extra the environment; its HOME takes mise's own files
 */
export function runMise(
  args: readonly string[],
  cwd: string,
  extra: Readonly<Record<string, string>>,
  program = OWN_MISE,
): Promise<TaskResult> {
  const bin = join(SUITE_ROOT, 'node_modules/.bin');
  const home = extra.HOME ?? '/nowhere';
  const env = {
    ...extra,
    PATH: `${extra.PATH ?? ''}:${bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
    MISE_TRUSTED_CONFIG_PATHS: cwd,
    MISE_TASK_RUN_AUTO_INSTALL: 'false',
    MISE_OFFLINE: '1',
    MISE_QUIET: 'true',
    MISE_DATA_DIR: join(home, 'mise'),
    MISE_CACHE_DIR: join(home, 'mise-cache'),
    MISE_CONFIG_DIR: join(home, 'mise-config'),
  };
  return runProcess(program, args, { cwd, env });
}
