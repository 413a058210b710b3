// SPDX-License-Identifier: Apache-2.0

/** What cargo says about the workspace: its target directory, and which package has which features. */

import type { Runner } from '../build-env.ts';
import type { Environment } from '../cli/env.ts';
import { command } from '../process/command.ts';
import type { Toolchain } from './toolchain.ts';

export interface PackageFacts {
  readonly name: string;
  readonly features: ReadonlySet<string>;
  /** Names of its dependencies, as the package calls them. */
  readonly dependencies: ReadonlySet<string>;
}

export interface Workspace {
  /** Absolute; `CARGO_TARGET_DIR` and cargo's configuration are honoured. */
  readonly targetDirectory: string;
  readonly packages: readonly PackageFacts[];
}

interface Metadata {
  readonly target_directory: string;
  readonly packages: readonly {
    readonly name: string;
    readonly features: Readonly<Record<string, unknown>>;
    readonly dependencies: readonly { readonly name: string; readonly rename: string | null }[];
  }[];
}

/**
 * Asks `cargo metadata` (format 1, without dependencies: no network, no lock file needed).
 *
 * @throws TaskError with cargo's status
 */
export async function readWorkspace(
  runner: Runner,
  toolchain: Toolchain,
  root: string,
  env: Environment,
): Promise<Workspace> {
  const words = [...toolchain.prefix, 'cargo', 'metadata', '--format-version', '1', '--no-deps'];
  return parseMetadata(await runner.cargo(command(words, { cwd: root, env })));
}

/** Reads the answer of `cargo metadata`. */
export function parseMetadata(text: string): Workspace {
  const metadata = JSON.parse(text.slice(Math.max(0, text.indexOf('{')))) as Metadata;
  return {
    targetDirectory: metadata.target_directory,
    packages: metadata.packages.map((entry) => ({
      name: entry.name,
      features: new Set(Object.keys(entry.features)),
      dependencies: new Set(entry.dependencies.map((dependency) => dependency.rename ?? dependency.name)),
    })),
  };
}
