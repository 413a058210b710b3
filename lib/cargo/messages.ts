// SPDX-License-Identifier: Apache-2.0

/**
 * What cargo says it made, from `--message-format=json-render-diagnostics`
 * (https://doc.rust-lang.org/cargo/reference/external-tools.html). Paths are cargo's, never guessed.
 */

/** The flag that makes cargo say it. */
export const MESSAGE_FORMAT = '--message-format=json-render-diagnostics';

/** What one cargo run made. */
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

/** Reads cargo's stdout; lines that are not its messages (a tool before it that talks) are passed over. */
export function readCargoMessages(stdout: string): CargoReport {
  const artifacts = stdout.split('\n').flatMap((line) => artifactOf(line));
  return {
    executablesOf: (binary) =>
      artifacts.flatMap(({ target, executable }) =>
        target?.name === binary && target.kind?.includes('bin') && typeof executable === 'string' ? [executable] : [],
      ),
    compiled: artifacts.filter((message) => message.fresh === false).length,
    total: artifacts.length,
  };
}

function artifactOf(line: string): ArtifactMessage[] {
  if (!line.startsWith('{')) return [];
  try {
    const message = JSON.parse(line) as ArtifactMessage;
    return message.reason === 'compiler-artifact' ? [message] : [];
  } catch {
    return [];
  }
}
