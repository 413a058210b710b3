// SPDX-License-Identifier: Apache-2.0

/** Running tasks through real mise, as users do. */

import { dirname, join } from 'node:path';
import { runProcess, SUITE_ROOT, type TaskResult } from './run-task.ts';

const BIN = join(SUITE_ROOT, 'node_modules/.bin');
const OWN_MISE = join(BIN, 'mise');

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
  return runProcess(program, args, { cwd, env: miseEnvironment(extra, cwd) });
}

/** The environment in which mise has no configuration but this suite's. */
export function miseEnvironment(
  extra: Readonly<Record<string, string>>,
  trusted: string = SUITE_ROOT,
): Record<string, string> {
  const home = extra.HOME ?? '/nowhere';
  return {
    ...extra,
    PATH: `${extra.PATH ?? ''}:${BIN}:${dirname(process.execPath)}:/usr/bin:/bin`,
    MISE_TRUSTED_CONFIG_PATHS: `${trusted}:${extra.MISE_TRUSTED_CONFIG_PATHS ?? ''}`,
    MISE_TASK_RUN_AUTO_INSTALL: 'false',
    MISE_OFFLINE: '1',
    MISE_QUIET: 'true',
    MISE_DATA_DIR: join(home, 'mise'),
    MISE_CACHE_DIR: join(home, 'mise-cache'),
    MISE_CONFIG_DIR: join(home, 'mise-config'),
  };
}
