// SPDX-License-Identifier: Apache-2.0

/** The wrapper of the snap, written by the task and run by real shells with a fake gateway. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { both, realCheckout, requireTools } from '../support/real-tools.ts';
import { runProcess, runTaskFile } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const env = { PATH: '/usr/bin:/bin', HOME: '/' };
const write = (args: readonly string[], cwd: string) => runTaskFile('snap-gateway-wrapper', args, { cwd, env });

describe('writing', () => {
  test('to a file, whole and executable; the same again is unchanged, and stdout has the same text', async () => {
    const cwd = temporaryDirectory();
    const path = join(cwd, 'snap/prebuilt/openshell-gateway-wrapper');
    const output = ['--output', 'snap/prebuilt/openshell-gateway-wrapper'];
    expect(await write([...output, '--dry-run'], cwd)).toMatchObject({ status: 0, stdout: `# writes ${path}\n` });
    expect(readdirSync(cwd)).toEqual([]);
    expect(await write(output, cwd)).toEqual({ status: 0, signal: null, stdout: `written: ${path}\n`, stderr: '' });
    expect(statSync(path).mode & 0o7777).toBe(0o755);
    expect(await write(output, cwd)).toMatchObject({ stdout: `unchanged: ${path}\n` });
    expect(readdirSync(join(cwd, 'snap/prebuilt'))).toEqual(['openshell-gateway-wrapper']);
    const text = readFileSync(path, 'utf8');
    expect(await write([], cwd)).toEqual({ status: 0, signal: null, stdout: text, stderr: '' });
    expect(await write(['--dry-run'], cwd)).toMatchObject({ status: 0, stdout: text });
  });

  test('through no link', async () => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, 'other'), 'mine');
    symlinkSync('other', join(cwd, 'wrapper'));
    expect((await write(['--output=wrapper'], cwd)).status).toBe(0);
    expect(readFileSync(join(cwd, 'other'), 'utf8')).toBe('mine');
    expect(readFileSync(join(cwd, 'wrapper'), 'utf8')).toMatch(/^#!\/bin\/sh\n/);
  });

  test.each([
    [['--output', ''], /--output needs a value/],
    [['--output', '.'], /it is a directory where a file is wanted/],
    [['wrapper'], /'wrapper'/],
  ])('%j is refused, status 2', async (args, reason) => {
    const result = await write(args, temporaryDirectory());
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toMatch(reason);
  });
});

const shells = requireTools('dash', 'busybox');

/** A snap with a gateway that says how it was started. */
async function snap(name = 'snap') {
  const cwd = temporaryDirectory();
  const [SNAP, SNAP_COMMON] = [join(cwd, name), join(cwd, `${name} common`)];
  for (const directory of [join(SNAP, 'bin'), SNAP_COMMON]) mkdirSync(directory, { recursive: true });
  const gateway =
    '#!/bin/sh\nfor one in "$OPENSHELL_DB_URL" "$OPENSHELL_DISABLE_TLS" "$$" "$@"; do echo "[$one]"; done\nexit 7\n';
  writeFileSync(join(SNAP, 'bin/openshell-gateway'), gateway, { mode: 0o755 });
  expect((await write(['--output', 'wrapper'], cwd)).status).toBe(0);
  return { cwd, wrapper: join(cwd, 'wrapper'), variables: { ...env, SNAP, SNAP_COMMON } };
}

describe.each([[['dash']], [['bash', '--posix']], [['busybox', 'sh']]])('%j', shells.options, (shell) => {
  const [program = '', ...first] = shell;
  type Snap = Awaited<ReturnType<typeof snap>>;
  const start = async ({ cwd, wrapper, variables }: Snap, args: readonly string[], extra = {}) => {
    let pid: number | undefined;
    const onStart = (child: { pid?: number | undefined }) => {
      pid = child.pid;
    };
    const options = { cwd, env: { ...variables, ...extra }, onStart };
    const { status, stdout, stderr } = await runProcess(program, [...first, wrapper, ...args], options);
    return { status, stderr, pid: `[${pid}]`, lines: stdout.split('\n').slice(0, -1) };
  };

  test('the defaults, every argument, and the gateway in the place of the shell', async () => {
    const place = await snap("it's a $(snap)");
    const { status, pid, lines } = await start(place, ['a b', '', '*', '--flag']);
    const url = `[sqlite:${place.variables.SNAP_COMMON}/gateway.db?mode=rwc]`;
    expect({ status, lines }).toEqual({ status: 7, lines: [url, '[true]', pid, '[a b]', '[]', '[*]', '[--flag]'] });
  });

  test('what is set wins, and what is empty is not set', async () => {
    const place = await snap();
    const set = await start(place, [], { OPENSHELL_DB_URL: 'postgres://x', OPENSHELL_DISABLE_TLS: 'false' });
    expect(set.lines.slice(0, 2)).toEqual(['[postgres://x]', '[false]']);
    const empty = await start(place, [], { OPENSHELL_DB_URL: '', OPENSHELL_DISABLE_TLS: '' });
    expect(empty.lines.slice(0, 2)).toEqual([expect.stringMatching(/^\[sqlite:.*\?mode=rwc\]$/), '[true]']);
  });

  test('gateway.toml is the configuration where none is named and it is a file', async () => {
    const place = await snap();
    const config = join(place.variables.SNAP_COMMON, 'gateway.toml');
    mkdirSync(config);
    expect((await start(place, ['x'])).lines.slice(3)).toEqual(['[x]']);
    const other = await snap();
    const file = join(other.variables.SNAP_COMMON, 'gateway.toml');
    writeFileSync(file, '');
    expect((await start(other, ['x', 'y z'])).lines.slice(3)).toEqual(['[--config]', `[${file}]`, '[x]', '[y z]']);
    expect((await start(other, ['x'], { OPENSHELL_GATEWAY_CONFIG: '' })).lines).toContain('[--config]');
    expect((await start(other, ['x'], { OPENSHELL_GATEWAY_CONFIG: '/my.toml' })).lines.slice(3)).toEqual(['[x]']);
  });

  test('without the variables of a snap, or without its gateway, it fails and says why', async () => {
    const place = await snap();
    for (const name of ['SNAP', 'SNAP_COMMON']) {
      const { [name as 'SNAP']: _, ...rest } = place.variables;
      const result = await runProcess(program, [...first, place.wrapper], { cwd: place.cwd, env: rest });
      expect(result.status).not.toBe(0);
      expect(result.stderr).toContain(name);
    }
    const gone = join(place.cwd, 'gone');
    const result = await start(place, [], { SNAP: gone });
    expect(result.status).toBe(127);
    expect(result.stderr).toContain(`${gone}/bin/openshell-gateway`);
  });
});

const checkout = realCheckout.path;
const python = requireTools('python3');

describe('a real checkout', realCheckout.options, () => {
  test("OpenShell's own test of the wrapper passes", both(realCheckout.options, python.options), async () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'python/openshell'), { recursive: true });
    copyFileSync(join(checkout, 'python/openshell/release_formula_test.py'), join(root, 'python/openshell/subject.py'));
    const script = [
      'import sys; sys.path.insert(0, "python/openshell"); import subject',
      'subject.test_snap_wrapper_uses_optional_gateway_config_without_generating_toml()',
    ].join('\n');
    const run = () => runProcess(python.path('python3'), ['-c', script], { cwd: root, env: python.env });
    expect((await run()).status, 'without a wrapper it fails').toBe(1);
    expect((await write(['--output', 'tasks/scripts/snap-gateway-wrapper.sh'], root)).status).toBe(0);
    expect(await run()).toMatchObject({ status: 0, stderr: '' });
  });
});
