// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeTools } from './fake-tools.ts';
import { SUITE_ROOT } from './run-task.ts';
import { runVitest } from './run-vitest.ts';
import { temporaryDirectory } from './temporary.ts';

test('a call is logged with its arguments, directory, limit and environment; the first case that fits answers', () => {
  const tools = new FakeTools(temporaryDirectory());
  tools.add('tool', [
    { args: ['a b', ''], script: 'echo first' },
    { args: [], script: 'echo "any: $#"; exit 3' },
  ]);
  const call = (...args: string[]) =>
    spawnSync(join(tools.bin, 'tool'), args, { cwd: '/', env: tools.env({ X: 'it\'s\n"$x' }), encoding: 'utf8' });
  expect(call('a b', '', 'c')).toMatchObject({ status: 0, stdout: 'first\n' });
  expect(call('a', 'b')).toMatchObject({ status: 3, stdout: 'any: 2\n' });
  expect(tools.calls()).toMatchObject([
    { tool: 'tool', args: ['a b', '', 'c'], cwd: '/', softLimit: expect.stringMatching(/^(\d+|unlimited)$/) },
    { tool: 'tool', args: ['a', 'b'], env: { PATH: tools.bin, X: 'it\'s\n"$x' } },
  ]);
  expect(tools.lines()).toEqual(['tool a b  c', 'tool a b']);
});

describe('a call that no case expects', () => {
  const fakes = JSON.stringify(join(SUITE_ROOT, 'test/support/fake-tools.ts'));
  const temporary = JSON.stringify(join(SUITE_ROOT, 'test/support/temporary.ts'));
  const testFile = (body: string) => `
    import { spawnSync } from 'node:child_process';
    import { rmSync } from 'node:fs';
    import { afterAll, beforeAll, expect, test } from 'vitest';
    import { FakeTools } from ${fakes};
    import { temporaryDirectory } from ${temporary};
    const call = (tools, ...args) => spawnSync(tools.bin + '/tool', args, { encoding: 'utf8' }).status;
    ${body}
  `;

  test('fails the test that made the fakes, whatever it looks at itself', async () => {
    const { status, lines, stderr } = await runVitest(
      testFile(`
        const make = () => new FakeTools(temporaryDirectory()).add('tool', [{ args: ['yes'], script: ':' }]);
        test('unexpected', () => {
          const tools = make();
          expect([call(tools, 'yes'), call(tools, 'no', 'way'), call(tools)]).toEqual([0, 97, 97]);
        });
        test('expected', () => expect(call(make(), 'yes')).toBe(0));
      `),
    );
    expect(lines.at(-1)).toBe('1 passed, 1 failed, 0 skipped');
    expect(stderr).toContain('unexpected calls of fake tools:\ntool no way\ntool \n');
    expect(status).toBe(1);
  });

  test('of fakes for several tests is for whoever made them to verify', async () => {
    const { lines } = await runVitest(
      testFile(`
        let tools;
        beforeAll(() => { tools = new FakeTools().add('tool', []); });
        afterAll(() => rmSync(tools.directory, { recursive: true }));
        test('one', () => expect(call(tools, 'x')).toBe(97));
        test('two', () => expect(() => tools.verify()).toThrow('tool x'));
      `),
    );
    expect(lines.at(-1)).toBe('2 passed, 0 failed, 0 skipped');
  });
});
