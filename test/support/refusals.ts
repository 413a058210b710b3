// SPDX-License-Identifier: Apache-2.0

/**
 * File systems that refuse, for real: each run of a task has mounts of its own, in which the directory of the test is a
 * copy in memory, so that whatever is done to it ends with the run.
 */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bashQuote } from './fake-tools.ts';
import { runProcess, SUITE_ROOT, type TaskResult } from './run-task.ts';
import { temporaryDirectory } from './temporary.ts';

/** A way to refuse what is written at a place. */
export interface Refusal {
  /** Bash that brings it about, from the file and the directory that it is in. */
  readonly script: (file: string, directory: string) => string;
  /** Whether the file counts, and not only its directory. */
  readonly isOfFile?: boolean;
  /** Whether root may not write where the mode forbids it. */
  readonly isUnprivileged?: boolean;
}

export const REFUSALS: Readonly<Record<string, Refusal>> = {
  'read-only': { script: (_, at) => `mkdir -p ${at}; mount --bind ${at} ${at}; mount -o remount,bind,ro ${at}` },
  full: {
    script: (_, at) => `mkdir -p ${at}; mount -t tmpfs -o size=4k none ${at}; head -c 9999 /dev/zero > ${at}/x || :`,
  },
  'without inodes': { script: (_, at) => `mkdir -p ${at}; mount -t tmpfs -o nr_inodes=2 none ${at}; : > ${at}/x` },
  'a file where a directory is wanted': {
    script: (_, at) => `rm -rf ${at}; mkdir -p "$(dirname ${at})"; : > ${at}`,
  },
  'a directory where a file is wanted': { script: (file) => `rm -rf ${file}; mkdir -p ${file}/x`, isOfFile: true },
  'not permitted': { script: (_, at) => `mkdir -p ${at}; chmod 555 ${at}`, isUnprivileged: true },
  immutable: { script: (_, at) => `mkdir -p ${at}; chattr +i ${at}` },
};

/** The bash of a refusal, with the system's programs, and quiet about them. */
export function refusalScript(name: string, file: string, directory: string): string {
  const script = REFUSALS[name]?.script(bashQuote(file), bashQuote(directory));
  return `(set -e; PATH=/usr/sbin:/usr/bin:/sbin:/bin; ${script}) 2>/dev/null`;
}

/** A task over fakes, all of them in one directory. */
export interface Place {
  readonly directory: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Another copy of the suite. */
  readonly suite?: string;
}

/** Runs a task with mounts of its own, and before it a script. */
export async function runApart(
  place: Place,
  task: string,
  args: readonly string[],
  { before = '', isUnprivileged = false, env = {} }: { before?: string; isUnprivileged?: boolean; env?: object } = {},
): Promise<TaskResult & { readonly written: readonly string[] }> {
  const scratch = temporaryDirectory();
  const copy = join(scratch, 'copy');
  mkdirSync(copy);
  const list = (name: string) => `find ${place.directory} -type f -printf '%p\\n' | sort > ${join(scratch, name)}`;
  const drop = isUnprivileged ? '/usr/bin/setpriv --bounding-set=-dac_override,-dac_read_search ' : '';
  const script = `
fakes=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -e
mount -t tmpfs none ${copy}
cp -a ${place.directory}/. ${copy}
# A copy of a socket has no listener.
for socket in $(find ${place.directory} -type s); do mount --bind "$socket" ${copy}"\${socket#${place.directory}}"; done
mount --rbind ${copy} ${place.directory}
cd ${bashQuote(place.cwd)}
${before}
${list('before')}
set +e
PATH=$fakes ${drop}"$@"
status=$?
${list('after')}
exit $status`;
  const argv = [
    '-m',
    '/bin/bash',
    '-c',
    script,
    'bash',
    process.execPath,
    join(place.suite ?? SUITE_ROOT, 'tasks', `${task}.ts`),
  ];
  const result = await runProcess('/usr/bin/unshare', [...argv, ...args], {
    cwd: place.cwd,
    env: { ...place.env, ...env },
  });
  const [old, now] = ['before', 'after'].map((name) => readFileSync(join(scratch, name), 'utf8').split('\n'));
  return { ...result, written: (now ?? []).filter((path) => path !== '' && !old?.includes(path)) };
}
