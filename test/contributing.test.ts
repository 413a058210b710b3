// SPDX-License-Identifier: Apache-2.0

/** The worked example of CONTRIBUTING.md, put in place in a copy of the suite and run there: it works as it stands. */

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeCheckout } from './support/fake-rust.ts';
import { both, requireTools } from './support/real-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult } from './support/run-task.ts';

const TIMEOUT_MS = 120_000;
const TASK = 'tasks/show-toolchain.ts';
const VITEST = 'node_modules/vitest/vitest.mjs';
const MINIATURE = join(SUITE_ROOT, 'test/fixtures/openshell');
const tools = requireTools('git');

/** A block of the example: the file that it is, or is added to. */
interface Block {
  readonly path: string;
  /** What its first line says of the place, after the path: `executable`, `at the end`, `after the line …`. */
  readonly place: string;
  readonly text: string;
}

/** The blocks that name a file in their first line. */
function blocksOf(page: string): Block[] {
  const fences = page.matchAll(/^```(?:ts|toml)\n(?:\/\/|#) ([^\s,]+)(?:, ([^\n]+))?\n([\s\S]*?)^```$/gm);
  return [...fences].map(([, path = '', place = '', text = '']) => ({ path, place, text }));
}

/**
 * Puts a block in its place: a new file, or lines of one that is there.
 *
 * @throws Error where the place is not as the block says
 */
function putInPlace(root: string, { path, place, text }: Block): void {
  const file = join(root, path);
  const after = /^after the line that begins with: (.+)$/.exec(place)?.[1];
  if (place !== '' && place !== 'executable') {
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, place === 'at the end' ? before + text : insertAfter(path, before, after ?? place, text));
    return;
  }
  if (existsSync(file)) throw new Error(`${path} is there already; say where in it the block stands`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  if (place === 'executable') chmodSync(file, 0o755);
}

function insertAfter(path: string, before: string, beginning: string, text: string): string {
  const lines = before.split('\n');
  const found = lines.flatMap((line, index) => (line.trimStart().startsWith(beginning) ? [index] : []));
  const [at] = found;
  if (at === undefined || found.length > 1) throw new Error(`${path}: ${found.length} lines begin with ${beginning}`);
  return lines.toSpliced(at + 1, 0, text.replace(/\n$/, '')).join('\n');
}

/** The files of the suite as they are now, those that git does not know yet included. */
async function copySuite(to: string): Promise<void> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const listed = await runProcess(tools.path('git'), args, { cwd: SUITE_ROOT, env: tools.env });
  expect(listed).toMatchObject({ status: 0, stderr: '' });
  for (const path of listed.stdout.split('\0').filter((name) => name !== '' && existsSync(join(SUITE_ROOT, name)))) {
    cpSync(join(SUITE_ROOT, path), join(to, path));
  }
  symlinkSync(join(SUITE_ROOT, 'node_modules'), join(to, 'node_modules'));
}

function exampleCheckout(): FakeCheckout {
  const checkout = new FakeCheckout();
  checkout.tools.add('rustc', [{ args: ['--version'], script: 'echo rustc 1.90.0' }]);
  return checkout;
}

describe('the worked example', { ...tools.options, timeout: TIMEOUT_MS }, () => {
  const blocks = blocksOf(readFileSync(join(SUITE_ROOT, 'CONTRIBUTING.md'), 'utf8'));
  const paths = blocks.map(({ path }) => path);
  let copy: string;

  beforeAll(async () => {
    copy = mkdtempSync(join(realpathSync(tmpdir()), 'contributing-'));
    await copySuite(copy);
    for (const block of blocks) putInPlace(copy, block);
  }, TIMEOUT_MS);

  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  /** Runs a file with this Node, in the copy. */
  function run(file: string, ...args: readonly string[]): Promise<TaskResult> {
    const env = { PATH: process.env.PATH ?? '', HOME: copy, NO_COLOR: '1' };
    return runProcess(process.execPath, [join(copy, file), ...args], { cwd: copy, env });
  }

  /** The task of the example over fake tools, as a user starts it. */
  function runExample(...args: readonly string[]): Promise<TaskResult> {
    const checkout = exampleCheckout();
    return runProcess(process.execPath, [join(copy, TASK), ...args], { cwd: checkout.root, env: checkout.env() });
  }

  /** The lines of a tool that are about a file of the example. */
  function aboutExample({ stdout, stderr }: TaskResult): string[] {
    return `${stdout}\n${stderr}`.split('\n').filter((line) => paths.some((path) => line.includes(path)));
  }

  test('has every part of a task', () => {
    expect(paths).toEqual([
      'lib/cli/variables.ts',
      ...['config', 'plan', 'execute', 'report'].map((name) => `lib/show-toolchain/${name}.ts`),
      TASK,
      'mise.toml',
      'test/tasks/show-toolchain.test.ts',
    ]);
    for (const { place, text } of blocks.filter(({ path }) => !['lib/cli/variables.ts', 'mise.toml'].includes(path))) {
      const licence = text.split('\n')[place === 'executable' ? 1 : 0];
      expect(licence).toBe('// SPDX-License-Identifier: Apache-2.0');
    }
  });

  test('its test passes, and so do those of the wiring', async () => {
    const results = await Promise.all([
      run(VITEST, 'run', 'test/tasks/show-toolchain.test.ts'),
      run(VITEST, 'run', 'test/mise.test.ts', '-t', '^every (file|task) |^the help of a task '),
      run(VITEST, 'run', 'test/flows/help.test.ts', '-t', 'tasks/show-toolchain'),
    ]);
    for (const { stdout, status } of results) {
      expect(stdout).toMatch(/^[1-9]\d* passed, 0 failed, /m);
      expect(status).toBe(0);
    }
  });

  test('neither tsc nor Biome nor a structure check finds fault with it', async () => {
    const [types, style, structure] = await Promise.all([
      run('node_modules/typescript/bin/tsc'),
      run('node_modules/@biomejs/biome/bin/biome', 'check', ...paths.filter((path) => path.endsWith('.ts'))),
      run('test/check-structure.ts'),
    ]);
    expect(aboutExample(types)).toEqual([]);
    expect(style.status, style.stderr).toBe(0);
    expect(aboutExample(structure)).toEqual([]);
    expect(structure.stdout).toContain('check:spawn');
  });

  test('--help comes from the declarations', async () => {
    const { status, stdout } = await runExample('--help');
    expect(status).toBe(0);
    expect(stdout).toContain('--tool TOOL  Only this one. One of: rustc, cargo-zigbuild, zig.');
    expect(stdout).toMatch(/OPENSHELL_PROBE_TIMEOUT +Seconds that [^.]+\(default: 20\)\./);
  });

  test('--dry-run prints the plan, and a wrong flag or variable is refused', async () => {
    const plan = { status: 0, stdout: expect.stringMatching(/^cd \/\S+\nrustc --version\n$/) };
    expect(await runExample('--tool', 'rustc', '--dry-run')).toMatchObject(plan);
    expect(await runExample('--tool', 'gcc')).toMatchObject({ status: 2, stderr: expect.stringContaining("'gcc'") });
  });

  const rust = requireTools('cargo');

  test('with the real tool chain', both(tools.options, rust.options), async () => {
    const env = { ...rust.env, PATH: `${dirname(rust.path('cargo'))}:/usr/bin:/bin`, OPENSHELL_ROOT: MINIATURE };
    const result = await runProcess(process.execPath, [join(copy, TASK), '--tool', 'rustc'], { cwd: copy, env });
    expect(result).toMatchObject({ status: 0, stdout: expect.stringMatching(/^rustc: rustc \d+\.\d+\.\d+ /) });
  });

  test('through mise', requireTools('mise').options, async () => {
    const checkout = exampleCheckout();
    // The copy's own, which trusts the mise.toml of the copy.
    const { runMise }: typeof import('./support/run-mise.ts') = await import(join(copy, 'test/support/run-mise.ts'));
    const args = ['run', 'toolchain:show', '--', '--tool', 'rustc'];
    expect(await runMise(args, copy, checkout.env())).toMatchObject({ status: 0, stdout: 'rustc: rustc 1.90.0\n' });
  });
});
