// SPDX-License-Identifier: Apache-2.0

/** What an image build tells users: the plan of a dry run, and what came of it. */

import type { Runner } from '../build-env.ts';
import type { ImageOutput } from '../engine/types.ts';
import { oneLine } from '../errors.ts';
import { type Command, shellQuote } from '../process/command.ts';

/**
 * The engine's part of a plan, ready to paste.
 *
 * @param root the directory that the commands run in
 * @param directories directories that are made before
 */
export function commandLines(
  runner: Runner,
  root: string,
  directories: readonly string[],
  commands: readonly Command[],
): string[] {
  return [
    `cd ${shellQuote(root)}`,
    ...directories.map((directory) => `# makes ${oneLine(directory)}`),
    ...commands.map((command) => runner.describe(command)),
  ];
}

/** Where an image went: `loaded into docker`, `pushed`, `written (type=oci,dest=/x)`. */
export function destinationText(output: ImageOutput, engine: string): string {
  if (output.kind === 'output') return `written (${oneLine(output.value)})`;
  return output.kind === 'push' ? 'pushed' : `loaded into ${engine}`;
}
