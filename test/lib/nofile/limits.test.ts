// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { ownLimits, shellSoftLimit } from '../../../lib/nofile/limits.ts';
import { requireThing } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe("the limit of the user's shell, from a made-up /proc", () => {
  let proc: string;
  beforeEach(() => {
    proc = temporaryDirectory('proc');
  });

  /** A process; `soft` is the text in its limits file. */
  function process(pid: number, parent: number, program: string, soft: string): void {
    const directory = join(proc, String(pid));
    mkdirSync(directory);
    symlinkSync(program, join(directory, 'exe'));
    writeFileSync(join(directory, 'stat'), `${pid} (a) ) name) S ${parent} 1 1 0 -1\n`);
    writeFileSync(
      join(directory, 'limits'),
      'Limit                     Soft Limit           Hard Limit           Units     \n' +
        'Max processes             111                  222                  processes \n' +
        `Max open files            ${soft.padEnd(20)} 1048576              files     \n` +
        'Max locked memory         333                  444                  bytes     \n',
    );
  }

  test('that of the parent, where it is not Node', () => {
    process(10, 1, '/bin/zsh', '256');
    expect(shellSoftLimit(proc, 10)).toBe(256);
  });

  test('Node and npm between are passed over, the first that is neither counts', () => {
    process(30, 20, '/opt/node-v24/bin/node', '1048576');
    process(20, 15, '/usr/bin/nodejs', '1048576');
    process(15, 10, '/usr/bin/node (deleted)', '1048576');
    process(10, 5, '/bin/bash', '4096');
    process(5, 1, '/usr/bin/sshd', '1024');
    expect(shellSoftLimit(proc, 30)).toBe(4096);
  });

  test('a directory called node does not make a program Node', () => {
    process(10, 1, '/home/node/bin/fish', '512');
    expect(shellSoftLimit(proc, 10)).toBe(512);
  });

  test('AL-5: another hard limit than that of the parent is one that the task was given', () => {
    process(10, 1, '/usr/lib/systemd/systemd', '1024');
    const of = (hard: string) => {
      rmSync(join(proc, 'self'), { recursive: true, force: true });
      mkdirSync(join(proc, 'self'));
      writeFileSync(
        join(proc, 'self/limits'),
        `Max open files            20000                ${hard}              files\n`,
      );
      return shellSoftLimit(proc, 10);
    };
    expect([of('20000'), of('1048576')]).toEqual([20_000, 1024]);
  });

  test('unlimited', () => {
    process(10, 1, '/bin/bash', 'unlimited');
    expect(shellSoftLimit(proc, 10)).toBe(Number.POSITIVE_INFINITY);
  });

  test('what cannot be read is unknown: no /proc, a program or a limit that may not be seen, Node up to the top', () => {
    expect(shellSoftLimit(join(proc, 'none'), 10)).toBeUndefined();
    expect(shellSoftLimit(proc, 10)).toBeUndefined();
    process(10, 1, '/bin/bash', '256');
    rmSync(join(proc, '10/exe'));
    expect(shellSoftLimit(proc, 10)).toBeUndefined();
    process(20, 1, '/bin/bash', '256');
    rmSync(join(proc, '20/limits'));
    expect(shellSoftLimit(proc, 20)).toBeUndefined();
    process(30, 1, '/bin/bash', 'garbage');
    expect(shellSoftLimit(proc, 30)).toBeUndefined();
    process(40, 1, '/usr/bin/node', '256');
    expect(shellSoftLimit(proc, 40)).toBeUndefined();
    process(50, 0, '/usr/bin/node', '256');
    expect(shellSoftLimit(proc, 50)).toBeUndefined();
    expect(shellSoftLimit(proc, 0)).toBeUndefined();
  });

  test('a circle of parents ends', () => {
    process(10, 11, '/usr/bin/node', '256');
    process(11, 10, '/usr/bin/node', '256');
    expect(shellSoftLimit(proc, 10)).toBeUndefined();
  });
});

describe('the own limits', () => {
  const limitOf = (flag: string) => {
    const text = execFileSync('bash', ['--norc', '-c', `ulimit ${flag}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    return text.toString().trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
  };

  test('are what a child inherits', () => {
    expect(ownLimits()).toEqual({ soft: limitOf('-Sn'), hard: limitOf('-Hn') });
  });

  test('the way of macOS, through the report, gives the same here', () => {
    expect(ownLimits('darwin')).toEqual({ soft: limitOf('-Sn'), hard: limitOf('-Hn') });
  });

  test('a real ancestor has a limit', requireThing('/proc', existsSync('/proc/self/limits')), () => {
    expect(shellSoftLimit()).toBeGreaterThan(0);
  });
});
