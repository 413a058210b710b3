// SPDX-License-Identifier: Apache-2.0

/** The scripts as a shell runs them, with compilers and wrappers that only say what they were given. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { definedOnly } from '../../../lib/cli/env.ts';
import { compilerScripts } from '../../../lib/dev-build/compiler-scripts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTILE = 'a \'quoted\' "name"\nin $HOME `two` lines';
const FLAG = ['-C', 'target-feature=+crt-static'];

/** A program that names itself and its arguments, then runs them if they begin with a program of this test. */
function speaker(directory: string, name: string): string {
  const path = join(directory, name);
  const text = `#!/bin/sh
printf '%s\\0' "\${0##*/}" "$#" "$@" >> "$SAID"
case $1 in "$PLACE"/*) exec "$@" ;; esac
`;
  writeFileSync(path, text, { mode: 0o755 });
  return path;
}

function place(label: string) {
  const directory = join(temporaryDirectory(), label);
  mkdirSync(directory);
  const said = join(directory, 'said');
  const rustc = speaker(directory, 'rustc');
  const program = (name: string) => speaker(directory, name);
  const run = (
    wrappers: { wrapper?: string; workspaceWrapper?: string },
    isMember: boolean,
    args: readonly string[],
  ) => {
    const { wrapper, workspaceWrapper } = wrappers;
    const { files, env } = compilerScripts(join(directory, 'tasks'), { wrapper, workspaceWrapper });
    for (const { path, text } of files) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text, { mode: 0o755 });
    }
    writeFileSync(said, '');
    // Cargo's own rule: the wrapper, then that of the workspace's crates, then the compiler.
    const all = definedOnly(env);
    const lead = [all.RUSTC_WRAPPER, isMember ? all.RUSTC_WORKSPACE_WRAPPER : undefined, rustc];
    const [first = '', ...rest] = [...lead.filter((word) => word !== undefined), ...args];
    const result = spawnSync(first, rest, { env: { PATH: '/usr/bin:/bin', SAID: said, PLACE: directory, ...all } });
    expect(String(result.stderr)).toBe('');
    return calls(said);
  };
  return { rustc, program, run };
}

/** What was said: each program with its arguments. */
function calls(path: string): string[][] {
  const fields = spawnSync('cat', [path], { encoding: 'utf8' }).stdout.split('\0').slice(0, -1);
  const result: string[][] = [];
  for (let at = 0; at < fields.length; ) {
    const count = Number(fields[at + 1]);
    result.push([fields[at] ?? '', ...fields.slice(at + 2, at + 2 + count)]);
    at += 2 + count;
  }
  return result;
}

const PROGRAM = ['--crate-name', 'openshell_sandbox', '--edition=2024', HOSTILE, '', '--crate-type', 'bin', '-C', 'x'];
const LIBRARY = ['--crate-name', 'openshell_sandbox', '--crate-type', 'lib'];
const GATEWAY = ['--crate-name', 'openshell_gateway', '--crate-type', 'bin'];
const PROBES = [['-vV'], ['-', '--crate-name', '___', '--print=file-names', '--crate-type', 'bin']];

describe.each(['plain', HOSTILE])('in a directory with the name %j', (label) => {
  test("without the user's wrappers: only the supervisor's program gets the flag", () => {
    const { run } = place(label);
    expect(run({}, true, PROGRAM)).toEqual([['rustc', ...PROGRAM, ...FLAG]]);
    for (const args of [LIBRARY, GATEWAY, ...PROBES]) expect(run({}, true, args)).toEqual([['rustc', ...args]]);
  });

  test("the user's workspace wrapper is in use as before", () => {
    const { rustc, program, run } = place(label);
    const workspaceWrapper = program('driver');
    expect(run({ workspaceWrapper }, true, PROGRAM)).toEqual([
      ['driver', rustc, ...PROGRAM, ...FLAG],
      ['rustc', ...PROGRAM, ...FLAG],
    ]);
    expect(run({ workspaceWrapper }, true, LIBRARY)[0]).toEqual(['driver', rustc, ...LIBRARY]);
  });

  test('sccache gets what compiles, for members and others, and never sees ours', () => {
    const { rustc, program, run } = place(label);
    const wrapper = program('sccache');
    expect(run({ wrapper }, true, PROGRAM)[0]).toEqual(['sccache', rustc, ...PROGRAM, ...FLAG]);
    expect(run({ wrapper }, true, LIBRARY)[0]).toEqual(['sccache', rustc, ...LIBRARY]);
    expect(run({ wrapper }, false, GATEWAY)[0]).toEqual(['sccache', rustc, ...GATEWAY]);
  });

  test('a crate of the same name from elsewhere is left alone', () => {
    const { rustc, program, run } = place(label);
    const wrapper = program('sccache');
    expect(run({ wrapper }, false, PROGRAM)[0]).toEqual(['sccache', rustc, ...PROGRAM]);
  });

  test("cargo's probes go past sccache: cargo keeps their results, failures of a server too", () => {
    const { program, run } = place(label);
    const wrapper = program('sccache');
    for (const isMember of [true, false]) expect(run({ wrapper }, isMember, ['-vV'])).toEqual([['rustc', '-vV']]);
  });

  test("any other wrapper gets everything, cargo's probes included", () => {
    const { rustc, program, run } = place(label);
    const wrapper = program('distributor');
    const workspaceWrapper = program('driver');
    const [first, second] = run({ wrapper, workspaceWrapper }, true, ['-vV']);
    expect(first).toEqual(['distributor', workspaceWrapper, rustc, '-vV']);
    expect(second).toEqual(['driver', rustc, '-vV']);
  });
});

test('the status of the compiler is the status of the script', () => {
  const { files } = compilerScripts(temporaryDirectory(), { wrapper: undefined, workspaceWrapper: undefined });
  const script = join(temporaryDirectory(), 'script');
  writeFileSync(script, files[0]?.text ?? '', { mode: 0o755 });
  expect(spawnSync(script, ['/bin/sh', '-c', 'exit 101']).status).toBe(101);
  expect(spawnSync(script, ['/nowhere/rustc']).status).toBe(127);
});

test('the path holds the hash of the content, the only thing that cargo counts', () => {
  const [one, other] = [undefined, '/driver'].map(
    (workspaceWrapper) => compilerScripts('/t', { wrapper: undefined, workspaceWrapper }).files[0],
  );
  expect(one?.path).toMatch(/^\/t\/static-rustc-[0-9a-f]{16}\/static-rustc$/);
  expect(other?.path).not.toBe(one?.path);
});
