// SPDX-License-Identifier: Apache-2.0

/** The structure checks, each with violations planted in a small tree of its own. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkFaults } from './support/structure/faults.ts';
import { checkFiles, checkMirror, checkTopOfLib } from './support/structure/files.ts';
import { checkFunctions } from './support/structure/functions.ts';
import { checkCircles, checkDeferred, checkRunnerImports } from './support/structure/imports.ts';
import { checkWords } from './support/structure/words.ts';
import { temporaryDirectory } from './support/temporary.ts';

/** A suite with these files. */
function plant(files: Readonly<Record<string, string>>): string {
  const root = temporaryDirectory();
  for (const directory of ['lib', 'tasks', 'test']) mkdirSync(join(root, directory));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

describe('circles of imports', () => {
  test('two files, by an export', () => {
    const root = plant({
      'lib/a.ts': "\nimport { b } from './deep/b.ts';\n",
      'lib/deep/b.ts': "export { a } from '../a.ts';",
    });
    expect(checkCircles(root)).toEqual([
      'lib/a.ts:2: circle of imports: lib/a.ts → lib/deep/b.ts → lib/a.ts; move what both need to a module below',
    ]);
  });

  test.each([
    "import type { B } from './b.ts';",
    "import { type B } from './b.ts';",
    "type B = import('./b.ts').B;",
    "await import('./b.ts');",
    "import './b.ts';",
    "export * from './b.ts';",
  ])('%s closes one', (line) => {
    const root = plant({ 'lib/a.ts': line, 'lib/b.ts': "import './c.ts';", 'lib/c.ts': "import '../lib/a.ts';" });
    expect(checkCircles(root)).toEqual([
      expect.stringContaining('lib/a.ts:1: circle of imports: lib/a.ts → lib/b.ts → lib/c.ts → lib/a.ts;'),
    ]);
  });

  test('a file that imports itself, a task, and two circles through one file', () => {
    const root = plant({
      'lib/self.ts': "await import('./self.ts');",
      'tasks/t.ts': "import '../lib/u.ts';",
      'lib/u.ts': "import '../tasks/t.ts';\nimport './v.ts';",
      'lib/v.ts': "import './u.ts';",
    });
    expect(checkCircles(root).map((line) => line.split(/: |; /)[2])).toEqual([
      'lib/self.ts → lib/self.ts',
      'lib/u.ts → tasks/t.ts → lib/u.ts',
      'lib/u.ts → lib/v.ts → lib/u.ts',
    ]);
  });

  test('what leads to the same file twice is no circle', () => {
    const root = plant({
      'lib/a.ts': "import './b.ts';\nimport './c.ts';\nimport 'node:fs';",
      'lib/b.ts': "import './c.ts';",
      'lib/c.ts': 'export const c = 1;',
    });
    expect(checkCircles(root)).toEqual([]);
  });
});

describe('deferred imports', () => {
  test('in lib/', () => {
    const root = plant({
      'lib/a.ts': "await import('zx/core');\nawait import('smol-toml');\nlet b: import('./b.ts').B;\nimport './c.ts';",
      'lib/d/e.ts': "await import('zx/core');\n\nawait import('../b.ts');\nawait import('node:sqlite');",
    });
    expect(checkDeferred(root)).toEqual([
      expect.stringMatching(/^lib\/d\/e\.ts:3: import\(\) of '\.\.\/b\.ts'; import it at the top: /),
      expect.stringMatching(/^lib\/d\/e\.ts:4: import\(\) of 'node:sqlite'; import it at the top: /),
    ]);
  });

  test('the entry of another task, in the one module that may start it', () => {
    const text = "await import('../../vm/runtime/setup.ts');";
    const root = plant({ 'lib/gateway/drivers/vm.ts': text, 'lib/gateway/drivers/records.ts': text });
    expect(checkDeferred(root)).toEqual([
      expect.stringMatching(/^lib\/gateway\/drivers\/records\.ts:1: import\(\) of /),
    ]);
  });

  test('in tasks/', () => {
    const root = plant({
      'tasks/a.ts': "await import('../lib/build-env.ts');",
      'tasks/vm/b.ts': "await import('../../lib/vm/execute.ts');",
      'tasks/c.ts': "await import('./a.ts');\nawait import('smol-toml');",
    });
    expect(checkDeferred(root).map((line) => line.split(';')[0])).toEqual([
      "tasks/c.ts:1: import() of './a.ts'",
      "tasks/c.ts:2: import() of 'smol-toml'",
    ]);
  });
});

describe('tasks import the runner', () => {
  const LIB = {
    'lib/build-env.ts': "import type { TaskContext } from './cli/task.ts';\nexport class Runner {}",
    'lib/cli/task.ts': "import './args.ts';",
    'lib/cli/args.ts': '',
    'lib/stage.ts': "import './deep.ts';",
    'lib/deep.ts': "import type { Runner } from './build-env.ts';",
    'lib/sandbox.ts': "import type { RunnerContext } from './build-env.ts';",
    'lib/elf.ts': "import type { Stage } from './stage.ts';\nimport type { TaskContext } from './cli/task.ts';",
  };
  const RUN_TASK = "import { runTask } from '../lib/cli/task.ts';\n";

  test.each([
    ['a module below its entry takes a runner', "await import('../lib/stage.ts');", 'lib/deep.ts'],
    ['so does a static import', "import '../lib/deep.ts';", 'lib/deep.ts'],
    ['its entry takes a context with a runner', "await import('../lib/sandbox.ts');", 'lib/sandbox.ts'],
    [
      'the type alone is not enough',
      "import type { Runner } from '../lib/build-env.ts';\nimport '../lib/deep.ts';",
      'lib/deep.ts',
    ],
  ])('%s', (_, text, user) => {
    expect(checkRunnerImports(plant({ ...LIB, 'tasks/t.ts': RUN_TASK + text }))).toEqual([
      `tasks/t.ts:1: ${user} takes a runner, and the task does not import lib/build-env.ts; import it by name`,
    ]);
  });

  test.each([
    ['a static import', "import { Runner } from '../lib/build-env.ts';\nimport '../lib/deep.ts';"],
    ['one in its body', "await import('../lib/build-env.ts');\nawait import('../lib/deep.ts');"],
    ['a task that starts nothing, whose entry takes a context without one', "await import('../lib/elf.ts');"],
  ])('%s is right', (_, text) => {
    expect(checkRunnerImports(plant({ ...LIB, 'tasks/t.ts': RUN_TASK + text }))).toEqual([]);
  });
});

describe('the length of functions', () => {
  const body = (lines: number) => '  x();\n'.repeat(lines - 2);

  test.each([
    ['function f() {\n', '}', 'f'],
    ['export const g = async () => {\n', '};', 'g'],
    ['class C {\n  async m<T>(a: T) {\n', '}\n}', 'm'],
    ['class C {\n  #p = () => {\n', '}\n}', 'p'],
    ['const o = {\n  get k() {\n', '} };', 'k'],
    ['run(function () {\n', '});', 'a function without a name'],
  ])('%j', (head, tail, name) => {
    const line = head.split('\n').length;
    const of = (lines: number) => checkFunctions(plant({ 'tasks/t.ts': `\n${head}${body(lines)}${tail}` }));
    expect(of(50)).toEqual([]);
    expect(of(51)).toEqual([`tasks/t.ts:${line}: ${name} has 51 lines, at most 50 are allowed; divide it`]);
  });

  test('an inner one is counted, and measured itself', () => {
    const inner = `function outer() {\n  const inner = () => {\n${body(51)}  };\n}\n`;
    expect(checkFunctions(plant({ 'lib/a.ts': inner })).map((line) => line.split(',')[0])).toEqual([
      'lib/a.ts:1: outer has 53 lines',
      'lib/a.ts:2: inner has 51 lines',
    ]);
  });

  test('what is no block does not count', () => {
    const table = `export const f = () => [\n${'  1,\n'.repeat(60)}];\nexport class C {\n${'  a = 1;\n'.repeat(60)}}\n`;
    expect(checkFunctions(plant({ 'lib/a.ts': table }))).toEqual([]);
  });
});

describe('the place of files', () => {
  test('at most 8 are directly in lib/', () => {
    const files = Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`lib/${index}.ts`, '']));
    expect(checkTopOfLib(plant({ ...files, 'lib/deep/a.ts': '' }))).toEqual([]);
    expect(checkTopOfLib(plant({ ...files, 'lib/8.ts': '' }))).toEqual([
      'lib:1: 9 files directly in lib/, at most 8 are allowed; move some to directories',
    ]);
  });

  test('a test is where its source is', () => {
    const right = ['lib/a.test.ts', 'tasks/vm/b.test.ts', 'flows/c.test.ts', 'bench/d.test.ts', 'support/e.test.ts'];
    const wrong = ['lib/b.test.ts', 'tasks/b.test.ts', 'more/f.test.ts'];
    const paths = [...right, 'top.test.ts', 'lib/helper.ts', 'fixtures/x/lib/g.test.ts', ...wrong];
    const root = plant({
      'lib/a.ts': '',
      'tasks/vm/b.ts': '',
      'tasks/c.ts': '',
      'test/c.test.ts': '',
      ...Object.fromEntries(paths.map((path) => [`test/${path}`, ''])),
    });
    expect(checkMirror(root)).toEqual([
      'test/c.test.ts:1: it is a test of tasks/c.ts; move it to test/tasks',
      'test/lib/b.test.ts:1: there is no lib/b.ts; name it after what it tests, or move it to test/flows',
      'test/more/f.test.ts:1: there is no more/f.ts; name it after what it tests, or move it to test/flows',
      'test/tasks/b.test.ts:1: there is no tasks/b.ts; name it after what it tests, or move it to test/flows',
    ]);
  });
});

test('every file has its licence, and none of lib/ is longer than one concern', () => {
  const licence = '// SPDX-License-Identifier: Apache-2.0\n';
  const root = plant({
    'lib/a.ts': licence + '\n'.repeat(299),
    'lib/b.ts': licence + '\n'.repeat(300),
    'tasks/c.ts': `#!/usr/bin/env node\n${licence}`,
    'tasks/d.ts': `\n\n${licence}`,
    'test/e.ts': licence + '\n'.repeat(400),
    'test/fixtures/f.ts': '',
    'test/g.c': '',
  });
  expect(checkFiles(root)).toEqual([
    'lib/b.ts:1: 301 lines, at most 300 are allowed; split it by concern',
    'tasks/d.ts:1: no licence; begin with // SPDX-License-Identifier: Apache-2.0',
  ]);
});

describe('the legend of fault codes', () => {
  const legend = (...codes: readonly string[]) =>
    [
      '# Codes',
      '',
      '| code | what was wrong |',
      '| --- | --- |',
      ...codes.map((code) => `| ${code} | See L99. |`),
    ].join('\n');
  const codes = (text: string) =>
    checkFaults(plant({ 'test/a.test.ts': text })).map(
      (line) => /^test\/a\.test\.ts:(\d+: \S+) has no legend; /.exec(line)?.[1],
    );

  test.each([
    ["\ntest('C9: x', f);", ['2: C9']],
    ["test.each([1])('C9, DPM-1: %s', f);", ['1: C9', '1: DPM-1']],
    ["describe('a version (faults H3, F15b)', f);", ['1: H3', '1: F15b']],
    [`describe.skipIf(x)(\`X7: \${y} as in G-1\`, f);`, ['1: X7', '1: G-1']],
    ["testWithPodman('L1: x', f);", ['1: L1']],
    ["it('R3: x', f);", ['1: R3']],
    ["test.each([\n['CE-2: a row', 1],\n['-19 -T1', 2]])('%s', f);", ['2: CE-2']],
  ])('%j', (text, expected) => {
    expect(codes(text)).toEqual(expected);
  });

  test.each(["test('UTF-8 in K8s, T0 and E0308', f);", "say('C9');", '// C9: x', "test('c9: x', f);"])(
    'not %j',
    (text) => {
      expect(codes(text)).toEqual([]);
    },
  );

  test('each code has one line, and each line a test', () => {
    const tests = { 'test/a.test.ts': "test('C9, DPM-1: x', f);", 'test/fixtures/b.test.ts': "test('H4: x', f);" };
    expect(checkFaults(plant({ ...tests, 'test/faults.md': legend('C9', 'DPM-1') }))).toEqual([]);
    expect(checkFaults(plant({ ...tests, 'test/faults.md': legend('C9', 'H4', 'C9') }))).toEqual([
      'test/a.test.ts:1: DPM-1 has no legend; add its line to test/faults.md',
      'test/faults.md:6: no test name cites H4; remove its line',
      'test/faults.md:7: C9 has a legend already; keep one',
    ]);
  });
});

describe('words', () => {
  test('that are replaced', () => {
    const root = plant({
      'lib/a.ts': "\n// The Door of it.\nconst lack = 'an artefact, proven';\n",
      'tasks/b.ts': 'await meanwhile();\n',
      'test/c.ts': 'const bench = 1;',
    });
    expect(checkWords(root)).toEqual([
      "lib/a.ts:2: the word 'Door'; say runner",
      "lib/a.ts:3: the word 'lack'; say reason",
      "lib/a.ts:3: the word 'artefact'; say artifact",
      "lib/a.ts:3: the word 'proven'; say verified or existing",
      "tasks/b.ts:1: the word 'meanwhile'; say another word, or none",
    ]);
  });

  test('and those that stay', () => {
    expect(checkWords(plant({ 'lib/a.ts': '// `npm run bench`, black doors, benchmark, lacking\n' }))).toEqual([]);
    expect(checkWords(plant({ 'lib/a.ts': '// `npm run bench` on the bench\n' }))).toHaveLength(1);
  });
});
