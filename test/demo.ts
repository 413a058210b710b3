#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/**
 * `npm run demo`: the fault and its cure, for real, in a minute or two. Stages the supervisor of the miniature, as wide
 * as the real one, with the pinned zig under the open-file limit of a stock macOS shell: unguarded it dies, guarded it
 * links.
 */

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunnerContext, withRunner } from '../lib/build-env.ts';
import { runTask, type TaskContext } from '../lib/cli/task.ts';
import type { Ended } from './support/demo/run.ts';
import type { Linked } from './support/demo/scenes.ts';
import type { ToolName } from './support/tool-table.ts';

const WIDTH = 400;
const TARGETS = { x64: 'musl-x86_64', arm64: 'musl-aarch64' } as const;

await runTask(
  import.meta.url,
  {
    name: 'test/demo.ts',
    summary:
      'Show the open-file fault of a wide static link, and that the guarded build does not have it. ' +
      'OPENSHELL_TASKS_TOOLS names the directory for tools that are fetched (default .tools in this clone).',
  },
  async (ctx) => {
    await demo(await withRunner(ctx));
  },
);

async function demo(context: RunnerContext): Promise<void> {
  const { terminal, signals } = context;
  const { fetchTools } = await import('./support/fetch-tools.ts');
  const { canLowerLimit, dieUnguarded, linkGuarded } = await import('./support/demo/scenes.ts');
  const { findTool, toolEnvironment } = await import('./support/real-tools.ts');
  const { LOW_LIMIT } = await import('./support/demo/run.ts');
  const start = performance.now();
  const tools = toolsForHere();
  await terminal.section('tools', () => fetchTools(context, tools));
  for (const name of tools) {
    const found = findTool(name, context.env);
    if (found.ok) terminal.say(`  ${[name, found.version].filter(Boolean).join(' ')}: ${found.path}`);
  }
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-demo-'));
  try {
    const { makeMiniature } = await import('./support/miniature.ts');
    const miniature = await terminal.section('workspace', async () =>
      makeMiniature({ at: join(directory, 'openshell'), width: WIDTH }),
    );
    terminal.say(`  a supervisor that links ${WIDTH} crates, in ${miniature.root}`);
    const stage = { terminal, signals, env: toolEnvironment(context.env), miniature };
    const died = await terminal.section(`guard off, ${LOW_LIMIT} open files`, () => dieUnguarded(stage));
    const limit = canLowerLimit(stage.env) ? `${LOW_LIMIT} open files` : 'the limit that Node has made';
    const linked = await terminal.section(`guard on, ${limit}`, () => linkGuarded(stage));
    await report(context, died, linked, performance.now() - start);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function toolsForHere(): readonly ToolName[] {
  const target = process.arch === 'arm64' ? TARGETS.arm64 : TARGETS.x64;
  return ['cargo', 'cc', 'zig', 'zigbuild', target];
}

async function report(
  { terminal }: Pick<TaskContext, 'terminal'>,
  died: Ended,
  linked: Linked,
  ms: number,
): Promise<void> {
  const [{ seconds }, { FAULT, describeLinked }, { LOW_LIMIT }] = await Promise.all([
    import('../lib/cli/terminal.ts'),
    import('./support/demo/scenes.ts'),
    import('./support/demo/run.ts'),
  ]);
  const raised = linked.limit === undefined ? '' : `, raised from ${LOW_LIMIT} to ${linked.limit}`;
  terminal.result(`guard off: died in the link after ${seconds(died.ms)}, status ${died.status}, ${FAULT}`);
  terminal.result(`guard on:  linked after ${seconds(linked.ended.ms)}${raised}: ${describeLinked(linked)}`);
  terminal.result(`it runs:   ${linked.said?.replaceAll('\n', '; ') ?? 'not here, it is made for Linux'}`);
  terminal.result(`demo passed in ${seconds(ms)}; nothing is left of it but the tools`);
}
