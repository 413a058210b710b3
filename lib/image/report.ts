// SPDX-License-Identifier: Apache-2.0

/** What an image build tells people: the plan of a dry run, and what came of it. */

import type { Door } from '../build-env.ts';
import type { ImageOutput } from '../engine/types.ts';
import { oneLine } from '../errors.ts';
import { type Command, shellQuote } from '../process/command.ts';

/**
 * The engine's part of a plan, ready to paste.
 *
 * @param root the folder that the commands run in
 * @param folders folders that are made before
 */
export function commandLines(
  door: Door,
  root: string,
  folders: readonly string[],
  commands: readonly Command[],
): string[] {
  return [
    `cd ${shellQuote(root)}`,
    ...folders.map((folder) => `# makes ${oneLine(folder)}`),
    ...commands.map((command) => door.describe(command)),
  ];
}

/** Where an image went: `loaded into docker`, `pushed`, `written (type=oci,dest=/x)`. */
export function destinationText(output: ImageOutput, engine: string): string {
  if (output.kind === 'output') return `written (${oneLine(output.value)})`;
  return output.kind === 'push' ? 'pushed' : `loaded into ${engine}`;
}
