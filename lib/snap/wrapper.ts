// SPDX-License-Identifier: Apache-2.0

/** The program that the snap starts as its gateway: a POSIX script, because a snap has no Node. */

import type { TaskContext } from '../cli/task.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { absolutePath } from '../fs/paths.ts';
import { files, verifyPlaces } from '../fs/writable-places.ts';
import { COMPONENTS } from '../product.ts';

const CONFIG_VARIABLE = 'OPENSHELL_GATEWAY_CONFIG';
const CONFIG = `\${SNAP_COMMON}/gateway.toml`;
/** The snap's own defaults of the gateway's variables. */
const DEFAULTS = Object.entries({
  OPENSHELL_DB_URL: `sqlite:\${SNAP_COMMON}/gateway.db?mode=rwc`,
  OPENSHELL_DISABLE_TLS: 'true',
});

/** Prints the wrapper, or writes it whole, as a program. @param output the file, relative to the start directory */
export function writeSnapWrapper(ctx: TaskContext, output: string | undefined, isDryRun: boolean): void {
  const { startDirectory, terminal } = ctx;
  if (output === undefined) {
    terminal.result(...snapWrapper().trimEnd().split('\n'));
    return;
  }
  const path = absolutePath(startDirectory, output);
  verifyPlaces(terminal, files(path));
  terminal.result(isDryRun ? `# writes ${path}` : `${writeWhole(path, snapWrapper(), 0o755)}: ${path}`);
}

/** The text of the wrapper. A test of OpenShell looks for its `export` and `exec` lines as they are here. */
export function snapWrapper(): string {
  const gateway = `exec "\${SNAP}/bin/${COMPONENTS.gateway.binary}"`;
  return `#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# Written by tasks/snap-gateway-wrapper.ts. Starts the gateway of the snap, with these defaults:
${DEFAULTS.map(([name, value]) => `#   ${name}=${value}`).join('\n')}
# Where ${CONFIG_VARIABLE} is not set, ${CONFIG} is its configuration, if there is one.

set -eu

CANONICAL_CONFIG_FILE="${CONFIG}"
${DEFAULTS.map(([name, value]) => `export ${name}="\${${name}:-${value}}"`).join('\n')}

if [ -z "\${${CONFIG_VARIABLE}:-}" ] && [ -f "$CANONICAL_CONFIG_FILE" ]; then
  ${gateway} --config "$CANONICAL_CONFIG_FILE" "$@"
fi
${gateway} "$@"
`;
}
