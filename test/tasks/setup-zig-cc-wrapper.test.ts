// SPDX-License-Identifier: Apache-2.0

/** The zig wrappers for scripts that evaluate what the task prints, and for workflows. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { zigWrapper } from '../../lib/cargo/zig-cc.ts';
import { bashQuote } from '../support/fake-tools.ts';
import { ALL_HOSTILE, fakeZig, zigArguments } from '../support/fake-zig.ts';
import { fakeTools } from '../support/in-process.ts';
import { runTaskFile } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const TARGET = 'x86_64-unknown-linux-gnu.2.28';

/** A checkout, a zig and an environment; the directory's name can be hostile. */
function setting(name: string) {
  const tools = fakeTools();
  const root = join(temporaryDirectory(), name);
  mkdirSync(join(root, 'crates/openshell-server'), { recursive: true });
  writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
  const zig = fakeZig(join(root, 'tools'));
  const run = (given: readonly string[], extra: Record<string, string> = {}) =>
    runTaskFile('setup-zig-cc-wrapper', given, { cwd: root, env: tools.env({ ZIG: zig, ...extra }) });
  return { tools, root, zig, run };
}

const expected = (directory: string) => zigWrapper(TARGET, TARGET, directory, '/any').variables;

/** The values that real bash has after `eval "$(...)"`. */
function evaluated(text: string, cwd: string): string[] {
  const names = expected('/').map(([name]) => name);
  const script = `set -euo pipefail\neval "$(cat)"\nfor name in ${names.join(' ')}; do printf '%s\\0' "\${!name}"; done\nexport -p | grep -c 'declare -x C[CXM][A-Z_]*_x86' >&2`;
  const result = spawnSync('bash', ['--norc', '-c', script], { cwd, input: text, env: { PATH: process.env.PATH } });
  expect({ status: result.status, exported: result.stderr.toString() }).toEqual({ status: 0, exported: '6\n' });
  return result.stdout.toString().split('\0').slice(0, -1);
}

test.each(['plain', 'x;touch PWNED;#', ALL_HOSTILE])(
  'prints lines that bash evaluates to exactly the paths, in %j (fault C14)',
  async (name) => {
    const { root, run } = setting(name);
    const result = await run([TARGET, TARGET, 'target/zig wrapper']);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    const directory = join(root, 'target/zig wrapper');
    expect(evaluated(result.stdout, root)).toEqual(expected(directory).map(([, value]) => value));
    expect(existsSync(join(root, 'PWNED')) || existsSync('PWNED')).toBe(false);
    expect(zigArguments('sh', join(directory, 'cc'), ['-c'])).toEqual(['cc', '--target=x86_64-linux-gnu.2.28', '-c']);
  },
);

test('the lines of a plain path are as they always were, absolute for a relative directory (ZIG-2)', async () => {
  const { root, run } = setting('plain');
  const { stdout } = await run([TARGET, TARGET, 'w']);
  expect(stdout).toBe(
    expected(join(root, 'w'))
      .map(([name, value]) => `export ${name}=${value}\n`)
      .join(''),
  );
});

test('with GITHUB_ENV the file gets the lines and stdout nothing', async () => {
  const { root, run } = setting('plain');
  writeFileSync(join(root, 'github env'), 'BEFORE=1\n');
  expect(
    await run([TARGET, TARGET, '/tmp/../w w'.replace('/tmp/..', root)], { GITHUB_ENV: 'github env' }),
  ).toMatchObject({
    status: 0,
    stdout: '',
    stderr: '',
  });
  const lines = expected(join(root, 'w w')).map(([name, value]) => `${name}=${value}\n`);
  expect(readFileSync(join(root, 'github env'), 'utf8')).toBe(`BEFORE=1\n${lines.join('')}`);
});

test('AQ-6: a GITHUB_ENV without its directory is found before anything is written', async () => {
  const { root, run } = setting('plain');
  const result = await run([TARGET, TARGET, 'w'], { GITHUB_ENV: 'gone/env' });
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toBe(
    `error: ${root}/gone/env cannot be written: its directory does not exist; create it, or unset GITHUB_ENV\n`,
  );
  expect(existsSync(join(root, 'w'))).toBe(false);
});

test('a path with a line break does not go into GITHUB_ENV', async () => {
  const { root, run } = setting('two\nlines');
  const result = await run([TARGET, TARGET, 'w'], { GITHUB_ENV: join(temporaryDirectory(), 'env') });
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toContain('give the directory for the wrappers, on one line');
  expect(existsSync(join(root, 'w'))).toBe(false);
});

test('an empty GITHUB_ENV is unset', async () => {
  const { run } = setting('plain');
  expect((await run([TARGET, TARGET, 'w'], { GITHUB_ENV: '' })).stdout).toMatch(/^export CC_/);
});

test('AM-16: a stale cmake cache goes, with a line on stderr, in the directories that count', async () => {
  const { root, run } = setting('plain');
  const cache = (target: string) => {
    const directory = join(target, 'x86_64-unknown-linux-gnu/release/build/z3-sys-1/out/build');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'CMakeCache.txt'), '/home/x/.cache/cargo-zigbuild/zigcc');
    return directory;
  };
  const [own, other] = [cache(join(root, 'target')), cache(join(root, 'other'))];
  const [configured, build] = [cache(join(root, 'configured')), cache(join(root, 'built'))];
  mkdirSync(join(root, '.cargo'));
  writeFileSync(
    join(root, '.cargo/config.toml'),
    '[build]\ntarget-dir = "configured"\nbuild-dir = "{workspace-root}/built"',
  );
  expect((await run([TARGET, TARGET, 'w'])).stderr).toBe(
    [configured, build].map((directory) => `removed a stale cmake cache: ${directory}\n`).join(''),
  );
  rmSync(join(root, '.cargo'), { recursive: true });
  const second = await run([TARGET, TARGET, 'w'], { CARGO_TARGET_DIR: 'other' });
  expect(second.stderr).toBe(`removed a stale cmake cache: ${other}\n`);
  expect(existsSync(own)).toBe(true);
  expect((await run([TARGET, TARGET, 'w'])).stderr).toBe(`removed a stale cmake cache: ${own}\n`);
  expect(existsSync(own)).toBe(false);
});

test.each<[string[], string]>([
  [[], '<cargo-target> is missing'],
  [[TARGET], '<zig-target> is missing'],
  [[TARGET, TARGET], '<wrapper-dir> is missing'],
  [[TARGET, TARGET, 'w', 'x'], "unexpected argument 'x'"],
  [['', TARGET, 'w'], "cargo-target is ''"],
  [['x;touch PWNED', TARGET, 'w'], "cargo-target is 'x;touch PWNED'"],
  [[TARGET, '$(touch PWNED)', 'w'], "zig-target is '$(touch PWNED)'"],
  [[TARGET, 'gnu', 'w'], "zig-target is 'gnu'"],
  [['../x86_64-linux', TARGET, 'w'], "cargo-target is '../x86_64-linux'"],
  [[TARGET, TARGET, ''], "wrapper-dir is ''"],
])('%j: exit 2, one line, nothing written', async (given, message) => {
  const { root, run } = setting('plain');
  const before = readdirSync(root);
  const result = await run(given);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(result.stderr).toContain(message);
  expect(readdirSync(root)).toEqual(before);
});

test.each<[string, Record<string, string>, string]>([
  ['no zig at all', { ZIG: '' }, 'zig is not on PATH and mise does not have it'],
  ['a ZIG that is not there', { ZIG: 'no/such/zig' }, "ZIG is 'no/such/zig', which is not an executable program"],
  ['a ZIG that is a file', { ZIG: './Cargo.toml' }, "ZIG is './Cargo.toml', which is not an executable program"],
  ['no checkout', { OPENSHELL_ROOT: '/' }, "OPENSHELL_ROOT is '/', which is not an OpenShell checkout"],
])('%s: exit 2, one line, nothing written', async (_, extra, message) => {
  const { root, run } = setting('plain');
  const result = await run([TARGET, TARGET, 'w'], extra);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(result.stderr).toContain(message);
  expect(existsSync(join(root, 'w'))).toBe(false);
});

test('zig from PATH where ZIG is not set, also when mise does not know it (ZIG-1)', async () => {
  const { tools, root, run } = setting('plain');
  tools.add('mise', []);
  const path = `${tools.bin}${delimiter}${join(root, 'tools')}`;
  expect(await run([TARGET, TARGET, 'w'], { ZIG: '', PATH: path })).toMatchObject({ status: 0, stderr: '' });
  expect(zigArguments('sh', join(root, 'w/ar'), ['x'])).toEqual(['ar', 'x']);
});

test('zig from mise where PATH has none: its absolute path goes into the wrappers', async () => {
  const { tools, root, run } = setting('plain');
  const set = JSON.stringify({ PATH: `${join(root, 'tools')}:${tools.bin}` });
  tools.add('mise', [{ args: ['env', '--json'], script: `echo ${bashQuote(set)}` }]);
  expect(await run([TARGET, TARGET, 'w'], { ZIG: '' })).toMatchObject({ status: 0, stderr: '' });
  expect(zigArguments('sh', join(root, 'w/ar'), ['x'])).toEqual(['ar', 'x']);
});

test('a mise that fails is not the end where zig is on PATH, and its reason is told where it is not', async () => {
  const { tools, root, run } = setting('plain');
  tools.add('mise', [{ args: ['env'], script: 'echo "mise ERROR no such tool" >&2; exit 1' }]);
  expect(await run([TARGET, TARGET, 'w'], { ZIG: '' })).toMatchObject({
    status: 2,
    stdout: '',
    stderr:
      'error: zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path; ' +
      'mise env --json failed: mise ERROR no such tool; check: mise doctor\n',
  });
  const path = `${tools.bin}${delimiter}${join(root, 'tools')}`;
  expect(await run([TARGET, TARGET, 'w'], { ZIG: '', PATH: path })).toMatchObject({ status: 0, stderr: '' });
});
