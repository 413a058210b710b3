// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { isHangupIgnored } from '../../../lib/process/hangup.ts';
import { runProcess } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('F10: an ignored SIGHUP, from a made-up /proc', () => {
  let proc: string;
  beforeEach(() => {
    proc = temporaryDirectory('proc');
    mkdirSync(join(proc, 'self/fdinfo'), { recursive: true });
  });

  function parent(pid: number, program: string, ignored: string, above = 1): void {
    mkdirSync(join(proc, String(pid)));
    symlinkSync(program, join(proc, `${pid}/exe`));
    writeFileSync(join(proc, `${pid}/stat`), `${pid} (x) S ${above} 1 1 0 -1\n`);
    writeFileSync(join(proc, `${pid}/status`), `Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t${ignored}\n`);
  }

  const stdin = (flags: string) => writeFileSync(join(proc, 'self/fdinfo/0'), `pos:\t0\nflags:\t${flags}\n`);

  test.each([
    ['0000000000000001', true],
    ['0000000010001001', true],
    ['0000000000000000', false],
    ['0000000000001002', false],
  ])('a parent with %s: %s', (ignored, expected) => {
    parent(10, '/usr/bin/mise', ignored);
    expect(isHangupIgnored(10, proc)).toBe(expected);
  });

  test('Node resets what it was given, so what has started it counts', () => {
    parent(20, '/usr/bin/node', '0000000000000000', 10);
    parent(10, '/bin/bash', '0000000000000001');
    expect(isHangupIgnored(20, proc)).toBe(true);
  });

  test.each([
    ['0100001', true],
    ['0100000', false],
    ['0100002', false],
    ['02', false],
  ])('a stdin with the flags %s: %s', (flags, expected) => {
    stdin(flags);
    expect(isHangupIgnored(10, proc)).toBe(expected);
  });

  test('nothing is known without /proc', () => {
    expect(isHangupIgnored(10, join(proc, 'none'))).toBe(false);
  });
});

test('F10: a script that ignores it hands that on', async () => {
  const file = JSON.stringify(join(import.meta.dirname, '../../../lib/process/hangup.ts'));
  const module = `console.log((await import(${file})).isHangupIgnored())`;
  const said = async (script: string) => {
    const env = { NODE: process.execPath, MODULE: module };
    const start = '"$NODE" --input-type=module-typescript -e "$MODULE"; true';
    return (await runProcess('bash', ['-c', `${script} ${start}`], { cwd: '/', env })).stdout;
  };
  expect(await said("trap '' HUP;")).toBe('true\n');
  expect(await said('')).toBe('false\n');
});
