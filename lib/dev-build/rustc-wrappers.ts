// SPDX-License-Identifier: Apache-2.0

/**
 * The scripts that stand before the compiler, pure. One links the supervisor's program statically: libc and std choose
 * at the last link, so only the last crate gets the flag. Cargo counts the path of such a `RUSTC_WORKSPACE_WRAPPER` in
 * the names of what it makes (not its content: so the path holds the content's hash), and keeps it apart from what a
 * user's own build makes.
 *
 * Plain sh and few words: they run once for every crate.
 */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CargoSettings } from '../cargo/config-files.ts';
import { isSccache } from '../cargo/sccache-recovery.ts';
import type { Environment } from '../cli/env.ts';
import { scriptQuote } from '../process/command.ts';
import { COMPONENTS, INNER_WRAPPER } from '../product.ts';

/** A script that is written whole before the run. */
export interface ScriptFile {
  readonly path: string;
  readonly text: string;
}

export interface CompilerScripts {
  readonly files: readonly ScriptFile[];
  /** What makes cargo compile through them. */
  readonly env: Environment;
}

/**
 * The scripts of a run.
 * @param directory absolute; each script stands in a directory of its own in it
 * @param settings the wrappers that the user uses; they stay in use behind ours
 */
export function compilerScripts(directory: string, settings: Pick<CargoSettings, 'wrapper' | 'workspaceWrapper'>) {
  const { wrapper, workspaceWrapper } = settings;
  const behind = workspaceWrapper === undefined ? '' : `${scriptQuote(workspaceWrapper)} `;
  const own = script(directory, 'static-rustc', `${HEAD}${STATIC_PROGRAM}exec ${behind}"$@"\n`);
  const workspace = { RUSTC_WORKSPACE_WRAPPER: own.path };
  if (wrapper === undefined) return { files: [own], env: workspace } satisfies CompilerScripts;
  const outer = script(directory, 'rustc-wrapper', outerText(own.path, behind, wrapper));
  const env = { ...workspace, RUSTC_WRAPPER: outer.path, [INNER_WRAPPER]: wrapper };
  return { files: [own, outer], env } satisfies CompilerScripts;
}

function script(directory: string, name: string, text: string): ScriptFile {
  const key = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { path: join(directory, `${name}-${key}`, name), text };
}

const HEAD = `#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Made by the tasks for their own builds: see lib/dev-build/rustc-wrappers.ts.
`;

/** Cargo says `COMPILER --crate-name NAME .. --crate-type TYPE ..`; the library of the package has the same name. */
const STATIC_PROGRAM = `if [ "\${2-} \${3-}" = '--crate-name ${COMPONENTS.supervisor.binary.replaceAll('-', '_')}' ]; then
  previous=
  for word do
    if [ "$previous $word" = '--crate-type bin' ]; then
      set -- "$@" -C target-feature=+crt-static
      break
    fi
    previous=$word
  done
fi
`;

/**
 * Sccache takes the wrapper of the workspace's crates for a compiler that it does not know. So a wrapper of ours stands
 * before it, does that one's work, and shows it the real compiler. Only what compiles goes to sccache: cargo asks the
 * compiler some questions and keeps the answers, a failure too, which would outlive the restart of a server.
 */
function outerText(own: string, behind: string, wrapper: string): string {
  const direct = (word: number) => (isSccache(wrapper) ? `[ "\${${word}-}" = --crate-name ] || exec "$@"` : ':');
  return `${HEAD}if [ "\${1-}" = ${scriptQuote(own)} ]; then
  ${direct(3)}
  shift
${STATIC_PROGRAM.replaceAll(/^(?=.)/gm, '  ')}  exec "$${INNER_WRAPPER}" ${behind}"$@"
fi
${direct(2)}
exec "$${INNER_WRAPPER}" "$@"
`;
}
