// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FakeCase, FakeTools } from '../support/fake-tools.ts';
import { onlyLinux } from '../support/real-tools.ts';
import { runProcess, runTaskFile, SUITE_ROOT, type TaskResult } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const KEY = 'sk-secret-0123456789';
/** As the real CLI prints it, which breaks long lines. */
const NOT_FOUND = `printf '%s\\n' "Error:   × code: 'Some requested entity was not found', message:" '  │ "not found"' >&2; exit 1`;
const UNAVAILABLE = `echo "Error:   × code: 'The service is currently unavailable'" >&2; exit 1`;
const CREATE = 'openshell sandbox create --name dev';

interface Gateway {
  /** What `status -o json` prints, or a script. */
  readonly status?: object | string;
  readonly sandbox?: string;
  readonly provider?: string;
  readonly more?: readonly FakeCase[];
}

/** A fake CLI on a gateway that by default has neither the sandbox nor the provider. */
function fakeCli({ status = { status: 'connected' }, sandbox = NOT_FOUND, provider = NOT_FOUND, more = [] }: Gateway) {
  const tools = new FakeTools(temporaryDirectory('fake-tools'));
  const printed = typeof status === 'string' ? status : `printf '%s\\n' '${JSON.stringify(status)}'`;
  return tools.add('openshell', [
    ...more,
    { args: ['status', '-o', 'json'], script: printed },
    { args: ['sandbox', 'get', 'dev'], script: sandbox },
    { args: ['provider', 'get', 'anthropic'], script: provider },
    { args: ['provider', 'create'], script: ':' },
    { args: ['sandbox', 'create'], script: ':' },
    { args: ['sandbox', 'connect', 'dev'], script: ':' },
  ]);
}

function run(tools: FakeTools, args: readonly string[] = [], extra: Record<string, string> = {}): Promise<TaskResult> {
  return runTaskFile('sandbox', args, { cwd: tools.directory, env: tools.env(extra) });
}

/** The arguments of the last call. */
function last(tools: FakeTools): readonly string[] {
  return tools.calls().at(-1)?.args ?? [];
}

describe('a new sandbox', () => {
  test('X3: without a command and without a key it runs claude, and has no provider', async () => {
    const tools = fakeCli({});
    expect(await run(tools)).toMatchObject({ status: 0, stdout: '' });
    expect(tools.lines()).toEqual([
      'openshell status -o json',
      'openshell sandbox get dev',
      'openshell provider get anthropic',
      `${CREATE} --tty -- claude`,
    ]);
  });

  test('a command that is too long for the system is refused', onlyLinux(), async () => {
    const tools = fakeCli({});
    const result = await run(tools, ['--', 'echo', 'x'.repeat(70_000), 'x'.repeat(70_000)]);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/\nerror: the arguments of openshell are too long together, [^\n]*\n$/);
    expect(tools.lines()).toHaveLength(3);
  });

  test('a provider that exists already is used, key or no key', async () => {
    for (const extra of [{}, { ANTHROPIC_API_KEY: KEY }]) {
      const tools = fakeCli({ provider: 'echo Provider:' });
      await run(tools, [], extra);
      expect(tools.lines().slice(2)).toEqual([
        'openshell provider get anthropic',
        `${CREATE} --provider anthropic --tty -- claude`,
      ]);
    }
  });

  test('C31: the key registers the provider, and is in no argument and in nothing that is shown', async () => {
    const tools = fakeCli({});
    const result = await run(tools, ['bash'], { ANTHROPIC_API_KEY: KEY });
    expect(result.status).toBe(0);
    expect(tools.lines().slice(3)).toEqual([
      'openshell provider create --name anthropic --type claude --credential ANTHROPIC_API_KEY',
      `${CREATE} --provider anthropic --tty -- bash`,
    ]);
    expect(`${tools.lines().join('\n')}${result.stdout}${result.stderr}`).not.toContain(KEY);
    expect(tools.calls().find(({ args }) => args[1] === 'create')?.env.ANTHROPIC_API_KEY).toBe(KEY);
  });

  test("C31: with the process list in view, the key is not in any program's arguments", async () => {
    const look = '{ /bin/ps -eo args; } > "$HOME/ps"';
    const tools = fakeCli({ more: [{ args: ['provider', 'create'], script: look }] });
    await run(tools, [], { ANTHROPIC_API_KEY: KEY });
    const listed = execFileSync('cat', [join(tools.directory, 'home/ps')], { encoding: 'utf8' });
    expect(listed).toContain('provider create --name anthropic');
    expect(listed).not.toContain(KEY);
  });

  test('the CLI replaces the task: its pid, its exit status, its directory', async () => {
    const tools = fakeCli({ more: [{ args: ['sandbox', 'create'], script: 'echo "pid $$"; exit 42' }] });
    let pid: number | undefined;
    const result = await runTaskFile('sandbox', [], {
      cwd: tools.directory,
      env: tools.env(),
      onStart: (child) => {
        pid = child.pid;
      },
    });
    expect(result).toMatchObject({ status: 42, stdout: `pid ${pid}\n` });
    expect(tools.calls().at(-1)?.cwd).toBe(tools.directory);
  });

  test('AQ-7: a notice of the CLI before its status is not the status', async () => {
    const tools = fakeCli({ status: `printf '%s\\n' 'openshell {1.0} is out' '' '{' '  "status": "connected"' '}'` });
    expect((await run(tools)).status).toBe(0);
  });

  test('a provider that cannot be registered ends it there', async () => {
    const tools = fakeCli({ more: [{ args: ['provider', 'create'], script: 'echo refused >&2; exit 3' }] });
    const result = await run(tools, [], { ANTHROPIC_API_KEY: KEY });
    expect(result.status).toBe(3);
    expect(result.stderr).toContain('refused');
    expect(tools.lines().join()).not.toContain('sandbox create');
  });
});

describe('the command', () => {
  test.each([
    [['bash', '-c', 'echo a b']],
    [['claude', '--help']],
    [['claude', '--dry-run', '-h']],
    [['sh', '-c', 'exit $1', '--', "it's"]],
    [['a', '', ' ', '*', '$HOME', '"', '\n']],
  ])('H30: %j reaches the sandbox as it is', async (args) => {
    const tools = fakeCli({});
    expect((await run(tools, args)).status).toBe(0);
    expect(last(tools)).toEqual([...CREATE.split(' ').slice(1), '--tty', '--', ...args]);
    await run(tools, ['--', ...args]);
    expect(last(tools)).toEqual([...CREATE.split(' ').slice(1), '--tty', '--', ...args]);
  });

  test('after a lone --, a command may begin with a dash', async () => {
    const tools = fakeCli({});
    await run(tools, ['--', '--help']);
    expect(last(tools).slice(-2)).toEqual(['--', '--help']);
    expect(await run(tools, ['--nonsense', 'bash'])).toMatchObject({ status: 2 });
  });

  test('SB-1, H30: the variable of mise is read as a shell reads it; arguments win over it', async () => {
    const tools = fakeCli({});
    await run(tools, [], { usage_command: "'bash' '-c' 'echo a b'" });
    expect(last(tools).slice(-3)).toEqual(['bash', '-c', 'echo a b']);
    await run(tools, ['zsh'], { usage_command: 'bash' });
    expect(last(tools).slice(-1)).toEqual(['zsh']);
    const refused = await run(tools, [], { usage_command: "'bash" });
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/^error: usage_command is ''bash', which has a quote that is not closed[^\n]*\n$/);
  });
});

describe('a sandbox that exists', () => {
  test('is connected to; the provider is not probed without a key', async () => {
    const tools = fakeCli({ sandbox: 'echo Sandbox:' });
    const result = await run(tools);
    expect(result.status).toBe(0);
    expect(tools.lines().slice(2)).toEqual(['openshell sandbox connect dev']);
    expect(result.stderr).not.toContain('warning');
  });

  test('with a key, the provider is registered all the same', async () => {
    const tools = fakeCli({ sandbox: 'echo Sandbox:' });
    await run(tools, [], { ANTHROPIC_API_KEY: KEY });
    expect(
      tools
        .lines()
        .slice(3)
        .map((line) => line.split(' ').slice(0, 3).join(' ')),
    ).toEqual(['openshell provider create', 'openshell sandbox connect']);
  });

  test('SB-6, H30: a command for it is not dropped in silence', async () => {
    const tools = fakeCli({ sandbox: 'echo Sandbox:' });
    const result = await run(tools, ['bash', '-c', 'echo a b']);
    expect(result.stderr).toContain(
      "warning: the sandbox 'dev' exists already, so this command is not run; to run it: " +
        "openshell sandbox exec --name dev --tty -- bash -c 'echo a b'\n",
    );
    expect(last(tools)).toEqual(['sandbox', 'connect', 'dev']);
  });
});

describe('no gateway', () => {
  test.each([
    [
      { status: 'not_configured' },
      'no gateway is active; start a gateway in another terminal (mise run gateway), or take',
    ],
    [
      { status: 'disconnected', gateway: 'g', server: 'http://x', error: 'refused' },
      'the gateway g (http://x) is not connected: its status is disconnected (refused); start a gateway',
    ],
    [{ status: 'error', gateway: 'g', server: 'http://x' }, 'is not connected: its status is error; start a gateway'],
    [{ status: 'new-word' }, 'is not connected: its status is new-word'],
    [
      'echo "Gateway Status"',
      "openshell status -o json printed 'Gateway Status', which is not a status; update the CLI",
    ],
    ['echo []', "printed '[]'"],
    [
      'echo "error[E0308]: mismatched types" >&2; exit 101',
      'openshell status -o json failed: error[E0308]: mismatched types',
    ],
    [
      "printf '%s\\n' 'Error:   × client error (Connect)' '  ╰─▶ Connection refused (os error 111)' >&2; exit 1",
      'openshell status -o json failed: Error: client error (Connect) Connection refused (os error 111); start a gateway',
    ],
  ])('SB-3, SB-5: %j ends it, with the reason', async (status, message) => {
    const tools = fakeCli({ status });
    const result = await run(tools);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
    expect(tools.lines()).toHaveLength(1);
  });

  test.each([
    ['sandbox', { sandbox: UNAVAILABLE }],
    ['provider', { provider: UNAVAILABLE }],
  ])('SB-4: a probe of the %s that fails is not a "not found"', async (name, gateway) => {
    const tools = fakeCli(gateway);
    const result = await run(tools);
    expect(result.status).toBe(2);
    expect(result.stderr).toContain(`openshell ${name} get`);
    expect(result.stderr).toContain('The service is currently unavailable');
    expect(tools.lines().join()).not.toContain('create');
  });

  test('a missing CLI is said before anything else', async () => {
    const tools = new FakeTools(temporaryDirectory());
    const result = await run(tools);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^error: openshell is not on PATH; [^\n]+\n$/);
  });
});

test("the checkout's own CLI compiles itself first, in view", async () => {
  const directory = join(temporaryDirectory(), 'scripts');
  execFileSync('mkdir', [directory]);
  const tools = new FakeTools(directory);
  tools.add('openshell', [
    { args: ['--version'], script: 'echo Recompiling... >&2; exit 101' },
    { args: [], script: ':' },
  ]);
  const result = await runTaskFile('sandbox', [], { cwd: directory, env: tools.env() });
  expect(result.status).toBe(101);
  expect(result.stderr).toContain('Recompiling...\n');
  expect(tools.lines()).toEqual(['openshell --version']);
});

test('a dry run probes, and prints what would run', async () => {
  const tools = fakeCli({});
  const result = await run(tools, ['--dry-run', 'bash', '-c', 'a b'], { ANTHROPIC_API_KEY: KEY });
  expect(result.stdout).toBe(
    'openshell provider create --name anthropic --type claude --credential ANTHROPIC_API_KEY\n' +
      `${CREATE} --provider anthropic --tty -- bash -c 'a b'\n`,
  );
  expect(tools.lines()).toHaveLength(3);
});

test('under real mise, arguments keep their boundaries', async () => {
  const tools = fakeCli({});
  const bin = join(SUITE_ROOT, 'node_modules/.bin');
  const home = tools.env().HOME ?? '';
  const env = {
    ...tools.env({ MISE_TRUSTED_CONFIG_PATHS: SUITE_ROOT, MISE_TASK_RUN_AUTO_INSTALL: 'false', MISE_OFFLINE: '1' }),
    PATH: `${tools.bin}:${bin}:/usr/bin:/bin`,
    ...{
      MISE_DATA_DIR: join(home, 'mise'),
      MISE_CACHE_DIR: join(home, 'cache'),
      MISE_CONFIG_DIR: join(home, 'config'),
    },
  };
  const args = ['run', 'sandbox', '--', 'bash', '-lc', "echo 'a  b' --help"];
  expect((await runProcess(join(bin, 'mise'), args, { cwd: SUITE_ROOT, env })).status).toBe(0);
  expect(last(tools).slice(-3)).toEqual(['bash', '-lc', "echo 'a  b' --help"]);
});
