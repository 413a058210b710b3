// SPDX-License-Identifier: Apache-2.0

/**
 * The two kinds of error. A `TaskError` is something a user can act on: it is
 * printed as one line, without a stack, and carries the exit status. Any other
 * error is a bug of ours and keeps its stack.
 */

/** Exit statuses of every task. A failed child's own status passes through unchanged. */
export const EXIT = {
  /** The operation was tried and failed. */
  failed: 1,
  /** Wrong usage or an unmet precondition: nothing was started. */
  usage: 2,
  /** A program that was there at the preflight has vanished since. */
  vanished: 127,
  /** 128 + the signal's number. */
  signalled: 128,
} as const;

export class TaskError extends Error {
  readonly exitCode: number;

  /**
   * @param message one sentence that names the value, what is allowed, and what to do next
   * @param exitCode the status that the task ends with, 1..255
   */
  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TaskError';
    this.exitCode = exitCode;
  }
}

/** Wrong usage or an unmet precondition (exit 2): raised before anything is started. */
export function usageError(message: string, options?: ErrorOptions): TaskError {
  return new TaskError(message, EXIT.usage, options);
}

/** The operation was tried and failed (exit 1, or the failed child's own status). */
export function failure(message: string, exitCode: number = EXIT.failed, options?: ErrorOptions): TaskError {
  return new TaskError(message, exitCode, options);
}

/**
 * The error as one line: its message, then the messages of its causes, each once.
 * Control characters are shown as escapes, so that a hostile value cannot move the cursor or fake a second line.
 */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  for (let at: unknown = error; at !== undefined && at !== null; at = at instanceof Error ? at.cause : undefined) {
    if (seen.has(at)) break;
    seen.add(at);
    const text = at instanceof Error ? at.message : String(at);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
  }
  return oneLine(parts.join(': '));
}

/** The text with line breaks and other control characters as visible escapes (`\n`, `\x1b`). */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    const named = ({ '\n': '\\n', '\r': '\\r', '\t': '\\t' } as Record<string, string>)[character];
    return named ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** A value as it appears in an error: quoted, on one line, shortened when it is very long. */
export function shown(value: string): string {
  const text = value.length > 120 ? `${value.slice(0, 117)}...` : value;
  return `'${oneLine(text)}'`;
}
