// SPDX-License-Identifier: Apache-2.0

/** A copy of the suite, for runs that write to it: `--update-pins` records in the suite that it belongs to. */

import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readUpstream } from '../../lib/adopt/upstream.ts';
import { runProcess, SUITE_ROOT, type TaskOptions, type TaskResult } from './run-task.ts';
import { temporaryDirectory } from './temporary.ts';

export class SuiteCopy {
  readonly root: string;

  /** @param root where it belongs, if not in a directory of its own */
  constructor(root = temporaryDirectory('suite')) {
    this.root = root;
    for (const name of ['bin', 'lib', 'tasks', 'pins', 'mise.toml', 'package.json']) {
      cpSync(join(SUITE_ROOT, name), join(this.root, name), { recursive: true });
    }
    symlinkSync(join(SUITE_ROOT, 'node_modules'), join(this.root, 'node_modules'));
    this.setPins({});
  }

  get pinsPath(): string {
    return join(this.root, 'pins/vm-runtime.json');
  }

  pins(): Record<string, string> {
    return JSON.parse(readFileSync(this.pinsPath, 'utf8'));
  }

  setPins(pins: Readonly<Record<string, string>>): void {
    mkdirSync(dirname(this.pinsPath), { recursive: true });
    writeFileSync(this.pinsPath, JSON.stringify(pins));
  }

  /** Records a checkout's tasks as those that ours were written for. */
  recordUpstream(checkout: string): void {
    const { tasks, scripts } = readUpstream(checkout);
    writeFileSync(join(this.root, 'pins/upstream-tasks.json'), JSON.stringify({ tasks, scripts }));
  }

  /** Runs a task of the copy. */
  run(task: string, args: readonly string[], options: TaskOptions): Promise<TaskResult> {
    return runProcess(process.execPath, [join(this.root, 'tasks', `${task}.ts`), ...args], options);
  }
}
