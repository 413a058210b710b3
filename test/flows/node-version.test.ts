// SPDX-License-Identifier: Apache-2.0

/** The `node` that npx and npm run find, where `npm install` has brought Node 24 and where it could not. */

import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { bashQuote } from '../support/fake-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const OLD = '20.20.2';
const REFUSED = {
  status: 2,
  stdout: '',
  stderr:
    `error: the tasks need Node 24, and PATH has ${OLD}; npm install in their clone brings one (after an install ` +
    'with scripts off: npm rebuild node), or put Node 24 on PATH\n',
};

/** A program that says its version like Node, and otherwise what it was started with. */
function addNode(directory: string, version: string): string {
  mkdirSync(directory, { recursive: true });
  const text = `#!/bin/bash\nif [[ $1 == -p ]]; then echo ${version}; exit; fi\nprintf '%s|' ${version} "$@"\nexit 7\n`;
  writeFileSync(join(directory, 'node'), text, { mode: 0o755 });
  return directory;
}

/** A clone after `npm install --ignore-scripts`, or after that of pnpm, with an older Node on PATH. */
class Clone {
  readonly root = join(temporaryDirectory(), "cl one's");
  readonly bin = join(this.root, 'node_modules/.bin');
  readonly old = addNode(join(this.root, 'old'), OLD);

  constructor(installer: 'npm' | 'pnpm' = 'npm') {
    const store = { npm: 'node_modules', pnpm: 'node_modules/.pnpm/x/node_modules' }[installer];
    const file = join(this.root, store, '@openshell-tasks/node/node.sh');
    for (const directory of [this.bin, dirname(file)]) mkdirSync(directory, { recursive: true });
    copyFileSync(join(SUITE_ROOT, 'bin/node.sh'), file);
    if (installer === 'npm') symlinkSync('../@openshell-tasks/node/node.sh', join(this.bin, 'node'));
    else {
      symlinkSync('.pnpm/x/node_modules/@openshell-tasks', join(this.root, 'node_modules/@openshell-tasks'));
      const text = '#!/bin/sh\nexec /bin/sh "$(/usr/bin/dirname "$0")/../@openshell-tasks/node/node.sh" "$@"\n';
      writeFileSync(join(this.bin, 'node'), text, { mode: 0o755 });
    }
    this.brought = join(this.root, store, 'node/bin');
  }

  /** Where the install script puts Node 24. */
  readonly brought: string;

  /** Runs a command as a child of npx: the programs of the clone come first. */
  run(command: string, path: readonly string[] = [this.old], env = {}): Promise<TaskResult> {
    const PATH = [this.bin, ...path].join(':');
    return runProcess('/bin/bash', ['-c', command], { cwd: '/', env: { PATH, ...env } });
  }
}

const COMMANDS = [
  `node ${bashQuote(join(SUITE_ROOT, 'node_modules/zx/build/cli.js'))} tasks/stage.ts --help`,
  'node test/demo.ts',
  'node test/check-structure.ts',
  'node tasks/stage.ts',
  'node',
];

test.each(COMMANDS)('R4: %s on an older Node is one line that says why, and what to do', async (command) => {
  for (const installer of ['npm', 'pnpm'] as const)
    expect(await new Clone(installer).run(command)).toMatchObject(REFUSED);
});

test.each(['npm', 'pnpm'] as const)(
  'R4: after %s, the Node that was brought, and nothing else is asked',
  async (installer) => {
    const clone = new Clone(installer);
    addNode(clone.brought, '24.21.0');
    expect(await clone.run(`node 'a b' '' "it's"`)).toMatchObject({
      status: 7,
      stdout: "24.21.0|a b||it's|",
      stderr: '',
    });
  },
);

test('R4: else a Node 24 of the user, and none of another clone or of a relative directory', async () => {
  const clone = new Clone();
  const other = addNode(join(clone.root, 'other/node_modules/.bin'), '26.0.0');
  const user = addNode(join(clone.root, '*'), '24.0.0');
  const result = await clone.run('node x.ts', ['.', '', other, clone.old, user]);
  expect(result).toMatchObject({ status: 7, stdout: '24.0.0|x.ts|' });
  expect((await clone.run('node x.ts', ['.', other, clone.old])).stderr).toBe(REFUSED.stderr);
  expect((await clone.run('node x.ts', [])).stderr).toContain('PATH has none; ');
});

test('R18: a link to it in another directory of PATH is passed over, and does not start itself', async () => {
  const clone = new Clone();
  const linked = join(clone.root, 'linked');
  mkdirSync(linked);
  symlinkSync(join(clone.bin, 'node'), join(linked, 'node'));
  const user = addNode(join(clone.root, 'user'), '24.0.0');
  const run = (...path: readonly string[]) => {
    // Should it start itself after all, then all of that is ended soon.
    const command = ['--signal', 'KILL', '2', join(linked, 'node'), 'x.ts'];
    return runProcess('/usr/bin/timeout', command, { cwd: '/', env: { PATH: [linked, ...path].join(':') } });
  };
  expect(await run(clone.old, user)).toMatchObject({ status: 7, stdout: '24.0.0|x.ts|' });
  expect(await run(clone.old)).toMatchObject(REFUSED);
});

test('R4: npm and its install scripts run on the older one, which gets Node 24', async () => {
  const clone = new Clone();
  for (const program of ['/usr/bin/npm', '/x y/npx', '/lib/npm-cli.js', '/bin/pnpm']) {
    expect((await clone.run(`node ${bashQuote(program)} rebuild node`)).stdout).toBe(`${OLD}|${program}|rebuild|node|`);
  }
  const env = { npm_lifecycle_event: 'preinstall' };
  expect((await clone.run('node install.js', [clone.old], env)).stdout).toBe(`${OLD}|install.js|`);
});
