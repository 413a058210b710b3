// SPDX-License-Identifier: Apache-2.0

/** No test removes anything from the machine's own engines, whatever it does wrong. */

import { tmpdir } from 'node:os';
import { findProgram } from '../../lib/process/which.ts';

/** What leads an engine away from the machine's own store. */
const PRIVATE = { docker: 'DOCKER_HOST', podman: 'CONTAINERS_STORAGE_CONF' } as const;

/**
 * Looks at a program before it is started: where it is the clean-up, each engine that it could find has to be a fake,
 * or one whose variable points into the directory of temporary files.
 *
 * @throws Error where the machine's own store could be reached
 */
export function verifyPrivateEngines(argv: readonly string[], env: Readonly<Record<string, string>>): void {
  if (!argv.some((argument) => /docker[-:]cleanup/.test(argument)) || argv.includes('--help')) return;
  for (const [engine, variable] of Object.entries(PRIVATE)) {
    const program = findProgram(engine, env);
    if (program === undefined || program.startsWith(`${tmpdir()}/`)) continue;
    const place = env[variable]?.replace(/^unix:\/\//, '') ?? '';
    if (!place.startsWith(`${tmpdir()}/`)) throw new Error(`${program} would reach this machine's own store`);
  }
}
