// SPDX-License-Identifier: Apache-2.0

import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Runner } from '../../lib/build-env.ts';
import { findToolchain } from '../../lib/cargo/find-toolchain.ts';
import { Terminal } from '../../lib/cli/terminal.ts';
import type { Machine } from '../../lib/host.ts';
import { type Command, cmd } from '../../lib/process/command.ts';
import { ownLimits, statOf } from '../../lib/process/identity.ts';
import { Signals } from '../../lib/process/signals.ts';
import { FakeTools } from '../support/fake-tools.ts';
import { inProcess } from '../support/in-process.ts';
import { requireThing, requireTools } from '../support/real-tools.ts';
import { driverWords, orderRunner } from '../support/run-driver.ts';
import { runInTerminal, inTerminal as terminalOptions } from '../support/run-in-terminal.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const pgrep = requireTools('pgrep');

const UNLIMITED = Number.POSITIVE_INFINITY;
/** A stock Mac, as far as the guard can see. The real limits of this machine have to be over 4096. */
const STOCK_MAC: Partial<Machine> = { platform: 'darwin', limits: { soft: 256, hard: 4096 } };
const GUARDED = { env: { ...process.env, RUSTC_WRAPPER: 'sccache' } as Record<string, string> };

function openMachine(): Machine {
  const limits = { soft: UNLIMITED, hard: UNLIMITED };
  return { platform: 'linux', limits, shellLimit: undefined, canReplace: true, invoker: undefined };
}

function openRunner(machine: Partial<Machine> = {}, env: Record<string, string | undefined> = process.env) {
  const said: string[] = [];
  const sink = { write: (text: string | Uint8Array) => said.push(text.toString()) };
  const facts = { ...openMachine(), ...machine };
  const ctx = { env, terminal: new Terminal(sink, sink, env), signals: new Signals() };
  return { runner: new Runner(ctx, facts), said };
}

const here = { cwd: process.cwd() };
/** A command in this directory. */
const bash = (script: string): Command => cmd(here)`bash -c ${script}`;
/** What a wrapper prints that is short of files. */
const FAILURE = `echo 'error: Too many open files (os error 24)' >&2; exit 1`;

describe('the limit', () => {
  test('X6: a guarded command runs under the raised soft limit, and its hard limit stays', async () => {
    const { runner, said } = openRunner(STOCK_MAC, GUARDED.env);
    const limits = await runner.read(bash('echo $(ulimit -Sn) $(ulimit -Hn)'));
    expect(limits).toBe(`4096 ${ownLimits().hard}`);
    expect(said.join('')).toContain('open-file limit raised for what this task runs: 256 -> 4096');
    expect(said.join('')).toContain('less than the wanted 8192');
  });

  test.each(['run', 'read', 'probe', 'cargo'] as const)('%s carries the guard', async (verb) => {
    const tools = new FakeTools(temporaryDirectory());
    for (const name of ['tool', 'cargo']) tools.add(name, [{ args: [], script: 'exit 0' }]);
    const env = tools.env({ OPENSHELL_BUILD_NOFILE_GUARD: 'on', OPENSHELL_BUILD_NOFILE_LIMIT: '2000' });
    const args = [verb === 'cargo' ? 'cargo' : 'tool', 'x'];
    const result = await orderRunner({ verb, args, machine: { limits: { soft: 256, hard: 4096 } } }, { env });
    expect(result.stderr).not.toContain('error');
    expect(tools.calls().map((call) => call.softLimit)).toEqual(['2000']);
  });

  test('without the guard nothing is set', async () => {
    const { runner } = openRunner();
    expect(await runner.read(bash('ulimit -Sn'))).toBe(String(ownLimits().soft));
    expect(runner.describe(cmd(here)`cargo zigbuild`)).toBe('cargo zigbuild');
  });

  test('cargo-zigbuild counts when it is on PATH, and when it is the command', () => {
    const empty = { PATH: '/nowhere' };
    const mac = openRunner(STOCK_MAC, { ...empty, PATH: '/bin:/usr/bin' }).runner;
    expect(mac.describe(cmd(here)`cargo zigbuild`)).toBe('ulimit -S -n 4096; cargo zigbuild');
    expect(mac.describe(cmd(here)`cargo build`)).toBe('cargo build');
    const tools = new FakeTools(temporaryDirectory()).addSilent('cargo-zigbuild');
    const withZigbuild = openRunner(STOCK_MAC, tools.env()).runner;
    expect(withZigbuild.describe(cmd(here)`cargo build`)).toBe('ulimit -S -n 4096; cargo build');
  });

  test('a wrapper that comes with the tool chain counts for its commands, and for nothing else', () => {
    const { runner } = openRunner(STOCK_MAC, new FakeTools(temporaryDirectory()).env());
    const ofMise = cmd({ ...here, base: { RUSTC_WRAPPER: 'sccache', PATH: '/nowhere' } })`cargo build`;
    expect(runner.describe(ofMise)).toBe('ulimit -S -n 4096; cargo build');
    expect(runner.describe(cmd(here)`cargo build`)).toBe('cargo build');
    const ofFile = cmd({ ...here, base: { CARGO_BUILD_RUSTC_WRAPPER: '/x/sccache' } })`cargo build`;
    expect(runner.describe(ofFile)).toBe('ulimit -S -n 4096; cargo build');
    // Set but empty, the variable switches every other off.
    expect(runner.describe({ ...ofFile, env: { RUSTC_WRAPPER: '' } })).toBe("RUSTC_WRAPPER='' cargo build");
  });

  test('a zigbuild that only the tool chain has counts too', () => {
    const { bin } = new FakeTools(temporaryDirectory()).addSilent('cargo-zigbuild');
    const { runner } = openRunner(STOCK_MAC, new FakeTools(temporaryDirectory()).env());
    expect(runner.describe(cmd({ ...here, base: { PATH: bin } })`cargo build`)).toBe('ulimit -S -n 4096; cargo build');
  });

  test('a wrapper that only a file of cargo names is guarded and recovered like any other', async () => {
    const tools = new FakeTools(temporaryDirectory()).addSilent('cargo-zigbuild', 'rustup');
    // Set but empty, the variable switches the file's wrapper off.
    tools.add('cargo', [{ args: ['build'], script: `[ "\${RUSTC_WRAPPER-unset}" = '' ] || { ${FAILURE}; }` }]);
    const root = temporaryDirectory();
    mkdirSync(join(root, '.cargo'));
    writeFileSync(join(root, '.cargo/config.toml'), '[build]\nrustc-wrapper = "./wrap"\n');
    const ctx = inProcess(tools, {}, root, STOCK_MAC);
    const { env } = await findToolchain(ctx, root, false);
    const build = cmd({ cwd: root, base: env })`cargo build`;
    expect(ctx.runner.describe(build)).toBe('ulimit -S -n 4096; cargo build');
    await ctx.runner.cargo(build);
    expect(tools.calls().map(({ softLimit, env: { RUSTC_WRAPPER } }) => [softLimit, RUSTC_WRAPPER])).toEqual([
      ['4096', undefined],
      ['4096', ''],
    ]);
    expect(ctx.screen.stderr()).toContain(`${join(root, 'wrap')} failed, not the build; trying again without it`);
  });

  test('under sudo the server of a wrapper is restarted as the user whose cargo compiles through it', async () => {
    const tools = new FakeTools(temporaryDirectory()).addSilent('sccache');
    tools.add('cargo', [{ args: [], script: `[ -n "$RUSTC_WRAPPER" ] || exit 0; ${FAILURE}` }]);
    const invoker = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, user: 'dev', home: '/home/of dev' };
    const ctx = inProcess(tools, { RUSTC_WRAPPER: 'sccache' }, tools.directory, { invoker });
    await ctx.runner.cargo(cmd({ cwd: '/' })`cargo build`);
    expect(tools.calls().map(({ tool, args, env: { HOME } }) => [tool, args[0], HOME])).toEqual([
      ['cargo', 'build', '/home/of dev'],
      ['sccache', '--stop-server', '/home/of dev'],
      ['sccache', '--start-server', '/home/of dev'],
      ['cargo', 'build', '/home/of dev'],
      ['cargo', 'build', '/home/of dev'],
    ]);
  });

  test('a machine that cannot carry a build is refused before anything runs', async () => {
    const tools = new FakeTools(temporaryDirectory()).addSilent('cargo', 'cargo-zigbuild');
    const order = {
      verb: 'cargo',
      args: ['cargo', 'build'],
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
  const order = { verb: 'read', args: ['bash', '-c', 'ulimit -Sn'], machine: STOCK_MAC } as const;
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

  test('the whole prefix: strict mode first, then the limit, then the arguments', async () => {
    const { env, seen } = withSpyingBash({ OPENSHELL_BUILD_NOFILE_GUARD: 'on', HOME: '/' });
    await orderRunner({ ...order, args: ['printf', '%s', 'a b'] }, { env });
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
      const argv = [zx, ...options, ...driverWords(order)];
      const result = await runProcess(process.execPath, argv, { cwd: directory, env });
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
    const result = await orderRunner({ ...order, args: ['sh', '-c', 'ulimit -Sn'] }, { env });
    expect(result).toMatchObject({ status: 0, stdout: '4096\n' });
  });
});

test('every argument arrives as it was given', async () => {
  const { runner } = openRunner();
  const print = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed()),
        { maxLength: 5 },
      ),
      async (texts) => {
        const output = await runner.read(cmd(here)`${process.execPath} -e ${print} -- ${texts}`);
        expect(JSON.parse(output)).toEqual(texts);
      },
    ),
    { numRuns: 40 },
  );
});

describe('verbs', () => {
  test('run echoes on stderr, keeps stdout for results', async () => {
    const result = await orderRunner({ verb: 'run', args: ['echo', 'from the tool', "it's"] });
    expect(result).toEqual({
      status: 0,
      signal: null,
      stdout: '',
      stderr: "$ echo 'from the tool' 'it'\\''s'\nfrom the tool it's\n",
    });
  });

  test('read trims line breaks at the end only', async () => {
    const { runner } = openRunner();
    expect(await runner.read(cmd(here)`printf ${'  a\\nb \\n\\n'}`)).toBe('  a\nb ');
  });

  test("a failure is the command's own status, in one line that says where and what it printed", async () => {
    const result = await orderRunner({
      verb: 'read',
      args: ['bash', '-c', 'echo out; echo first >&2; echo why >&2; exit 7'],
      cwd: '/',
    });
    expect(result.status).toBe(7);
    expect(result.stderr).toBe(
      "error: bash -c 'echo out; echo first >&2; echo why >&2; exit 7' failed with status 7 in /: first\\nwhy\n",
    );
  });

  test('a program that is not there is 127, a directory that is not there is 2', async () => {
    const vanished = await orderRunner({ verb: 'run', args: ['no-such-program', 'x'] });
    expect(vanished.status).toBe(127);
    expect(vanished.stderr).toContain('error: no-such-program x was not found (no-such-program) in ');
    const nowhere = await orderRunner({ verb: 'run', args: ['true'], cwd: '/no/such/directory' });
    expect(nowhere).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('cannot run in /no/such/directory: there is no such directory'),
    });
  });

  test("a command's own signal is 128+n, not success", async () => {
    const result = await orderRunner({ verb: 'run', args: ['bash', '-c', 'kill -KILL $$'] });
    expect(result.status).toBe(137);
    expect(result.stderr).toContain('was ended by SIGKILL');
  });

  test('probe gives the output, or the reason why there is none; a status is only a status', async () => {
    const { runner } = openRunner();
    expect(await runner.probe(cmd(here)`echo yes`, 5000)).toEqual({ ok: true, output: 'yes' });
    const ends = async (status: number, reason: string, command: Command) =>
      expect(await runner.probe(command, 5000)).toEqual({ ok: false, reason, status });
    await ends(1, 'denied', bash('echo denied >&2; exit 1'));
    await ends(1, 'status 1', cmd(here)`false`);
    await ends(130, 'status 130', bash('exit 130'));
    await ends(143, 'status 143', bash('kill -TERM $$'));
  });

  test('probe has a time limit, and kills the whole group', pgrep.options, async () => {
    const { runner } = openRunner();
    const marker = `${4000 + Math.floor(Math.random() * 1000)}.5`;
    const start = Date.now();
    const result = await runner.probe(bash(`sleep ${marker} & sleep ${marker}`), 300);
    expect(Date.now() - start).toBeLessThan(3000);
    expect(result).toEqual({
      ok: false,
      reason: expect.stringMatching(/^no response from bash -c .* within 0\.30 s$/),
      timedOut: true,
    });
    const left = await runProcess(pgrep.path('pgrep'), ['-f', `sleep ${marker}`], {
      ...here,
      env: { PATH: process.env.PATH ?? '' },
    });
    expect(left.stdout).toBe('');
  });

  test.each(['read', 'probe'] as const)('F11: %s does not wait for what the program leaves running', async (verb) => {
    const { runner } = openRunner();
    const start = Date.now();
    const command = bash('setsid sleep 25 & echo whole');
    const result = verb === 'read' ? await runner.read(command) : await runner.probe(command, 600);
    expect(result).toEqual(verb === 'read' ? 'whole' : { ok: true, output: 'whole' });
    expect(Date.now() - start).toBeLessThan(5000);
  });

  test('F11: output that comes late, or in a flood, is whole', async () => {
    const { runner } = openRunner();
    expect(await runner.read(bash('(sleep 0.1; echo late) & echo soon'))).toBe('soon\nlate');
    const flood = await runner.read(cmd(here)`seq 1 300000`);
    expect(flood.split('\n')).toHaveLength(300_000);
    setTimeout(() => {
      // A busy event loop: the timer is due before the input is read.
      for (const start = Date.now(); Date.now() - start < 800; );
    }, 20);
    expect((await runner.read(bash('sleep 0.1; seq 1 5000'))).split('\n')).toHaveLength(5000);
  });

  test('F11: output that never ends is not waited for', async () => {
    const { runner } = openRunner();
    const start = Date.now();
    const marker = `0.05${Math.floor(Math.random() * 1000)}`;
    const result = await runner.read(
      bash(`setsid bash -c 'for n in $(seq 400); do echo x; sleep ${marker}; done' & echo y`),
    );
    expect(result).toMatch(/^(x\n)*y(\nx)+$/);
    expect(Date.now() - start).toBeLessThan(12_000);
  }, 20_000);

  test('probe ends when its result is not needed any more', async () => {
    const { runner } = openRunner();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 100);
    const start = Date.now();
    const result = await runner.probe(cmd(here)`sleep 30`, 60_000, { unless: controller.signal });
    expect(result.ok).toBe(false);
    expect(Date.now() - start).toBeLessThan(5000);
  });

  test.each(['cargo', '/x/cargo'])('%s is started by the verb that carries the recovery', async (cargo) => {
    const { runner } = openRunner();
    const build = cmd(here)`${cargo} build`;
    const starts = [
      runner.run(build),
      runner.read(build),
      runner.probe(build, 1),
      runner.interactive(build),
      runner.start(build),
      runner.exec(build),
    ];
    for (const start of starts) await expect(start).rejects.toThrow('cargo is started by the verb cargo()');
  });

  test.each([
    ['exit 130', 130],
    ['exit 137', 137],
    ['exit 143', 143],
    ['exit 255', 255],
  ])('a command that does %s is a failed command, and not a signal to the task', async (script, status) => {
    const result = await orderRunner({ verb: 'run', args: ['bash', '-c', script] });
    expect(result).toMatchObject({ status, signal: null });
    expect(result.stderr).toContain(`failed with status ${status}`);
    expect(result.stderr).not.toContain('stopped by');
  });

  test('what comes with the tool chain is under what the command sets, and is not shown', async () => {
    const order = {
      verb: 'run',
      args: ['bash', '-c', 'echo $A $B $C'],
      env: { B: 'own' },
      base: { B: 'base', C: 'base' },
    } as const;
    const result = await orderRunner(order, { env: { PATH: process.env.PATH ?? '', A: 'task', B: 'task', C: 'task' } });
    expect(result.stderr).toBe("$ B=own bash -c 'echo $A $B $C'\ntask own base\n");
  });
});

describe('AQ-16: input', () => {
  const EACH = ['run', 'read', 'probe'] as const;
  /** More than a pipe holds. */
  const BIG = 'ä line of text\n'.repeat(400_000);

  /** Runs a script with this input by a verb that takes it; gives what it printed on stdout, `ok` and nothing for run. */
  async function given(verb: (typeof EACH)[number], script: string, input?: string) {
    const { runner } = openRunner();
    const options = input === undefined ? {} : { input };
    if (verb === 'read') return runner.read(bash(script), options);
    if (verb === 'probe') {
      const result = await runner.probe(bash(script), 20_000, options);
      if (!result.ok) throw new Error(result.reason);
      return result.output;
    }
    const file = join(temporaryDirectory(), 'out');
    await runner.run(bash(`{ ${script}; } > ${file}`), options);
    return readFileSync(file, 'utf8').trimEnd();
  }

  test.each(EACH)('%s: the text arrives as it is', async (verb) => {
    expect(await given(verb, 'cat', "it's $HOME\n\u001b[2J\\ ü")).toBe("it's $HOME\n\u001b[2J\\ ü");
  });

  test.each(EACH)('%s: a big one arrives whole', async (verb) => {
    expect(await given(verb, 'wc -c', BIG)).toBe(String(Buffer.byteLength(BIG)));
    expect(await given(verb, "sleep 0.3; tail -c 5 | tr -d '\\n'", BIG)).toBe('text');
  });

  test.each(EACH)('%s: an empty one is an end of file, and so is none', async (verb) => {
    expect(await given(verb, 'wc -c', '')).toBe('0');
    expect(await given(verb, 'wc -c')).toBe('0');
  });

  test.each(EACH)('%s: a program that does not read it is judged by its status alone', async (verb) => {
    expect(await given(verb, 'echo done', BIG)).toBe('done');
    expect(await given(verb, 'head -c 4', BIG)).toBe('ä l');
    expect(await given(verb, 'exec <&-; sleep 0.2; echo done', BIG)).toBe('done');
    await expect(given(verb, 'exit 3', BIG)).rejects.toThrow(verb === 'probe' ? 'status 3' : 'failed with status 3');
  });

  const hasProc = existsSync('/proc/self/environ');
  test('it is neither an argument nor a variable, and is not shown', requireThing('/proc', hasProc), async () => {
    const script = 'cat /proc/$$/cmdline /proc/$$/environ | tr "\\0" " "; cat >&2';
    const order = { verb: 'run', args: ['bash', '-c', script], input: 'hunter2' } as const;
    const result = await orderRunner(order);
    expect(result.status).toBe(0);
    expect(result.stderr.match(/hunter2/g)).toHaveLength(1);
    expect(result.stderr.trimEnd().endsWith('hunter2')).toBe(true);
  });
});

describe('interactive', terminalOptions, () => {
  const env = { PATH: process.env.PATH ?? '', HOME: '/', TERM: 'dumb' };
  const inTerminal = (script: string, onScreen?: Parameters<typeof runInTerminal>[1]['onScreen']) => {
    const order = { verb: 'interactive', args: ['bash', '-c', script] } as const;
    return runInTerminal([process.execPath, ...driverWords(order)], {
      cwd: SUITE_ROOT,
      env,
      ...(onScreen === undefined ? {} : { onScreen }),
    });
  };
  /** Types once, as soon as the screen shows a text. */
  const typing = (shown: string, text: string) => {
    let isDone = false;
    return (screen: string, keys: { type(text: string): void }) => {
      if (isDone || !screen.includes(`\n${shown}`)) return;
      isDone = true;
      keys.type(text);
    };
  };

  test('the program has the whole terminal, stdin included, and its status is the task’s', async () => {
    const script = 'for n in 0 1 2; do test -t $n || exit 9; done; echo ready; read line; echo "got $line"; exit 4';
    const { status, screen } = await inTerminal(script, typing('ready', 'a b\n'));
    expect(screen).toContain('\ngot a b\n');
    expect(screen).toContain('$ bash -c');
    expect(screen).toContain('failed with status 4');
    expect(status).toBe(4);
  });

  test('Ctrl-C reaches the program directly: it ends, and the task with it', async () => {
    const script = 'trap "echo got INT; exit 5" INT; echo ready; sleep 30 & wait';
    const { status, screen } = await inTerminal(script, typing('ready', '\u0003'));
    expect(screen.match(/^(\^C)?got INT$/gm)).toHaveLength(1);
    expect(screen).toContain('error: stopped by SIGINT');
    expect(status).toBe(130);
  });

  test('a signal to the task alone is passed on', async () => {
    const script = 'trap "echo got TERM; exit 5" TERM; echo ready; kill -TERM $PPID; sleep 30 & wait';
    const { status, screen } = await inTerminal(script);
    expect(screen.match(/^got TERM$/gm)).toHaveLength(1);
    expect(screen).toContain('error: stopped by SIGTERM');
    expect(status).toBe(143);
  });

  test('a program that ends well, and one that is not there', async () => {
    expect(await inTerminal('echo fine')).toMatchObject({ status: 0, screen: expect.stringContaining('\nfine\n') });
    expect(await inTerminal('exec no-such-program')).toMatchObject({ status: 127 });
  });

  test('it carries the guard', async () => {
    const order = {
      verb: 'interactive',
      args: ['bash', '-c', 'ulimit -Sn'],
      machine: STOCK_MAC,
    } as const;
    const { screen } = await runInTerminal([process.execPath, ...driverWords(order)], {
      cwd: SUITE_ROOT,
      env: { ...env, OPENSHELL_BUILD_NOFILE_GUARD: 'on' },
    });
    expect(screen).toContain('\n4096\n');
  });
});

describe('start', () => {
  test('the program outlives the task, is not a child of it, and has the limit of the user', async () => {
    const directory = temporaryDirectory();
    const [ready, end, out] = ['ready', 'end', 'out'].map((name) => join(directory, name));
    // It leaves the streams of the task, or their readers would wait for it.
    const script = `exec 2> /dev/null; echo $PPID $(ulimit -Sn) > ${ready}
      for n in {1..200}; do [ -e ${end} ] && break; sleep 0.05; done; echo over > ${out}`;
    let pid: number | undefined;
    const result = await orderRunner(
      { verb: 'start', args: ['bash', '-c', script], machine: { shellLimit: 512 } },
      { onStart: (child) => (pid = child.pid) },
    );
    expect(result).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    const until = async (path = '') => {
      while (!existsSync(path) || readFileSync(path, 'utf8') === '') await new Promise((next) => setTimeout(next, 20));
      return readFileSync(path, 'utf8');
    };
    const [parent, limit] = (await until(ready)).trim().split(' ');
    expect(Number(parent)).not.toBe(pid);
    expect(limit).toBe('512');
    writeFileSync(end ?? '', '');
    expect(await until(out)).toBe('over\n');
  });
});

describe('beside', () => {
  test('the program leads a session, prints to the file, has the limit of the user, and its status is told', async () => {
    const directory = temporaryDirectory();
    const { runner } = openRunner({ shellLimit: 512 });
    const output = openSync(join(directory, 'out'), 'w');
    const { ended, pid } = runner.beside(bash('echo $$ $(ulimit -Sn); echo no >&2; exit 7'), output);
    closeSync(output);
    expect(statOf(pid ?? 0)).toMatchObject({ session: pid, group: pid });
    expect(await ended).toBe(7);
    expect(readFileSync(join(directory, 'out'), 'utf8')).toBe(`${pid} 512\nno\n`);
  });

  test('it ends with the task', async () => {
    const signals = new Signals();
    const ctx = { ...inProcess(new FakeTools(temporaryDirectory())), env: process.env, signals };
    const output = openSync('/dev/null', 'w');
    const { ended } = new Runner(ctx, openMachine()).beside(bash('sleep 60'), output);
    closeSync(output);
    await signals.endChildren();
    expect(await ended).toBe(143);
  });
});

describe('exec', () => {
  const LIMITS = {
    verb: 'exec',
    args: ['bash', '-c', 'echo $$ $(ulimit -Sn) $(ulimit -Hn) $PWD $X'],
    cwd: '/',
    env: { X: 'x y' },
  } as const;

  test("the pid stays, and the limit is the user's, not Node's", async () => {
    let pid: number | undefined;
    const result = await orderRunner(
      { ...LIMITS, machine: { shellLimit: 512 } },
      { onStart: (child) => (pid = child.pid) },
    );
    expect(result.stdout).toBe(`${pid} 512 ${ownLimits().hard} / x y\n`);
  });

  test("where the user's limit is unknown, it is the wanted build limit", async () => {
    const env = { ...process.env, OPENSHELL_BUILD_NOFILE_LIMIT: '3000' } as Record<string, string>;
    const result = await orderRunner({ ...LIMITS, machine: { shellLimit: null as never } }, { env });
    expect(result.stdout).toContain(' 3000 ');
  });

  test("the user's limit is found above Node and npm, on Linux", async () => {
    const driver = driverWords(LIMITS);
    const shell = `ulimit -S -n 777; ${process.execPath} -e 'require("node:child_process").spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit" })' -- "$@"; exit $?`;
    const result = await runProcess('bash', ['-c', shell, 'bash', ...driver], {
      ...here,
      env: process.env as Record<string, string>,
    });
    expect(result.stdout).toMatch(process.platform === 'linux' ? / 777 / : / 8192 /);
  });

  test('a program that is not there is found before Node is replaced', async () => {
    const result = await orderRunner({ verb: 'exec', args: ['/no/such/gateway'] });
    expect(result).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('/no/such/gateway is not an executable program'),
    });
  });

  test('without execve: runs, passes signals on, mirrors the exit', async () => {
    const machine = { canReplace: false };
    expect((await orderRunner({ verb: 'exec', args: ['bash', '-c', 'exit 9'], machine })).status).toBe(9);
    expect((await orderRunner({ verb: 'exec', args: ['bash', '-c', 'kill -KILL $$'], machine })).status).toBe(137);
    const trapped = ['bash', '-c', 'trap "echo got TERM; exit 4" TERM; echo ready; sleep 30 & wait'];
    const result = await orderRunner(
      { verb: 'exec', args: trapped, machine },
      { onStart: (child) => child.stdout?.once('data', () => child.kill('SIGTERM')) },
    );
    expect(result.stdout).toBe('ready\ngot TERM\n');
    expect(result.status).toBe(4);
  });
});
