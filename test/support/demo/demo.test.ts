// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { Signals } from '../../../lib/process/signals.ts';
import { makeMiniature } from '../miniature.ts';
import { requireTools } from '../real-tools.ts';
import { temporaryDirectory } from '../temporary.ts';
import { shortened, shownLines } from './run.ts';
import { dieUnguarded, linkGuarded, type Stage } from './scenes.ts';

describe('the output that is shown', () => {
  test('the generated crates are a count', () => {
    const shown: string[] = [];
    const show = shownLines((line) => shown.push(line));
    for (let number = 1; number <= 250; number++) show(`   Compiling wide-${String(number).padStart(4, '0')} v1.0.0`);
    show('');
    show('   Compiling openshell-sandbox v0.0.0');
    expect(shown).toEqual([
      '   Compiling the generated crates: 100',
      '   Compiling the generated crates: 200',
      '   Compiling openshell-sandbox v0.0.0',
    ]);
  });

  test('a long line keeps its end, where the reason stands', () => {
    const line = `error: ${'x'.repeat(10_000)}: ProcessFdQuotaExceeded`;
    expect(shortened(line)).toMatch(/^error: x+\.\.\.x+: ProcessFdQuotaExceeded$/);
    expect(shortened(line)).toHaveLength(160);
    expect(shortened('x'.repeat(160))).toBe('x'.repeat(160));
  });
});

const tools = requireTools('cargo', 'zig', 'zigbuild', process.arch === 'arm64' ? 'musl-aarch64' : 'musl-x86_64');

describe('a demo in which something is off fails', tools.options, () => {
  /** The stage of the demo, with a link that is not wide and so does not die. */
  function narrowStage(): Stage & { lines: string[] } {
    const lines: string[] = [];
    const sink = { write: (text: string | Uint8Array) => lines.push(String(text)) };
    const signals = new Signals();
    signals.listen();
    onTestFinished(() => signals.stop());
    const miniature = makeMiniature({ at: join(temporaryDirectory(), 'openshell') });
    return { terminal: new Terminal(sink, sink, {}), signals, env: tools.env, miniature, lines };
  }

  test('an unguarded run that links', async () => {
    await expect(dieUnguarded(narrowStage())).rejects.toThrow(/^the unguarded run did not die: it linked under/);
  }, 180_000);

  test('an unguarded run that dies of something else, and a guarded one that dies', async () => {
    const stage = narrowStage();
    const broken = { ...stage, env: { ...stage.env, SUPERVISOR_LIBC: 'diet' } };
    const reason = /^the unguarded run died with status 2, but not of ProcessFdQuotaExceeded: error: SUPERVISOR_LIBC/;
    await expect(dieUnguarded(broken)).rejects.toThrow(reason);
    await expect(linkGuarded(broken)).rejects.toThrow('the guarded run failed with status 2, see above');
    expect(stage.lines.join('')).toContain('error: SUPERVISOR_LIBC');
  });
});
