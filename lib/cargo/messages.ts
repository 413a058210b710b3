// SPDX-License-Identifier: Apache-2.0

/**
 * What cargo says it has built, from `--message-format=json-render-diagnostics`
 * (https://doc.rust-lang.org/cargo/reference/external-tools.html). Paths are cargo's, never guessed.
 */

import { isTable, parseTable } from '../fs/parse-json.ts';

export const MESSAGE_FORMAT = '--message-format=json-render-diagnostics';

export interface CargoReport {
  /** Paths of the executables of a binary, one for each `--target`. */
  executablesOf(binary: string): readonly string[];
  /** Crates compiled in this run, and all crates of the build. */
  readonly compiled: number;
  readonly total: number;
}

/** The paths of all files that cargo has built, from its stdout. */
export function artifactsOfCargo(stdout: string): string[] {
  return artifactMessages(stdout).flatMap(({ filenames }) =>
    Array.isArray(filenames) ? filenames.filter((path) => typeof path === 'string') : [],
  );
}

/** Reads cargo's stdout; other lines (of a tool that prints more) are skipped. */
export function readCargoMessages(stdout: string): CargoReport {
  const artifacts = artifactMessages(stdout);
  return {
    executablesOf: (binary) =>
      artifacts.flatMap(({ target, executable }) =>
        typeof executable === 'string' && isProgram(target, binary) ? [executable] : [],
      ),
    compiled: artifacts.filter(({ fresh }) => fresh === false).length,
    total: artifacts.length,
  };
}

function artifactMessages(stdout: string): Record<string, unknown>[] {
  return stdout.split('\n').flatMap((line) => {
    const message = line.startsWith('{') ? parseTable(line) : undefined;
    return message?.reason === 'compiler-artifact' ? [message] : [];
  });
}

function isProgram(target: unknown, name: string): boolean {
  return isTable(target) && target.name === name && Array.isArray(target.kind) && target.kind.includes('bin');
}
