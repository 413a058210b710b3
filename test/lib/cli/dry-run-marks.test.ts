// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { asDryRun, findOrMark, isUnknown, mark, refuseOrNote, Unknowns } from '../../../lib/cli/dry-run-marks.ts';
import { MissingTool, usageError } from '../../../lib/errors.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';

const missing = new MissingTool('cargo is not on PATH');

describe('marks', () => {
  test.each([
    [mark('architecture', 'docker not reachable'), true],
    [`/x/${mark('architecture', 'docker not reachable')}/y`, true],
    ['<openshell-gateway>', false],
    ['<digest of gateway>', false],
    ['amd64', false],
    [undefined, false],
  ])('%s: %j', (text, expected) => {
    expect(isUnknown(text)).toBe(expected);
  });
});

describe('what is missing', () => {
  test('is an error outside of a dry run', async () => {
    expect(() => refuseOrNote(undefined, missing)).toThrow(missing);
    await expect(findOrMark(undefined, () => Promise.reject(missing), 'mark')).rejects.toBe(missing);
  });

  test('is noted in a dry run; any other error stays one', async () => {
    const unknowns = new Unknowns();
    expect(unknowns.isEmpty).toBe(true);
    expect(await findOrMark(unknowns, () => Promise.reject(missing), 'mark')).toBe('mark');
    expect(await findOrMark(unknowns, async () => 'found', 'mark')).toBe('found');
    await expect(findOrMark(unknowns, () => Promise.reject(usageError('wrong')), 'mark')).rejects.toThrow('wrong');
    refuseOrNote(unknowns, new MissingTool('no docker'));
    expect(unknowns.lines()).toEqual([
      '# <WHAT: WHY> stands for what could not be probed here: cargo is not on PATH; no docker',
    ]);
  });
});

describe('the result of a dry run', () => {
  test('begins with the explanation, once, and only where something is unknown', () => {
    const known = inProcess(fakeTools());
    asDryRun(known).terminal.result('plan');
    expect(known.screen.stdout()).toBe('plan\n');
    const ctx = inProcess(fakeTools());
    const { terminal, unknowns } = asDryRun(ctx);
    unknowns.note('why');
    terminal.result('plan');
    terminal.result('more');
    expect(ctx.screen.stdout()).toBe('# <WHAT: WHY> stands for what could not be probed here: why\nplan\nmore\n');
  });
});
