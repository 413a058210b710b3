// SPDX-License-Identifier: Apache-2.0

/** The test of install.sh as a program: real shells, and an install.sh that is right or wrong in one place. */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of a shell script

import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeCheckout } from '../support/fake-rust.ts';
import { makeMiniature } from '../support/miniature.ts';
import { both, realCheckout, requireTools } from '../support/real-tools.ts';
import { runTaskFile, type TaskOptions } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const shells = requireTools('dash', 'busybox');

/** A checkout whose install.sh has one text in the place of another. */
function checkout(from = '', to = from): string {
  const { root } = makeMiniature({ at: join(temporaryDirectory(), "it's a checkout") });
  const path = join(root, 'install.sh');
  const text = readFileSync(path, 'utf8');
  expect(text).toContain(from);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
  return root;
}

const run = (cwd: string, args: readonly string[] = [], options: Partial<TaskOptions> = {}) =>
  runTaskFile('test-install-sh', args, { cwd, env: { PATH: '/usr/bin:/bin', HOME: '/' }, ...options });

const PASSED = ['sh', 'dash', 'bash', 'busybox sh'].map((shell) => `${shell}: 11 of 11 cases passed\n`).join('');

describe('real shells', shells.options, () => {
  test('every case passes in each, from anywhere in the checkout', async () => {
    const root = checkout();
    expect(await run(join(root, 'crates'))).toEqual({ status: 0, signal: null, stdout: PASSED, stderr: '' });
  });

  test("the user's own variables neither help nor hurt", async () => {
    const root = checkout();
    const evil = join(root, 'evil');
    writeFileSync(evil, 'exit 9\n');
    const env = {
      ...{ PATH: '/usr/bin:/bin', HOME: '/', BASH_ENV: evil, ENV: evil, PLATFORM: 'plan9', OPENSHELL_VERSION: 'dev' },
      ...{ OPENSHELL_TEST_LDD_OUTPUT: 'musl', OPENSHELL_TEST_LDD_UNAVAILABLE: '1', OPENSHELL_INSTALL_SH_TEST: '0' },
      ...{ OPENSHELL_TEST_GETCONF_OUTPUT: 'glibc 1.0', OPENSHELL_TEST_GETCONF_UNAVAILABLE: '1' },
    };
    expect(await run(root, [], { env })).toMatchObject({ status: 0, stdout: PASSED, stderr: '' });
  });

  test('SHL-1: what only bash understands fails in the other shells, and every case is told', async () => {
    const result = await run(checkout('MINIMUM=2.28\n', 'MINIMUM=2.28\nplaces=(a b)\n'));
    expect(result.status).toBe(1);
    expect(result.stdout).toContain('bash: 11 of 11 cases passed\n');
    expect(result.stdout).toContain('dash: 0 of 11 cases passed\n');
    expect(result.stdout).toContain('busybox sh: 0 of 11 cases passed\n');
    expect(result.stderr.match(/^error: dash: [^\n]*[Ss]yntax error/gm)).toHaveLength(11);
    expect(result.stderr).toMatch(/\nerror: \d\d of 44 cases failed; correct \/\S+.*install\.sh\n$/);
  });

  test.each([
    [
      'a higher minimum',
      'MINIMUM=2.28',
      'MINIMUM=2.32',
      /ldd: glibc 2\.31, getconf: unavailable: failed: 'openshell: error/,
    ],
    ['any glibc will do', '-ge "${MINIMUM#*.}"', '-ge 0', /2\.27, getconf: unavailable: printed '', wanted status 1/],
    ['another status', '  exit 1', '  exit 3', /failed: 'openshell: error/],
    ['its message on stdout', '"$*" >&2', '"$*"', /failed: 'status 1', wanted/],
    ['another prefix', 'openshell: error', 'error', /failed: 'error: OpenShell Linux/],
    ['musl is not told apart', '*[Mm]usl* |', '*xyz* |', /getconf: musl libc: failed: '[^\n]*could not detect/],
    ['no fallback to getconf', " 'GETCONF getconf GNU_LIBC_VERSION'", '', /ldd: not ldd, getconf: glibc 2\.35: failed/],
    ['another endpoint', 'https://localhost:17670', 'https://127.0.0.1:17670', /on darwin: printed 'https:\/\/127/],
    ['no function of that name', 'local_gateway_endpoint()', 'other()', /on linux: failed: .*not found/],
  ])('%s: the cases that fail are named, in each shell', async (_, from, to, reason) => {
    const result = await run(checkout(from, to));
    expect(result.status).toBe(1);
    for (const shell of ['sh', 'dash', 'bash', 'busybox sh']) {
      const lines = result.stderr.split('\n').filter((line) => line.startsWith(`error: ${shell}: `));
      expect(lines.length, result.stderr).toBeGreaterThan(0);
      expect(lines.length).toBeLessThan(11);
      expect(
        lines.some((line) => reason.test(line)),
        result.stderr,
      ).toBe(true);
    }
  });

  test('an interrupt ends what runs: status 130, nothing left', async () => {
    const pids = join(temporaryDirectory(), 'pids');
    const root = checkout('MINIMUM=2.28', `echo $$ >> ${pids}; sleep 60`);
    let timer: NodeJS.Timeout | undefined;
    const onStart: TaskOptions['onStart'] = (child) => {
      timer = setInterval(() => {
        if (lines(pids).length < 11) return;
        clearInterval(timer);
        child.kill('SIGINT');
      }, 20);
    };
    const result = await run(root, [], { onStart });
    expect(result).toMatchObject({ status: 130, stdout: '' });
    expect(result.stderr).toBe('error: stopped by SIGINT\n');
    for (const pid of lines(pids)) expect(() => process.kill(Number(pid), 0), pid).toThrow('ESRCH');
  });

  test('a dry run prints commands that can be pasted, and starts none', async () => {
    const root = checkout('MINIMUM=2.28', 'MINIMUM=2.28; : > started');
    const result = await run(root, ['--dry-run']);
    const lines = result.stdout.split('\n').slice(0, -1);
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(lines).toHaveLength(1 + 4 * 11);
    expect(lines[0]).toMatch(/^cd '\/.*'$/);
    expect(lines[6]).toBe(
      'OPENSHELL_INSTALL_SH_TEST=1 ' +
        "OPENSHELL_TEST_LDD_OUTPUT='ldd (GNU libc) 2.27' OPENSHELL_TEST_GETCONF_UNAVAILABLE=1 " +
        "sh -c '. ./install.sh; require_linux_package_glibc >/dev/null'",
    );
    expect(() => readFileSync(join(root, 'started'))).toThrow('ENOENT');
  });
});

function lines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

describe('what cannot be tested', () => {
  test('a shell that is not there is told, and the others are tried', async () => {
    const root = checkout();
    const bin = temporaryDirectory();
    for (const name of ['bash', 'awk', 'sed']) symlinkSync(`/bin/${name}`, join(bin, name));
    const result = await run(root, [], { env: { PATH: bin, HOME: '/' } });
    expect(result).toMatchObject({ status: 0, stdout: 'bash: 11 of 11 cases passed\n' });
    expect(result.stderr.match(/^warning: .*$/gm)).toEqual(
      ['sh', 'dash', 'busybox'].map(
        (name) => `warning: ${name} is not on PATH, so install.sh is not tried with it; install it to try it`,
      ),
    );
    const none = await run(root, [], { env: { PATH: temporaryDirectory(), HOME: '/' } });
    expect(none).toMatchObject({ status: 2, stdout: '' });
    expect(none.stderr).toMatch(/^error: neither sh, dash, bash nor busybox is on PATH; [^\n]+\n$/);
  });

  test.each([
    '# see ${OPENSHELL_INSTALL_SH_TEST}',
    "echo 'OPENSHELL_INSTALL_SH_TEST=1 defines functions only'",
    'echo "$OPENSHELL_INSTALL_SH_TESTS"',
  ])('SHL-9: an install.sh that would install is not sourced: %s', async (line) => {
    const root = checkout();
    writeFileSync(join(root, 'install.sh'), `${line}\n: > installed\n`);
    const result = await run(root);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toMatch(/^error: \/.*install\.sh does not read OPENSHELL_INSTALL_SH_TEST, [^\n]+\n$/);
    expect(() => readFileSync(join(root, 'installed'))).toThrow('ENOENT');
  });

  test('a checkout without one, and no checkout', async () => {
    const { root, tools } = new FakeCheckout();
    const result = await run(root);
    expect(result).toMatchObject({ status: 1, stdout: '' });
    expect(result.stderr).toBe(`error: ${root}/install.sh: it does not exist (ENOENT)\n`);
    expect((await run(tools.directory)).status).toBe(2);
    expect((await run(root, ['now'])).status).toBe(2);
  });
});

const real = realCheckout.path;

describe('a real checkout', realCheckout.options, () => {
  test('its install.sh passes in each shell', both(realCheckout.options, shells.options), async () => {
    expect(await run(real)).toEqual({ status: 0, signal: null, stdout: PASSED, stderr: '' });
  });
});
