// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Runner } from '../../lib/build-env.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import type { Machine } from '../../lib/host.ts';
import { ownLimits } from '../../lib/nofile/limits.ts';
import { command } from '../../lib/process/command.ts';
import { Signals } from '../../lib/process/signals.ts';
import { FakeTools } from '../support/fake-tools.ts';
import { driverWords, orderRunner } from '../support/run-driver.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const UNLIMITED = Number.POSITIVE_INFINITY;
/** A stock Mac, as far as the guard can see. The real limits of this machine have to be over 4096. */
const STOCK_MAC: Partial<Machine> = { platform: 'darwin', limits: { soft: 256, hard: 4096 } };
const GUARDED = { env: { ...process.env, RUSTC_WRAPPER: 'sccache' } as Record<string, string> };

function openDoor(machine: Partial<Machine> = {}, env: Record<string, string | undefined> = process.env) {
  const said: string[] = [];
  const sink = { write: (text: string | Uint8Array) => said.push(text.toString()) };
  const facts: Machine = {
    platform: 'linux',
    limits: { soft: UNLIMITED, hard: UNLIMITED },
    shellLimit: undefined,
    canReplace: true,
    invoker: undefined,
    ...machine,
  };
  return { runner: new Runner(env, new Terminal(sink, sink, env), new Signals(), facts), said };
}

const here = { cwd: process.cwd() };
/** What a wrapper says that is short of files. */
const FAILURE = `echo 'error: Too many open files (os error 24)' >&2; exit 1`;

describe('the limit', () => {
  test('X6: a guarded command runs under the raised soft limit, and its hard limit stays', async () => {
    const { runner, said } = openDoor(STOCK_MAC, GUARDED.env);
    const limits = await runner.read(command(['bash', '-c', 'echo $(ulimit -Sn) $(ulimit -Hn)'], here));
    expect(limits).toBe(`4096 ${ownLimits().hard}`);
    expect(said.join('')).toContain('open-file limit raised for what this task runs: 256 -> 4096');
    expect(said.join('')).toContain('less than the wanted 8192');
  });

  test.each(['run', 'read', 'probe', 'cargo'] as const)('%s carries the guard', async (verb) => {
    const tools = new FakeTools(temporaryDirectory());
    for (const name of ['tool', 'cargo']) tools.add(name, [{ words: [], script: 'exit 0' }]);
    const env = tools.env({ OPENSHELL_BUILD_NOFILE_GUARD: 'on', OPENSHELL_BUILD_NOFILE_LIMIT: '2000' });
    const words = [verb === 'cargo' ? 'cargo' : 'tool', 'x'];
    const result = await orderRunner({ verb, words, machine: { limits: { soft: 256, hard: 4096 } } }, { env });
    expect(result.stderr).not.toContain('error');
    expect(tools.calls().map((call) => call.softLimit)).toEqual(['2000']);
  });

  test('without the guard nothing is set', async () => {
    const { runner } = openDoor();
    expect(await runner.read(command(['bash', '-c', 'ulimit -Sn'], here))).toBe(String(ownLimits().soft));
    expect(runner.describe(command(['cargo', 'zigbuild'], here))).toBe('cargo zigbuild');
  });

  test('cargo-zigbuild counts when it is on PATH, and when it is the command', () => {
    const empty = { PATH: '/nowhere' };
    const mac = openDoor(STOCK_MAC, { ...empty, PATH: '/bin:/usr/bin' }).runner;
    expect(mac.describe(command(['cargo', 'zigbuild'], here))).toBe('ulimit -S -n 4096; cargo zigbuild');
    expect(mac.describe(command(['cargo', 'build'], here))).toBe('cargo build');
    const tools = new FakeTools(temporaryDirectory()).addSilent('cargo-zigbuild');
    const withZigbuild = openDoor(STOCK_MAC, tools.env()).runner;
    expect(withZigbuild.describe(command(['cargo', 'build'], here))).toBe('ulimit -S -n 4096; cargo build');
  });

  test('a wrapper that mise sets counts for what is started through mise, and for nothing else', async () => {
    const tools = new FakeTools(temporaryDirectory());
    tools.add('mise', [
      { words: ['env', '--json'], script: `echo '{"RUSTC_WRAPPER": "sccache", "PATH": "/nowhere"}'` },
    ]);
    const { runner } = openDoor(STOCK_MAC, tools.env());
    const build = command(['mise', 'x', '--', 'cargo', 'build'], here);
    expect(runner.describe(build)).toBe('mise x -- cargo build');
    await runner.learnMise(process.cwd());
    expect(runner.describe(build)).toBe('ulimit -S -n 4096; mise x -- cargo build');
    expect(runner.describe(command(['cargo', 'build'], here))).toBe('cargo build');
  });

  test('a wrapper that only a file of cargo names counts as one of the environment, which wins over it', async () => {
    const tools = new FakeTools(temporaryDirectory());
    const root = temporaryDirectory();
    mkdirSync(join(root, '.cargo'));
    writeFileSync(join(root, '.cargo/config.toml'), '[build]\nrustc-wrapper = "sccache"\n');
    const build = command(['cargo', 'build'], { cwd: root });
    const { runner } = openDoor(STOCK_MAC, tools.env());
    expect(runner.describe(build)).toBe('cargo build');
    await runner.learnCargo(root);
    expect(runner.describe(build)).toBe('ulimit -S -n 4096; cargo build');
    const without = openDoor(STOCK_MAC, tools.env({ RUSTC_WRAPPER: '' })).runner;
    await without.learnCargo(root);
    expect(without.describe(build)).toBe('cargo build');
    const twice = openDoor(STOCK_MAC, tools.env()).runner;
    const first = twice.learnCargo(root);
    await twice.learnCargo(root);
    expect(twice.describe(build), 'while another one reads them').toBe('ulimit -S -n 4096; cargo build');
    await first;
  });

  test('a wrapper of a file is recovered like any other, although nobody has asked for it', async () => {
    const tools = new FakeTools(temporaryDirectory());
    // Set but empty, the variable switches the file's wrapper off.
    tools.add('cargo', [{ words: ['build'], script: `[ "\${RUSTC_WRAPPER-unset}" = '' ] || { ${FAILURE}; }` }]);
    const root = temporaryDirectory();
    mkdirSync(join(root, '.cargo'));
    writeFileSync(join(root, '.cargo/config.toml'), '[build]\nrustc-wrapper = "./wrap"\n');
    const { runner, said } = openDoor({}, tools.env());
    await runner.cargo(command(['cargo', 'build'], { cwd: root }));
    expect(tools.calls()).toHaveLength(2);
    expect(said.join('')).toContain(`${join(root, 'wrap')} failed, not the build; trying once more without it`);
  });

  test('a mise that gives no answer is an error in its own words', async () => {
    const tools = new FakeTools(temporaryDirectory());
    tools.add('mise', [{ words: ['env'], script: 'echo "mise ERROR not trusted" >&2; exit 1' }]);
    await expect(openDoor({}, tools.env()).runner.learnMise(process.cwd())).rejects.toThrow(
      'mise env --json gives no answer: mise ERROR not trusted; check: mise doctor',
    );
  });

  test('a machine that cannot carry a build is refused before anything runs', async () => {
    const tools = new FakeTools(temporaryDirectory()).addSilent('cargo', 'cargo-zigbuild');
    const order = {
      verb: 'cargo',
      words: ['cargo', 'build'],
      machine: { ...STOCK_MAC, limits: { soft: 256, hard: 512 } },
    } as const;
    const result = await orderRunner(order, { env: tools.env() });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain('error: the hard limit of open files is 512');
    expect(tools.calls()).toEqual([]);
  });
});

describe('nothing outside can weaken the shell', () => {
  /** A bash that writes down the text that it is given, first on PATH. */
  function withSpyingBash(env: Record<string, string>) {
    const directory = temporaryDirectory();
    const spy = join(directory, 'bash');
    writeFileSync(spy, `#!/bin/sh\nprintf '%s\\n' "$@" >> ${directory}/seen\nexec /bin/bash "$@"\n`, { mode: 0o755 });
    const seen = () => (existsSync(join(directory, 'seen')) ? readFileSync(join(directory, 'seen'), 'utf8') : '');
    return { env: { ...env, PATH: `${directory}:${process.env.PATH}` }, seen };
  }
  const order = { verb: 'read', words: ['bash', '-c', 'ulimit -Sn'], machine: STOCK_MAC } as const;
  const hostile = {
    OPENSHELL_BUILD_NOFILE_GUARD: 'on',
    ZX_PREFIX: 'ulimit -S -n 100;',
    ZX_POSTFIX: '; echo weakened',
    ZX_SHELL: '/bin/false',
    ZX_CWD: '/',
    ZX_TIMEOUT: '1ms',
    ZX_VERBOSE: 'true',
    ZX_QUIET: 'true',
    ZX_PREFER_LOCAL: 'true',
    ZX_DETACHED: 'false',
    HOME: '/',
  };

  test('the whole prefix: strict mode first, then the limit, then the words', async () => {
    const { env, seen } = withSpyingBash({ OPENSHELL_BUILD_NOFILE_GUARD: 'on', HOME: '/' });
    await orderRunner({ ...order, words: ['printf', '%s', 'a b'] }, { env });
    expect(seen()).toBe("-p\n-c\nset -euo pipefail; ulimit -S -n 4096; exec printf $'%s' $'a b'\n");
  });

  test('ZX_* in the environment', async () => {
    const { env, seen } = withSpyingBash(hostile);
    const result = await orderRunner(order, { env });
    expect(result).toMatchObject({ status: 0, stdout: '4096\n' });
    expect(seen().split('\n').slice(0, 3)).toEqual([
      '-p',
      '-c',
      "set -euo pipefail; ulimit -S -n 4096; exec bash -c $'ulimit -Sn'",
    ]);
  });

  test('the options of the zx command line', async () => {
    const zx = join(SUITE_ROOT, 'node_modules/zx/build/cli.js');
    const options = ['--prefix=ulimit -S -n 100;', '--postfix=; echo weakened', '--shell=/bin/false', '--quiet'];
    const env = { PATH: process.env.PATH ?? '', HOME: '/', OPENSHELL_BUILD_NOFILE_GUARD: 'on' };
    const result = await runProcess(process.execPath, [zx, ...options, ...driverWords(order)], {
      cwd: SUITE_ROOT,
      env,
    });
    expect(result).toMatchObject({ status: 0, stdout: '4096\n' });
  });

  test('a .env file, loaded by zx or only lying there', async () => {
    const directory = temporaryDirectory();
    writeFileSync(
      join(directory, '.env'),
      Object.entries(hostile)
        .map(([name, value]) => `${name}='${value}'\n`)
        .join(''),
    );
    const zx = join(SUITE_ROOT, 'node_modules/zx/build/cli.js');
    const env = { PATH: process.env.PATH ?? '', HOME: '/', OPENSHELL_BUILD_NOFILE_GUARD: 'on' };
    for (const options of [[], ['--env=.env']]) {
      const words = [zx, ...options, ...driverWords(order)];
      const result = await runProcess(process.execPath, words, { cwd: directory, env });
      expect(result).toMatchObject({ status: 0, stdout: '4096\n' });
    }
  });

  test('BASH_ENV, exported functions, SHELLOPTS', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'env.sh'), 'echo weakened; ulimit -S -n 100; exit 3');
    const env = {
      ...GUARDED.env,
      OPENSHELL_BUILD_NOFILE_GUARD: 'on',
      BASH_ENV: join(directory, 'env.sh'),
      'BASH_FUNC_exec%%': '() { echo weakened; }',
      'BASH_FUNC_ulimit%%': '() { echo weakened; }',
      SHELLOPTS: 'noexec',
    };
    const result = await orderRunner({ ...order, words: ['sh', '-c', 'ulimit -Sn'] }, { env });
    expect(result).toMatchObject({ status: 0, stdout: '4096\n' });
  });
});

describe('words', () => {
  test('every word arrives as it was given', async () => {
    const { runner } = openDoor();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'binary' }).filter((word) => !word.includes('\0') && word.isWellFormed()),
          { maxLength: 5 },
        ),
        async (words) => {
          const output = await runner.read(
            command(
              [process.execPath, '-e', 'process.stdout.write(JSON.stringify(process.argv.slice(1)))', '--', ...words],
              here,
            ),
          );
          expect(JSON.parse(output)).toEqual(words);
        },
      ),
      { numRuns: 40 },
    );
  });

  test.each([
    [[undefined], 'word 0 of a command is undefined'],
    [['tool', null], 'word 1 of a command is null'],
    [['tool', false], 'word 1 of a command is boolean'],
    [['tool', ['a']], 'word 1 of a command is a list'],
    [['tool', Number.NaN], 'word 1 of a command is number'],
    [['tool', 'a\0b'], 'holds a NUL byte'],
    [[''], 'needs the name of a program'],
    [[], 'needs the name of a program'],
  ])('%j is refused', (words, message) => {
    expect(() => command(words, here)).toThrow(message);
  });
});

describe('verbs', () => {
  test('run echoes on stderr, keeps stdout for results', async () => {
    const result = await orderRunner({ verb: 'run', words: ['echo', 'from the tool', "it's"] });
    expect(result).toEqual({
      status: 0,
      signal: null,
      stdout: '',
      stderr: "$ echo 'from the tool' 'it'\\''s'\nfrom the tool it's\n",
    });
  });

  test('read trims line breaks at the end only', async () => {
    const { runner } = openDoor();
    expect(await runner.read(command(['printf', '  a\\nb \\n\\n'], here))).toBe('  a\nb ');
  });

  test("a failure is the command's own status, in one line that says where and what it said", async () => {
    const result = await orderRunner({
      verb: 'read',
      words: ['bash', '-c', 'echo out; echo first >&2; echo why >&2; exit 7'],
      cwd: '/',
    });
    expect(result.status).toBe(7);
    expect(result.stderr).toBe(
      "error: bash -c 'echo out; echo first >&2; echo why >&2; exit 7' failed with status 7 in /: first\\nwhy\n",
    );
  });

  test('a program that is not there is 127, a directory that is not there is 2', async () => {
    const vanished = await orderRunner({ verb: 'run', words: ['no-such-program', 'x'] });
    expect(vanished.status).toBe(127);
    expect(vanished.stderr).toContain('error: no-such-program x was not found (no-such-program) in ');
    const nowhere = await orderRunner({ verb: 'run', words: ['true'], cwd: '/no/such/directory' });
    expect(nowhere).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('cannot run in /no/such/directory: there is no such directory'),
    });
  });

  test("a command's own signal is 128+n, not success", async () => {
    const result = await orderRunner({ verb: 'run', words: ['bash', '-c', 'kill -KILL $$'] });
    expect(result.status).toBe(137);
    expect(result.stderr).toContain('was ended by SIGKILL');
  });

  test('a secret command shows neither arguments nor values, in echo or error', async () => {
    const result = await orderRunner({
      verb: 'run',
      words: ['bash', '-c', 'exit 3', 'hunter2'],
      env: { TOKEN: 'hunter3' },
      secret: true,
    });
    expect(result.status).toBe(3);
    expect(result.stderr).not.toMatch(/hunter/);
    expect(result.stderr).toContain('bash [arguments hidden] failed with status 3');
  });

  test('probe answers yes with the output, or no with the reason', async () => {
    const { runner } = openDoor();
    expect(await runner.probe(command(['echo', 'yes'], here), 5000)).toEqual({ ok: true, output: 'yes' });
    expect(await runner.probe(command(['bash', '-c', 'echo denied >&2; exit 1'], here), 5000)).toEqual({
      ok: false,
      reason: 'denied',
    });
    expect(await runner.probe(command(['false'], here), 5000)).toEqual({ ok: false, reason: 'status 1' });
  });

  test('probe has a time limit, and kills the whole group', async () => {
    const { runner } = openDoor();
    const marker = `${4000 + Math.floor(Math.random() * 1000)}.5`;
    const start = Date.now();
    const answer = await runner.probe(command(['bash', '-c', `sleep ${marker} & sleep ${marker}`], here), 300);
    expect(Date.now() - start).toBeLessThan(3000);
    expect(answer).toEqual({ ok: false, reason: expect.stringMatching(/^no answer from bash -c .* within 0\.30 s$/) });
    const left = await runProcess('pgrep', ['-f', `sleep ${marker}`], {
      ...here,
      env: { PATH: process.env.PATH ?? '' },
    });
    expect(left.stdout).toBe('');
  });

  test.each([
    ['cargo', 'build'],
    ['/x/cargo', 'build'],
    ['mise', 'x', '--', 'cargo', 'build'],
  ])('%s is started by the verb that carries the recovery', async (...words) => {
    const { runner } = openDoor();
    for (const start of [
      runner.run(command(words, here)),
      runner.read(command(words, here)),
      runner.probe(command(words, here), 1),
    ]) {
      await expect(start).rejects.toThrow('cargo is started by the verb cargo()');
    }
  });
});

describe('exec', () => {
  const limits = {
    verb: 'exec',
    words: ['bash', '-c', 'echo $$ $(ulimit -Sn) $(ulimit -Hn) $PWD $X'],
    cwd: '/',
    env: { X: 'x y' },
  } as const;

  test("the pid stays, and the limit is the user's, not Node's", async () => {
    let pid: number | undefined;
    const result = await orderRunner(
      { ...limits, machine: { shellLimit: 512 } },
      { onStart: (child) => (pid = child.pid) },
    );
    expect(result.stdout).toBe(`${pid} 512 ${ownLimits().hard} / x y\n`);
  });

  test("where the user's limit is unknown, it is the wanted build limit", async () => {
    const env = { ...process.env, OPENSHELL_BUILD_NOFILE_LIMIT: '3000' } as Record<string, string>;
    const result = await orderRunner({ ...limits, machine: { shellLimit: null as never } }, { env });
    expect(result.stdout).toContain(' 3000 ');
  });

  test("the user's limit is found behind Node and npm, on Linux", async () => {
    const words = driverWords(limits);
    const shell = `ulimit -S -n 777; ${process.execPath} -e 'require("node:child_process").spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit" })' -- "$@"; exit $?`;
    const result = await runProcess('bash', ['-c', shell, 'bash', ...words], {
      ...here,
      env: process.env as Record<string, string>,
    });
    expect(result.stdout).toMatch(process.platform === 'linux' ? / 777 / : / 8192 /);
  });

  test('a launcher may hand the limit over', async () => {
    const env = { ...process.env, OPENSHELL_SHELL_NOFILE_LIMIT: '900' } as Record<string, string>;
    expect((await orderRunner(limits, { env })).stdout).toContain(' 900 ');
  });

  test('a program that is not there is found before Node is replaced', async () => {
    const result = await orderRunner({ verb: 'exec', words: ['/no/such/gateway'] });
    expect(result).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('/no/such/gateway is not an executable program'),
    });
  });

  test('without execve: runs, passes signals on, mirrors the exit', async () => {
    const machine = { canReplace: false };
    expect((await orderRunner({ verb: 'exec', words: ['bash', '-c', 'exit 9'], machine })).status).toBe(9);
    expect((await orderRunner({ verb: 'exec', words: ['bash', '-c', 'kill -KILL $$'], machine })).status).toBe(137);
    const trapped = ['bash', '-c', 'trap "echo got TERM; exit 4" TERM; echo ready; sleep 30 & wait'];
    const result = await orderRunner(
      { verb: 'exec', words: trapped, machine },
      { onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')) },
    );
    expect(result.stdout).toBe('ready\ngot TERM\n');
    expect(result.status).toBe(4);
  });
});
