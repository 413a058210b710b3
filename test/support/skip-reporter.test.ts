// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SUITE_ROOT } from './run-task.ts';
import { runVitest } from './run-vitest.ts';
import { closingLines, type TestEnd } from './skip-reporter.ts';

describe('the closing lines', () => {
  const passed: TestEnd = { state: 'passed' };
  const skipped = (...missingTools: string[]): TestEnd => ({ state: 'skipped', missingTools });

  test('counts stand alone when nothing was skipped', () => {
    expect(closingLines([passed, passed, { state: 'failed' }], 0)).toEqual(['2 passed, 1 failed, 0 skipped']);
    expect(closingLines([], 0)).toEqual(['0 passed, 0 failed, 0 skipped']);
  });

  test('a failure outside a test is counted as one that failed', () => {
    expect(closingLines([passed], 2)).toEqual(['1 passed, 2 failed, 0 skipped']);
  });

  test('MRG-10: what is missing is counted by tool, no test twice, the most wanted first', () => {
    const ends = [
      skipped('strace'),
      skipped('zig 0.14.1'),
      passed,
      skipped('zig 0.14.1', 'cmake'),
      skipped('zig 0.14.1'),
    ];
    expect(closingLines(ends, 0)).toEqual([
      'skipped: 2 tests need zig 0.14.1, 1 test needs strace, 1 test needs cmake and zig 0.14.1',
      '1 passed, 0 failed, 4 skipped',
    ]);
  });

  test('MRG-10: the order of the tools and a tool named twice make no difference', () => {
    const ends = [skipped('ps', 'cc', 'pgrep'), skipped('pgrep', 'ps', 'ps', 'cc')];
    expect(closingLines(ends, 0)[0]).toBe('skipped: 2 tests need cc, pgrep and ps');
  });

  test('a skip with another reason, and one without', () => {
    const noted: TestEnd = { state: 'skipped', note: 'no ELF platform' };
    expect(closingLines([noted, skipped(), skipped()], 0)[0]).toBe(
      'skipped: 2 tests (no reason given), 1 test (no ELF platform)',
    );
  });
});

describe('at the end of a run of vitest', () => {
  const needing = (tools: string) => `
    import { describe, expect, test } from 'vitest';
    import { requireTools } from '${join(SUITE_ROOT, 'test/support/real-tools.ts')}';
    const tools = requireTools(${tools});
    describe('with tools', tools.options, () => {
      test('one', () => {});
      describe('deeper', () => { test('two', () => {}); });
    });
    test('alone', tools.options, () => { throw new Error('ran without its tools'); });
    test('needs nothing', () => {});
  `;
  // A directory without tools: whatever the machine has, this is missing.
  const withoutTools = { OPENSHELL_TASKS_TOOLS: '/nonexistent', PATH: '/nonexistent' };

  test('tests without their tool are skipped, and it is said for which', async () => {
    const { status, lines } = await runVitest(needing("'zig', 'strace'"), { CI: 'false', ...withoutTools });
    expect(lines.slice(-2)).toEqual(['skipped: 3 tests need strace and zig 0.14.1', '1 passed, 0 failed, 3 skipped']);
    expect(status).toBe(0);
  });

  test.each(['true', 'YES'])('with CI=%s a missing tool is a failure', async (CI) => {
    const { status, lines } = await runVitest(needing("'zig', 'strace'"), { CI, ...withoutTools });
    expect(lines.at(-1)).toBe('0 passed, 1 failed, 0 skipped');
    expect(status).not.toBe(0);
  });

  test('failures in tests, in hooks and at import all count', async () => {
    const text = `
      import { beforeAll, describe, test } from 'vitest';
      describe('hook', () => { beforeAll(() => { throw new Error('hook'); }); test('never', () => {}); });
      test('fails', () => { throw new Error('no'); });
      test('passes', () => {});
    `;
    const { status, lines } = await runVitest(text, {});
    expect(lines.slice(-2)).toEqual(['skipped: 1 test (no reason given)', '1 passed, 2 failed, 1 skipped']);
    expect(status).not.toBe(0);
  });
});
