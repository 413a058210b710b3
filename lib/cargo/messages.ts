// SPDX-License-Identifier: Apache-2.0

/**
 * What cargo says it has built, from `--message-format=json-render-diagnostics`
 * (https://doc.rust-lang.org/cargo/reference/external-tools.html). Paths are cargo's, never guessed.
 */

import { parseTable } from '../fs/parse-json.ts';

export const MESSAGE_FORMAT = '--message-format=json-render-diagnostics';

export interface CargoReport {
  /** Paths of the executables of a binary, one for each `--target`. */
  executablesOf(binary: string): readonly string[];
  /** Crates compiled in this run, and all crates of the build. */
  readonly compiled: number;
  readonly total: number;
}

interface ArtifactMessage {
  readonly reason?: string;
  readonly executable?: string | null;
  readonly fresh?: boolean;
  readonly target?: { readonly name?: string; readonly kind?: readonly string[] };
}

/** Reads cargo's stdout; other lines (of a tool that prints more) are skipped. */
export function readCargoMessages(stdout: string): CargoReport {
  const artifacts = stdout.split('\n').flatMap((line) => {
    const message = line.startsWith('{') ? (parseTable(line) as ArtifactMessage | undefined) : undefined;
    return message?.reason === 'compiler-artifact' ? [message] : [];
  });
  return {
    executablesOf: (binary) =>
      artifacts.flatMap(({ target, executable }) =>
        target?.name === binary && target.kind?.includes('bin') && typeof executable === 'string' ? [executable] : [],
      ),
    compiled: artifacts.filter((message) => message.fresh === false).length,
    total: artifacts.length,
  };
}
