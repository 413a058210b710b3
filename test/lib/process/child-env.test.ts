// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { insideMise, misePrefixOf, parseMiseEnvironment, programName } from '../../../lib/process/child-env.ts';
import { command } from '../../../lib/process/command.ts';
import { refusalOf } from '../../support/task-errors.ts';

const here = { cwd: '/c', env: { A: '1' } };

test.each([
  [['cargo', 'build'], [], 'cargo'],
  [['/usr/bin/cargo', 'build', '--', 'x'], [], 'cargo'],
  [['mise', 'x', '--', '/opt/cargo', 'build'], ['mise', 'x', '--'], 'cargo'],
  [['/opt/mise', 'exec', 'zig@0.14.1', '--', 'zig'], ['/opt/mise', 'exec', 'zig@0.14.1', '--'], 'zig'],
  [['mise', 'env', '--json'], [], 'mise'],
])('%j', (words, prefix, program) => {
  expect(misePrefixOf(command(words, here))).toEqual(prefix);
  expect(programName(command(words, here))).toBe(program);
});

test('variables reach the program, whatever mise sets', () => {
  const env = { A: '1', B: '', C: undefined };
  const plain = command(['cargo', 'build'], { ...here, env });
  expect(insideMise(plain, { B: 'x', C: 'y' })).toBe(plain);
  const behind = command(['mise', 'x', '--', 'cargo', 'build'], { ...here, env });
  expect(insideMise(behind, { B: 'x', C: 'y' }).argv).toEqual([
    ...['mise', 'x', '--', 'env', '-u', 'C', 'B=', 'cargo', 'build'],
  ]);
  expect(insideMise(behind, { D: 'x' })).toBe(behind);
});

test('the answer of mise is a table of texts, or an error', () => {
  expect(parseMiseEnvironment('{"A": "1", "B": ""}')).toEqual({ A: '1', B: '' });
  for (const answer of ['', 'export A=1', 'null', '{"A": 1}', '[1]']) {
    expect(refusalOf(() => parseMiseEnvironment(answer))).toContain('2: mise env --json answers');
  }
});
