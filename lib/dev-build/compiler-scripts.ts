// SPDX-License-Identifier: Apache-2.0

/**
 * The scripts that cargo runs in place of the compiler, pure. One links the supervisor's program statically: libc and
 * std choose at the last link, so only the last crate gets the flag. Cargo counts the path of such a
 * `RUSTC_WORKSPACE_WRAPPER` in the names of its artifacts, and not its content: so the path holds the content's hash.
 */

import { hash } from 'node:crypto';
import { join } from 'node:path';
import { isSccache } from '../cargo/sccache-recovery.ts';
import type { CargoSettings } from '../cargo/settings.ts';
import type { Environment } from '../cli/env.ts';
import { scriptQuote } from '../process/command.ts';
import { COMPONENTS, INNER_WRAPPER } from '../product.ts';

/** The scripts of a run, each in a directory of its own, and the variables that make cargo compile through them. */
export function compilerScripts(
  directory: string,
  { wrapper, workspaceWrapper }: Pick<CargoSettings, 'wrapper' | 'workspaceWrapper'>,
): { readonly files: readonly ReturnType<typeof script>[]; readonly env: Environment } {
  const users = workspaceWrapper === undefined ? '' : `${scriptQuote(workspaceWrapper)} `;
  const own = script(directory, 'static-rustc', `${HEAD}${STATIC_PROGRAM}exec ${users}"$@"\n`);
  const env = { RUSTC_WORKSPACE_WRAPPER: own.path };
  if (wrapper === undefined) return { files: [own], env };
  const outer = script(directory, 'rustc-wrapper', outerText(own.path, users, wrapper));
  return { files: [own, outer], env: { ...env, RUSTC_WRAPPER: outer.path, [INNER_WRAPPER]: wrapper } };
}

function script(directory: string, name: string, text: string) {
  return { path: join(directory, `${name}-${hash('sha256', text).slice(0, 16)}`, name), text };
}

const HEAD = `#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Written by the tasks for their own builds: see lib/dev-build/compiler-scripts.ts.
`;

/** Cargo says `COMPILER --crate-name NAME .. --crate-type TYPE ..`; the library of the package has the same name. */
const STATIC_PROGRAM = `case "\${2-} \${3-} $*" in
  '--crate-name ${COMPONENTS.supervisor.binary.replaceAll('-', '_')} '*' --crate-type bin '*)
    set -- "$@" -C target-feature=+crt-static ;;
esac
`;

/**
 * Sccache takes the wrapper of the workspace's crates for a compiler that it does not know. So a wrapper of ours runs
 * before it, does that one's work, and shows it the real compiler. Only what compiles goes to sccache: cargo keeps the
 * results of its probes of the compiler, a failure too, which would outlive the restart of a server.
 */
function outerText(own: string, users: string, wrapper: string): string {
  const direct = (at: number) => (isSccache(wrapper) ? `[ "\${${at}-}" = --crate-name ] || exec "$@"` : ':');
  return `${HEAD}if [ "\${1-}" = ${scriptQuote(own)} ]; then
  ${direct(3)}
  shift
${STATIC_PROGRAM.replaceAll(/^(?=.)/gm, '  ')}  exec "$${INNER_WRAPPER}" ${users}"$@"
fi
${direct(2)}
exec "$${INNER_WRAPPER}" "$@"
`;
}
