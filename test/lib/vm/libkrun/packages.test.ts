// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { LibkrunConfig } from '../../../../lib/vm/libkrun/config.ts';
import { missingPackages } from '../../../../lib/vm/libkrun/packages.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { refusalFrom } from '../../../support/task-errors.ts';

function missing(script: string, config: Partial<LibkrunConfig>, programs: readonly string[] = []) {
  const tools = fakeTools()
    .add('apt-get', [])
    .addSilent(...programs)
    .add('dpkg-query', [{ args: ['-W'], script }]);
  const ctx = inProcess(tools);
  return missingPackages(ctx, { root: tools.directory, installDeps: false, isRoot: false, ...config } as LibkrunConfig);
}

test('BLD-2: a user is told the command with sudo, root the one without', async () => {
  expect(await refusalFrom(() => missing('echo installed git', {}))).toMatch(
    /, or: sudo apt-get install -y build-essential python3 /,
  );
  expect(await refusalFrom(() => missing('echo installed git', { isRoot: true }))).toMatch(
    /, or: apt-get install -y build-/,
  );
});

test('BLD-2: with --install-deps the user has to have sudo', async () => {
  const config = { installDeps: true };
  expect(await refusalFrom(() => missing('echo installed git', config))).toBe(
    '2: sudo is not on PATH; install the packages as root',
  );
  const [update, install] = await missing('echo installed git', config, ['sudo']);
  expect(update?.argv).toEqual(['sudo', 'apt-get', 'update']);
  expect(install?.argv.slice(0, 5)).toEqual(['sudo', 'apt-get', 'install', '-y', 'build-essential']);
  expect(install?.argv).not.toContain('git');
});

test('a dpkg that fails is not one that has nothing installed', async () => {
  expect(await refusalFrom(() => missing('echo locked >&2; exit 2', { installDeps: true }, ['sudo']))).toBe(
    '2: dpkg-query does not tell which packages are installed; repair it or install them: locked',
  );
});
