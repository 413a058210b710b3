// SPDX-License-Identifier: Apache-2.0

/**
 * Whether the end of the terminal is none of the task's business (`nohup`). Node gives every signal its default action
 * at its start, so what the user has set is seen only from outside.
 */

import { textIn } from '../fs/paths.ts';
import { shellOf } from './identity.ts';

const WRITE_ONLY = 0o1;
const ACCESS_MODE = 0o3;

/** Whether SIGHUP was ignored before Node started; never where `/proc` does not tell (macOS). */
export function isHangupIgnored(parent: number = process.ppid, proc = '/proc'): boolean {
  return isIgnoredBy(shellOf(parent, proc), proc) || hasStdinOfNohup(proc);
}

/** A program that ignores SIGHUP hands that on to what it starts: a shell script or mise below nohup. */
function isIgnoredBy(pid: number | undefined, proc: string): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(textIn(`${proc}/${pid}/status`) ?? '')?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n;
}

/** GNU's nohup is replaced by what it runs. It leaves a stdin that can only be written to, unlike anything else. */
function hasStdinOfNohup(proc: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(textIn(`${proc}/self/fdinfo/0`) ?? '')?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) === WRITE_ONLY;
}
