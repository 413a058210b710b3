// SPDX-License-Identifier: Apache-2.0

/** From what an image build is asked for to commands, and their running. */

import { type Command, command } from '../command.ts';
import type { Engine, ImageBuild } from '../engine/engine.ts';
import type { Environment } from '../environment.ts';
import type { Workbench } from '../task.ts';

/** The commands of a build, ready for the door. */
export function buildCommands(engine: Engine, build: ImageBuild, root: string, env: Environment = {}): Command[] {
  return engine.record.buildCommands(build).map((words) => command([engine.program, ...words], { cwd: root, env }));
}

/** Runs the commands of an image build as a part of the task. */
export async function runCommands(bench: Workbench, image: string, commands: readonly Command[]): Promise<void> {
  await bench.terminal.section(`image ${image}`, async () => {
    for (const build of commands) await bench.door.run(build);
  });
}
