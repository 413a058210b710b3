// SPDX-License-Identifier: Apache-2.0

/** The kinds of error: what a user can act on, what the machine says, each one line; any other is a bug of ours. */

import { constants } from 'node:os';

/** Exit statuses of every task; `vanished` is that of a program since the preflight, and a failed child's is its own. */
export const EXIT = { failed: 1, usage: 2, vanished: 127 } as const;

export class TaskError extends Error {
  readonly exitCode: number;

  /** @param message one sentence that names the value, what is allowed, and what to do next */
  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TaskError';
    this.exitCode = exitCode;
  }
}

/** A signal to the task itself (exit 128+n). A child that ends with such a status is only a failed child. */
export class InterruptedError extends TaskError {
  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`, statusOfSignal(signal));
    this.name = 'InterruptedError';
  }
}

export function statusOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Wrong usage or an unmet precondition (exit 2): raised before anything is started. */
export function usageError(message: string, options?: ErrorOptions): TaskError {
  return new TaskError(message, EXIT.usage, options);
}

/** The operation was tried and failed. */
export function failure(message: string, exitCode: number = EXIT.failed, options?: ErrorOptions): TaskError {
  return new TaskError(message, exitCode, options);
}

/** Whether an error is one that a task reports and may go on from: neither a signal to it nor a bug of ours. */
export function isFailure(error: unknown): error is TaskError {
  return error instanceof TaskError && !(error instanceof InterruptedError);
}

/** What is needed and this machine does not have, such as a tool of a build (exit 2). */
export class MissingTool extends TaskError {
  /** @param miseProblem why mise, which may have the tool, could not be used */
  constructor(message: string, miseProblem?: string) {
    super(miseProblem === undefined ? message : `${message}; ${miseProblem}`, EXIT.usage);
  }
}

/** The code of an error of the operating system, such as `ENOENT`; `undefined` for any other error. */
export function errnoOf(error: unknown): string | undefined {
  // Some functions of Node have codes of their own (`ERR_FS_EISDIR`), and keep the system's beside them.
  const { code, syscall, info } = (error ?? {}) as NodeJS.ErrnoException & { readonly info?: { code?: string } };
  return error instanceof Error && syscall !== undefined ? (info?.code ?? code) : undefined;
}

/** Gives errors that path: the system tells it only of a file that cannot be opened, not read or written. */
export function naming<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw named(path, error);
  }
}

export function named(path: string, error: unknown): unknown {
  if (errnoOf(error) !== undefined) (error as NodeJS.ErrnoException).path ??= path;
  return error;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission is denied; check its owner and mode',
  EDQUOT: 'the disk quota is used up; free some space',
  EEXIST: 'something exists there already; remove it',
  EIO: 'the device reports an error; check the disk',
  EISDIR: 'it is a directory where a file is wanted; remove it',
  ELOOP: 'too many symbolic links; check where they lead',
  EMFILE: 'this process has too many open files; raise the limit (ulimit -n)',
  ENAMETOOLONG: 'the name is too long; use a shorter path',
  ENOENT: 'it does not exist',
  ENOSPC: 'no space is left on the device; free some',
  ENOTDIR: 'a part of the path is not a directory',
  EPERM: 'the operation is not permitted; check its owner and flags',
  EROFS: 'the file system is read-only; use another directory',
};

/** The reason and the next step for a code of the operating system: `it does not exist (ENOENT)`. */
export function reasonText(code: string, otherwise = ''): string {
  return `${REASONS[code] ?? otherwise} (${code})`;
}

/** An error of the operating system as one sentence; `undefined` for any other. */
export function machineErrorText(error: unknown): string | undefined {
  const code = errnoOf(error);
  if (code === undefined) return undefined;
  const { path, dest, syscall, message } = error as NodeJS.ErrnoException & { readonly dest?: unknown };
  // Of an error of `rmSync` that Node does not know, such as a busy device, it tells no code.
  const said = code === '' ? message : reasonText(code, message);
  // Of two paths (a copy, a rename, a link) the system does not say which one is meant.
  const places = [path, dest].filter((place) => typeof place === 'string' && place !== '');
  return oneLine(`${places.join(' -> ') || `a call of ${syscall}`}: ${said}`);
}

/** The package whose absence an error tells, such as `zx`; `undefined` for any other error, a missing file of ours too. */
export function missingPackage(error: unknown): string | undefined {
  const { code, message } = (error ?? {}) as NodeJS.ErrnoException;
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') return undefined;
  return /^Cannot find (?:module|package) '([^'./][^'/]*)/.exec(message)?.[1];
}

/** The error as one line: its message, then the messages of its causes, each once. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at != null; at = at instanceof Error ? at.cause : undefined) {
    const text = machineErrorText(at) ?? (at instanceof Error ? at.message : String(at));
    if (!parts.some((part) => part.includes(text))) parts.push(text);
  }
  return oneLine(parts.join(': '));
}

/** What breaks a line, moves the cursor, or shows the text after it in another order. */
export const CONTROL_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The text with control characters as visible escapes: a hostile value cannot move the cursor or fake a second line. */
export function oneLine(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) => {
    const named = ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' } as Record<string, string>)[character];
    const code = character.charCodeAt(0).toString(16);
    return named ?? (code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`);
  });
}

/** A value as it appears in an error: quoted, on one line, shortened when it is very long. */
export function shown(value: string): string {
  const text = value.length > 120 ? `${value.slice(0, 117)}...` : value;
  return `'${oneLine(text)}'`;
}
