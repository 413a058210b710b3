// SPDX-License-Identifier: Apache-2.0

/** Questions to engines, builders and clusters: commands that no token of the person goes with. */

import { type Command, command } from '../command.ts';

/** The variables that may hold a GitHub token for an image build, the first one first. */
export const TOKEN_VARIABLES = ['MISE_GITHUB_TOKEN', 'GITHUB_TOKEN'] as const;

/** A question. What is said about it, and what it says itself, cannot hold a token that it never had. */
export function question(words: readonly string[], root: string): Command {
  return command(words, { cwd: root, env: Object.fromEntries(TOKEN_VARIABLES.map((name) => [name, undefined])) });
}
