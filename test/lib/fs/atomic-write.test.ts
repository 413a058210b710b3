// SPDX-License-Identifier: Apache-2.0
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { failure } from '../../../lib/errors.ts';
import { copyWhole, replaceWhole, sweepTemporary, writeWhole } from '../../../lib/fs/atomic-write.ts';
import { onlyRoot, requireTools } from '../../support/real-tools.ts';
import { runProcess, SUITE_ROOT } from '../../support/run-task.ts';
import { refusalOf, taskErrorOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = temporaryDirectory();
  path = join(directory, 'file');
});

const modeOf = (file: string) => (statSync(file).mode & 0o7777).toString(8);
const OLD = new Date('2001-01-01T00:00:00Z');

/** The two ways to bring a text into a file. */
const WAYS = [
  ['writeWhole', (text: string, mode: number) => writeWhole(path, text, mode)],
  [
    'copyWhole',
    (text: string, mode: number) => {
      const source = join(temporaryDirectory(), 'source');
      writeFileSync(source, text);
      return copyWhole(source, path, mode);
    },
  ],
] as const;

describe.each(WAYS)('%s', (_, put) => {
  test('makes the file and its directories', () => {
    path = join(directory, 'a/b c/file');
    expect(put('text\n', 0o644)).toBe('written');
    expect(readFileSync(path, 'utf8')).toBe('text\n');
    expect(readdirSync(join(directory, 'a/b c'))).toEqual(['file']);
  });

  test.each([0o600, 0o644, 0o755])('the mode is %o, whatever the umask', (mode) => {
    const before = process.umask(0o077);
    try {
      put('text', mode);
      expect(modeOf(path)).toBe(mode.toString(8));
      process.umask(0);
      put('other', mode);
      expect(modeOf(path)).toBe(mode.toString(8));
    } finally {
      process.umask(before);
    }
  });

  test('unchanged content keeps inode and time, and gets the mode', () => {
    put('text', 0o644);
    utimesSync(path, OLD, OLD);
    const { ino } = statSync(path);
    expect(put('text', 0o755)).toBe('unchanged');
    expect(statSync(path)).toMatchObject({ ino, mtime: OLD });
    expect(modeOf(path)).toBe('755');
  });

  test.each(['texu', 'tex', 'text\n', ''])('other content, here %j, is a new file in one step', (text) => {
    put('text', 0o644);
    linkSync(path, join(directory, 'still open elsewhere'));
    expect(put(text, 0o644)).toBe('written');
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(readFileSync(join(directory, 'still open elsewhere'), 'utf8')).toBe('text');
    expect(readdirSync(directory)).toEqual(['file', 'still open elsewhere']);
  });

  test.each(['same', 'other'])(
    'a link is replaced by a file, what it points at (%s content) is not touched',
    (content) => {
      const victim = join(directory, 'victim');
      writeFileSync(victim, content, { mode: 0o600 });
      symlinkSync(victim, path);
      expect(put('same', 0o755)).toBe('written');
      expect(lstatSync(path).isFile()).toBe(true);
      expect(readFileSync(path, 'utf8')).toBe('same');
      expect(readFileSync(victim, 'utf8')).toBe(content);
      expect(modeOf(victim)).toBe('600');
    },
  );

  test('a dangling link is replaced, and nothing appears where it points', () => {
    symlinkSync(join(directory, 'nowhere'), path);
    put('text', 0o644);
    expect(lstatSync(path).isFile()).toBe(true);
    expect(existsSync(join(directory, 'nowhere'))).toBe(false);
  });

  test('a directory in the way is an error that names it, and nothing is left over', () => {
    mkdirSync(path);
    expect(refusalOf(() => put('text', 0o644))).toMatch(
      new RegExp(
        `^1: ${path} cannot be written: .+ -> ${path}: (it is a directory|something exists there) .+ \\(E\\w+\\)$`,
      ),
    );
    expect(readdirSync(directory)).toEqual(['file']);
    expect(readdirSync(path)).toEqual([]);
  });

  test('a file in the place of the directory is an error that names the path', () => {
    const file = path;
    writeFileSync(file, '');
    path = join(file, 'below');
    expect(refusalOf(() => put('text', 0o644))).toBe(
      `1: the directory ${file} cannot be created: it is not a directory`,
    );
  });

  test('what an interrupted run of the same pid left is no obstacle', () => {
    writeFileSync(join(directory, `.file.${process.pid}.tmp`), 'half');
    put('text', 0o644);
    expect(readdirSync(directory)).toEqual(['file']);
  });
});

describe('copyWhole', () => {
  test('a source that cannot be read leaves the destination and no temporary file', () => {
    writeFileSync(path, 'before');
    mkdirSync(join(directory, 'source'));
    const source = join(directory, 'source');
    expect(() => copyWhole(source, path, 0o644)).toThrow(
      expect.objectContaining({ code: 'EISDIR', path: source }) as Error,
    );
    expect(readdirSync(directory)).toEqual(['file', 'source']);
    expect(readFileSync(path, 'utf8')).toBe('before');
  });

  test('a copy that is refused changes nothing and keeps its own error', () => {
    writeFileSync(path, 'before');
    writeFileSync(join(directory, 'source'), 'after');
    const seen: string[] = [];
    const refuse = (copy: string) => {
      seen.push(readFileSync(copy, 'utf8'));
      throw failure('not this one', 7);
    };
    const error = taskErrorOf(() => copyWhole(join(directory, 'source'), path, 0o644, refuse));
    expect(error).toMatchObject({ message: 'not this one', exitCode: 7 });
    expect(seen).toEqual(['after']);
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(directory)).toEqual(['file', 'source']);
  });

  test('a source that may only be read', () => {
    writeFileSync(join(directory, 'source'), 'text');
    chmodSync(join(directory, 'source'), 0o444);
    copyWhole(join(directory, 'source'), path, 0o755);
    expect(modeOf(path)).toBe('755');
    expect(modeOf(join(directory, 'source'))).toBe('444');
  });

  test('a destination that links to the source becomes a copy', () => {
    writeFileSync(join(directory, 'source'), 'text');
    symlinkSync('source', path);
    expect(copyWhole(join(directory, 'source'), path, 0o644)).toBe('written');
    appendFileSync(join(directory, 'source'), ' more');
    expect(readFileSync(path, 'utf8')).toBe('text');
  });
});

describe('replaceWhole', () => {
  test('what is written takes time, and appears at its end, whole', async () => {
    writeFileSync(path, 'before');
    await replaceWhole(path, 0o640, async (temporary) => {
      writeFileSync(temporary, 'half');
      await sleep(5);
      expect(readFileSync(path, 'utf8')).toBe('before');
      appendFileSync(temporary, ' and half');
    });
    expect(readFileSync(path, 'utf8')).toBe('half and half');
    expect(modeOf(path)).toBe('640');
    expect(readdirSync(directory)).toEqual(['file']);
  });

  test('an error changes nothing, is the one to see, and leaves nothing over', async () => {
    writeFileSync(path, 'before');
    const refusing = replaceWhole(path, 0o644, async (temporary) => {
      writeFileSync(temporary, 'half');
      throw failure('not this one', 7);
    });
    await expect(refusing).rejects.toMatchObject({ message: 'not this one', exitCode: 7 });
    const failing = replaceWhole(path, 0o644, async () => void readFileSync(join(directory, 'none')));
    await expect(failing).rejects.toThrow(`${path} cannot be written`);
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(directory)).toEqual(['file']);
  });
});

describe('sweeping', () => {
  test("takes this file's leftovers and nothing else", () => {
    const kept = [
      'file',
      'file.1.tmp',
      '.file.tmp',
      '.file..tmp',
      '.file.zst.1.tmp',
      '.file.1.tmp.keep',
      '.other.1.tmp',
    ];
    for (const name of [...kept, '.file.1.tmp', '.file.4194304.tmp']) writeFileSync(join(directory, name), '');
    sweepTemporary(path);
    expect(readdirSync(directory).sort()).toEqual([...kept].sort());
  });

  test('what a live process is still writing stays', () => {
    for (const pid of [1, 2]) writeFileSync(join(directory, `.file.${pid}.tmp`), '');
    sweepTemporary(path, (pid) => pid === 2);
    expect(readdirSync(directory)).toEqual(['.file.2.tmp']);
  });

  test('a leftover that is a link goes, not what it points at', () => {
    writeFileSync(path, 'text');
    symlinkSync(path, join(directory, '.file.9.tmp'));
    expect(readlinkSync(join(directory, '.file.9.tmp'))).toBe(path);
    sweepTemporary(path);
    expect(readdirSync(directory)).toEqual(['file']);
  });

  test('no directory, nothing to do', () => {
    expect(() => sweepTemporary(join(directory, 'none/file'))).not.toThrow();
  });
});

const strace = requireTools('strace');
describe('R6: flushing, in a process where it fails', strace.options, () => {
  /** The first call flushes the file, the second one its directory. */
  const writtenWhere = (call: number, errno: string) => {
    const lib = join(SUITE_ROOT, 'lib/fs/atomic-write.ts');
    const script = `import { writeWhole } from ${JSON.stringify(lib)}; writeWhole(${JSON.stringify(path)}, 'text', 0o600);`;
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', `inject=fsync:error=${errno}:when=${call}`];
    const args = [...inject, process.execPath, '--input-type=module', '-e', script];
    return runProcess(strace.path('strace'), args, { cwd: directory, env: {} });
  };

  test.each(['EINVAL', 'EOPNOTSUPP', 'EBADF', 'EIO'])(
    'the directory (%s): the file is there all the same',
    async (errno) => {
      expect(await writtenWhere(2, errno)).toMatchObject({ status: 0, stderr: '' });
      expect(readFileSync(path, 'utf8')).toBe('text');
    },
  );

  test.each(['EIO', 'ENOSPC'])('the file (%s): an error, and nothing is left', async (errno) => {
    const result = await writtenWhere(1, errno);
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(new RegExp(`TaskError: ${path} cannot be written`));
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a directory that may be written and not read', onlyRoot(strace.options), async () => {
    const script = `chmod 300 . && exec setpriv --bounding-set=-dac_override,-dac_read_search "$@"`;
    const lib = join(SUITE_ROOT, 'lib/fs/atomic-write.ts');
    const code = `import { writeWhole } from ${JSON.stringify(lib)}; writeWhole(${JSON.stringify(path)}, 'text', 0o600);`;
    const args = ['-c', script, 'bash', process.execPath, '--input-type=module', '-e', code];
    const env = { PATH: '/usr/bin:/bin' };
    expect(await runProcess('/bin/bash', args, { cwd: directory, env })).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(path, 'utf8')).toBe('text');
  });
});

describe('a reader in another process (fault H3)', () => {
  const SIZE = 256 * 1024;
  const WATCHER = join(import.meta.dirname, '../../support/watch-file.ts');
  const texts = ['a', 'b'].map((character) => character.repeat(SIZE));

  /** Rewrites the file while a reader looks on; gives what it saw. */
  async function watched(rewrite: (text: string) => unknown, rounds: number) {
    writeFileSync(path, texts[0] ?? '');
    const result = await runProcess(process.execPath, [WATCHER, path, String(SIZE)], {
      cwd: directory,
      env: {},
      onStart: (child) =>
        child.stdout?.once('data', async () => {
          for (let round = 1; round <= rounds; round++) {
            await rewrite(texts[round % 2] ?? '');
            await sleep(0);
          }
          writeFileSync(`${path}.stop`, '');
        }),
    });
    return JSON.parse(result.stdout.split('\n')[1] ?? '') as { whole: number; partial: number; missing: number };
  }

  test('never sees a missing or half-written file during 200 rewrites', async () => {
    const source = join(directory, 'source');
    let turn = 0;
    const seen = await watched((text) => {
      if (turn++ % 2 === 0) return expect(writeWhole(path, text, 0o755)).toBe('written');
      writeFileSync(source, text);
      expect(copyWhole(source, path, 0o755)).toBe('written');
    }, 200);
    expect(seen).toMatchObject({ partial: 0, missing: 0 });
    expect(seen.whole).toBeGreaterThan(100);
    expect(turn).toBe(200);
  });

  test('would see what unlink and create does', async () => {
    const seen = await watched(async (text) => {
      rmSync(path);
      await sleep(2);
      writeFileSync(path, text.slice(0, SIZE / 2));
      await sleep(2);
      appendFileSync(path, text.slice(SIZE / 2));
    }, 50);
    expect(seen.missing).toBeGreaterThan(0);
    expect(seen.partial).toBeGreaterThan(0);
  });
});
