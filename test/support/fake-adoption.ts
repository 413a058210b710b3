// SPDX-License-Identifier: Apache-2.0

/** A checkout with bash tasks of its own, and a clone of the suite beside it whose tasks it can adopt. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { declaredTasks } from '../../lib/adopt/tasks-file.ts';
import { FakeCheckout } from './fake-rust.ts';
import { bashQuote } from './fake-tools.ts';
import type { TaskOptions, TaskResult } from './run-task.ts';
import { SuiteCopy } from './suite-copy.ts';

const FILES = {
  'mise.toml': '[env]\nFROM_CHECKOUT = "yes"\n\n[task_config]\nincludes = ["tasks/*.toml"]\n',
  'tasks/gateway.toml':
    '[gateway]\ndescription = "the bash task"\nrun = "bash tasks/scripts/gateway.sh"\n\n' +
    '["gateway:docker"]\nrun = "bash tasks/scripts/gateway-docker.sh"\n\n' +
    '[theirs]\nrun = "bash tasks/scripts/theirs.sh"\n',
  'tasks/scripts/gateway.sh': 'echo bash gateway\nexec bash "$ROOT/tasks/scripts/gateway-docker.sh"\n',
  'tasks/scripts/gateway-docker.sh': 'echo bash gateway-docker\n# as /theirs.sh\n',
  'tasks/scripts/theirs.sh': 'echo bash theirs "$FROM_CHECKOUT" "$@"\n',
  'tasks/scripts/verify-static-binary.sh': 'echo bash verify\n',
  '.gitignore': 'mise.local.toml\n',
};

/** Everything is below the directory of `tools.directory`. */
export class FakeAdoption extends FakeCheckout {
  readonly suite: SuiteCopy;
  readonly localFile = join(this.root, 'mise.local.toml');
  readonly tasksFile: string;

  constructor(name?: string, suiteName = 'suite') {
    super({}, name);
    for (const [path, text] of Object.entries(FILES)) this.write(path, text);
    this.suite = new SuiteCopy(join(dirname(this.root), suiteName));
    this.tasksFile = join(this.suite.root, '.adopt/adopt-tasks.toml');
    this.tools.add('git', [{ args: [], script: ':' }]);
    this.setSources(() => this.tasksFile);
  }

  /** Writes a file of the checkout. */
  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** What a fake mise says of where each of our tasks is from. */
  setSources(sourceOf: (name: string) => string): void {
    const names = [...declaredTasks(readFileSync(join(this.suite.root, 'mise.toml'), 'utf8')).keys()];
    const listed = JSON.stringify(names.map((name) => ({ name, source: sourceOf(name) })));
    this.setMise(`printf '%s\\n' ${bashQuote(listed)}`);
  }

  setMise(script: string): void {
    this.tools.add('mise', [{ args: ['tasks', '--hidden', '--json'], script }]);
  }

  /** Gives the clone another mise.toml. */
  setVersion(version: string): void {
    const path = join(this.suite.root, 'mise.toml');
    const text = readFileSync(path, 'utf8').replace(/^description = .*/m, `description = ${JSON.stringify(version)}`);
    writeFileSync(path, text);
  }

  /** Runs the clone's adopt on the checkout. */
  adopt(args: readonly string[] = [], options: Partial<TaskOptions> = {}): Promise<TaskResult> {
    return this.suite.run('adopt', [this.root, ...args], { cwd: '/', env: this.tools.env(), ...options });
  }
}
