// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SUITE_ROOT } from './support/run-task.ts';
import { checkFile, checkSpawns } from './support/spawn-check.ts';
import { temporaryDirectory } from './support/temporary.ts';

test('the suite itself has one runner', () => {
  expect(checkSpawns(SUITE_ROOT)).toEqual([]);
});

describe('planted violations', () => {
  test.each([
    ["import { spawn } from 'node:child_process';", "import of 'node:child_process'"],
    ["import cp from 'child_process';", "import of 'child_process'"],
    ["export { exec } from 'node:child_process';", "import of 'node:child_process'"],
    ["export * from 'node:child_process';", "import of 'node:child_process'"],
    ["import { $ } from 'zx';", "import of 'zx'"],
    ["import 'zx/globals';", "import of 'zx/globals'"],
    ["import { $ } from 'zx/core';", "import of 'zx/core'"],
    ["await import('zx');", "import of 'zx'"],
    ["const { $ } = await import('zx/core');", "import of 'zx/core'"],
    ["await import('node:child_process');", "import of 'node:child_process'"],
    ["await import('node:child' + '_process');", 'import() of a computed path'],
    ['await import(`node:child_process`);', 'import() of a computed path'],
    ["import { Worker } from 'node:worker_threads';", "import of 'node:worker_threads'"],
    ["import cluster from 'node:cluster';", "import of 'node:cluster'"],
    ["import '../node_modules/zx/build/core.js';", "import of '../node_modules/zx/build/core.js'"],
    ["await import('../test/support/run-task.ts');", "import of '../test/support/run-task.ts'"],
    ["import '/tmp/way-out.ts';", "import of '/tmp/way-out.ts'"],
    ["import { execa } from 'execa';", "import of 'execa'"],
    ["import { createRequire } from 'node:module';", "createRequire of 'node:module'"],
    ["import * as module from 'node:module';", "of 'node:module'"],
    ["createRequire(import.meta.url)('child_process');", "'createRequire'"],
    ["(await import('node:module')).createRequire(import.meta.url)('child_process');", "import of 'node:module'"],
    ["const cp = require('child_process');", "'require'"],
    ["const cp = process.getBuiltinModule('child_process');", "'getBuiltinModule'"],
    ["process.execve('/bin/sh', ['sh'], {});", "'execve'"],
    ["process['execve']('/bin/sh');", "'process' as a value"],
    ['const { execve } = process;', "'execve'"],
    ['const p = process;', "'process' as a value"],
    ["process.binding('spawn_sync');", "'binding'"],
    ["process?.['binding']('spawn_sync');", "'process' as a value"],
    ["process._linkedBinding('spawn_sync');", "'_linkedBinding'"],
    ["process.dlopen(module, '/tmp/way-out.node');", "'dlopen'"],
    ['globalThis.process.abort();', "'globalThis'"],
    ["import process from 'node:process';", "import of 'node:process'"],
    ["eval('1');", "'eval'"],
    ["new Function('return process')();", "'Function'"],
    ["(() => 0).constructor('return process')();", "'constructor'"],
  ])('%s', (line, what) => {
    const found = checkFile('lib/planted.ts', `// one\n\n${line}\n`);
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toMatch(
      /^lib\/planted\.ts:3: .+ is banned; only lib\/build-env\.ts starts programs; use run, .+ or exec of its Runner$/,
    );
    expect(found.join('\n')).toContain(what);
  });

  test('a planted file in a tree is found by path and line, also when it is not TypeScript', () => {
    const root = temporaryDirectory();
    for (const path of ['lib/deep/er/planted.ts', 'tasks/planted.sh', 'lib/fine.ts']) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
    }
    writeFileSync(join(root, 'lib/fine.ts'), "import { join } from 'node:path';\nexport const x = join('a');\n");
    writeFileSync(join(root, 'lib/deep/er/planted.ts'), "\nimport { fork } from 'node:child_process';\n");
    writeFileSync(join(root, 'tasks/planted.sh'), 'cargo build\n');
    expect(checkSpawns(root).map((line) => line.split(' ')[0])).toEqual([
      'lib/deep/er/planted.ts:2:',
      'tasks/planted.sh:1:',
    ]);
  });
});

test('what starts no program passes', () => {
  const text = `
// child_process, zx and process.execve in a comment
export const note = "import('node:child_process') in a text";
export const pid = process.pid + readFileSync('x').length + helper({ process: 1, eval: 2 }.process);
export type Child = ChildProcess;
`;
  expect(checkFile('lib/fine.ts', text)).toEqual([expect.stringContaining("'eval'")]);
  expect(checkFile('lib/fine.ts', text.replace(', eval: 2', ''))).toEqual([]);
});

test('the runner may, and only what the list of exceptions names', () => {
  expect(checkFile('lib/build-env.ts', "import { spawn } from 'node:child_process';")).toEqual([]);
  expect(checkFile('lib/build-env.ts', "import { Worker } from 'node:worker_threads';")).toHaveLength(1);
});
