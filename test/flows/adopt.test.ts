// SPDX-License-Identifier: Apache-2.0

/** A checkout that adopts the tasks, as its own git repository, with real mise and git. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeAdoption } from '../support/fake-adoption.ts';
import { addEngine } from '../support/fake-engine.ts';
import { requireTools } from '../support/real-tools.ts';
import { MISES, runMise } from '../support/run-mise.ts';

const LOCAL = '# mine\n[env]\nMINE = "1"\n';
const MISE = { MISE_OFFLINE: '1', MISE_QUIET: 'true' };

const tools = requireTools('git', 'mise');

function git(fake: FakeAdoption, ...args: string[]): string {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'init.defaultBranch=main'];
  return execFileSync('git', [...identity, ...args], { cwd: fake.root, encoding: 'utf8' });
}

/** A checkout with a commit, and a PATH with this mise before the system's programs. */
function repository(mise: string, suiteName?: string) {
  const fake = new FakeAdoption('checkout', suiteName);
  for (const name of ['mise', 'git']) rmSync(join(fake.tools.bin, name));
  addEngine(fake.tools, 'docker');
  fake.write('crates/openshell-server/Cargo.toml', '');
  fake.write('deploy/docker/Dockerfile.supervisor', 'FROM scratch\n');
  git(fake, 'init', '-q');
  git(fake, 'add', '-A');
  git(fake, 'commit', '-q', '-m', 'x');
  const bin = join(dirname(fake.root), 'mise-bin');
  mkdirSync(bin);
  symlinkSync(mise, join(bin, 'mise'));
  const HOME = join(fake.tools.directory, 'home');
  const env = { ...MISE, HOME, PATH: `${bin}:/usr/bin:/bin`, MISE_TRUSTED_CONFIG_PATHS: fake.root };
  const adopt = (...args: string[]) => fake.adopt(args, { env });
  // The environment of a user who names another checkout.
  const extra = fake.tools.env({ OPENSHELL_ROOT: '/nowhere', PATH: fake.tools.bin, CONTAINER_ENGINE: 'docker' });
  const run = (...args: string[]) => runMise(['run', ...args], fake.root, extra, mise);
  return { fake, adopt, run, env };
}

describe.each(MISES)('ADP-1: %s', (mise) => {
  test(
    'mise run starts our tasks, with their arguments, and the others stay; undo brings bash back',
    tools.options,
    async () => {
      const { fake, adopt, run } = repository(mise);
      writeFileSync(fake.localFile, LOCAL);
      expect((await run('gateway')).stdout).toContain('bash gateway\n');
      expect(await adopt()).toMatchObject({ status: 0 });
      expect(git(fake, 'status', '--porcelain')).toBe('');
      expect((await run('gateway', '--', '--help')).stdout).toMatch(/^Build and run a gateway/);
      expect((await run('gateway', '--', '--driver', 'a b')).stderr).toContain("--driver is 'a b'");
      const dry = await run('build:docker:supervisor', '--', '--dry-run', '--build-arg', "A=b 'c");
      expect(dry.status, dry.stderr).toBe(0);
      expect(dry.stdout).toMatch(/docker buildx build .*'A=b '\\''c'/);
      expect((await run('theirs', '--', 'a', 'b c')).stdout).toBe('bash theirs yes a b c\n');
      expect(await adopt('--undo')).toMatchObject({ status: 0 });
      expect(readFileSync(fake.localFile, 'utf8')).toBe(LOCAL);
      expect((await run('gateway')).stdout).toContain('bash gateway\n');
    },
  );

  test('a clone with blanks and quotes in its path', tools.options, async () => {
    const { adopt, run } = repository(mise, `cl one's $(x) "q" é`);
    const adopted = await adopt();
    expect(adopted.status, adopted.stderr).toBe(0);
    expect((await run('gateway', '--', '--help')).stdout).toMatch(/^Build and run a gateway/);
  });

  test('ADP-3: where another file of mise has the last word, nothing is changed', tools.options, async () => {
    const { fake, adopt } = repository(mise);
    fake.write('.gitignore', '*.local.toml\n');
    fake.write('.mise.local.toml', '[task_config]\nincludes = ["tasks/*.toml"]\n');
    const result = await adopt();
    expect(result).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('from nowhere, so nothing is changed; start'),
    });
    expect(() => readFileSync(fake.localFile)).toThrow('ENOENT');
  });

  test('a mise that does not trust the checkout, and a file that git does not ignore', tools.options, async () => {
    const { fake, adopt, env } = repository(mise);
    const untrusted = { ...env, MISE_TRUSTED_CONFIG_PATHS: '/nowhere' };
    expect((await fake.adopt([], { env: untrusted })).stderr).toMatch(
      /mise cannot list the tasks of \S+ \(.*not trusted.*\), so nothing is changed; start /s,
    );
    fake.write('.gitignore', '');
    expect((await adopt()).stderr).toMatch(/^error: git does not ignore mise\.local\.toml in /);
    git(fake, 'checkout', '-q', '.gitignore');
    expect(git(fake, 'status', '--porcelain', '--ignored')).toBe('');
  });
});

test('a worktree has a file of its own', tools.options, async () => {
  const { fake, adopt } = repository(MISES[0] ?? '');
  const tree = join(dirname(fake.root), 'tree');
  git(fake, 'worktree', 'add', '-q', tree);
  expect((await adopt()).stderr).toContain(`--worktrees does these as well: ${tree}\n`);
  const result = await adopt('--undo', '--worktrees');
  expect(result).toMatchObject({ status: 0, stderr: `${fake.root}: not adopted any more\n${tree}: was not adopted\n` });
});
