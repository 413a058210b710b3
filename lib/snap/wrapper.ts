// SPDX-License-Identifier: Apache-2.0

/** The program that the snap starts as its gateway: a POSIX script, because a snap has no Node. */

import type { TaskContext } from '../cli/task.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { absolutePath } from '../fs/paths.ts';
import { files, verifyPlaces } from '../fs/writable-places.ts';
import { COMPONENTS } from '../product.ts';

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

# Written by tasks/snap-gateway-wrapper.ts. Starts the gateway of the snap, with defaults of its own.

set -eu

CANONICAL_CONFIG_FILE="\${SNAP_COMMON}/gateway.toml"
export OPENSHELL_DB_URL="\${OPENSHELL_DB_URL:-sqlite:\${SNAP_COMMON}/gateway.db?mode=rwc}"
export OPENSHELL_DISABLE_TLS="\${OPENSHELL_DISABLE_TLS:-true}"

if [ -z "\${OPENSHELL_GATEWAY_CONFIG:-}" ] && [ -f "$CANONICAL_CONFIG_FILE" ]; then
  ${gateway} --config "$CANONICAL_CONFIG_FILE" "$@"
fi
${gateway} "$@"
`;
}
