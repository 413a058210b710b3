// SPDX-License-Identifier: Apache-2.0

/**
 * Builds buildx and buildkitd with Go from a throw-away module, into the directory of tools. `go install PACKAGE@VERSION`
 * will not do: their modules exclude and replace others, and then it refuses.
 */

import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cmd } from '../../lib/process/command.ts';
import { findProgram } from '../../lib/process/which.ts';
import type { FetchContext } from './fetch-tools.ts';
import { GO_TOOLS, type GoTool, type GoToolName, toolsDirectory } from './tool-table.ts';

/**
 * Builds the tools one after the other. Without Go it says so: only some of the tests need them.
 *
 * @throws TaskError with go's own status
 */
export async function fetchGoTools(context: FetchContext, names: readonly GoToolName[]): Promise<void> {
  if (names.length === 0) return;
  const tools = names.map((name) => GO_TOOLS[name]);
  const wanted = tools.map(({ program, version }) => `${program} ${version}`).join(', ');
  if (findProgram('go', context.env) === undefined) {
    context.terminal.warn(`${wanted}: not here, and go is not on PATH to build them; tests that need them are skipped`);
    return;
  }
  context.terminal.say(`building ${wanted} with Go (once, some minutes)`);
  for (const tool of tools) await build(context, tool);
}

async function build({ runner, env }: FetchContext, tool: GoTool): Promise<void> {
  const bin = join(toolsDirectory(env), 'bin');
  const module = join(toolsDirectory(env), 'go', tool.program);
  const go = (...args: string[]) => cmd({ cwd: module, env: { CGO_ENABLED: '0' } })`go ${args}`;
  rmSync(module, { recursive: true, force: true });
  for (const directory of [bin, module]) mkdirSync(directory, { recursive: true });
  try {
    // These two name every module; only the last one is worth a line.
    await runner.read(go('mod', 'init', 'throw-away'));
    await runner.read(go('get', `${tool.package}@${tool.version}`));
    const stamp = `-s -w -X ${tool.versionSymbol}=${tool.version}`;
    await runner.run(go('build', '-trimpath', '-ldflags', stamp, '-o', join(module, tool.program), tool.package));
    // The file makes the tool count as fetched, so it comes last and at once.
    renameSync(join(module, tool.program), join(bin, tool.program));
  } finally {
    rmSync(module, { recursive: true, force: true });
  }
}
