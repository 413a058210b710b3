// SPDX-License-Identifier: Apache-2.0

/** Cargo's progress bar and colours, kept although its output goes through a pipe. */

import { type Environment, textOf } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';

/** The variables that make cargo write as it would to the terminal; none where there is no terminal. */
export function cargoTermEnv(terminal: Terminal, env: Environment): Environment {
  if (!terminal.isInteractive) return {};
  return {
    CARGO_TERM_COLOR: textOf(env, 'CARGO_TERM_COLOR') ?? (terminal.isColoured ? 'always' : 'never'),
    CARGO_TERM_PROGRESS_WHEN: textOf(env, 'CARGO_TERM_PROGRESS_WHEN') ?? 'always',
    CARGO_TERM_PROGRESS_WIDTH: textOf(env, 'CARGO_TERM_PROGRESS_WIDTH') ?? String(terminal.columns),
  };
}
