// SPDX-License-Identifier: Apache-2.0

/** The Rust standard libraries of the targets that a build needs. */

import type { Runner } from '../build-env.ts';
import { describeError, InterruptedError, oneLine, usageError } from '../errors.ts';
import { type Command, cmd } from '../process/command.ts';
import { MissingTool, type Toolchain } from './toolchain.ts';

const PROBE_TIMEOUT_MS = 30_000;

/**
 * Which of the targets rustup has yet to install, in the checkout's toolchain. Without rustup (a distribution's Rust)
 * that is unknown: none counts as missing, and cargo decides.
 * @throws usageError with rustup's reason when it fails
 */
export async function missingTargets(
  runner: Runner,
  toolchain: Toolchain,
  root: string,
  triples: readonly string[],
): Promise<string[]> {
  if (!toolchain.hasRustup) return [];
  const list = cmd({ cwd: root, base: toolchain.env, asInvoker: true })`rustup target list --installed`;
  const result = await runner.probe(list, PROBE_TIMEOUT_MS);
  if (!result.ok) {
    throw usageError(`rustup cannot list the installed targets: ${oneLine(result.reason)}; check: rustup show`);
  }
  const installed = new Set(result.output.split('\n'));
  return [...new Set(triples)].filter((triple) => !installed.has(triple));
}

export function addTargets(toolchain: Toolchain, root: string, triples: readonly string[]): Command {
  return cmd({ cwd: root, base: toolchain.env, asInvoker: true })`rustup target add ${triples}`;
}

/** @throws MissingTool naming the targets: without them cargo fails later, less clearly (E0463) */
export async function installTargets(runner: Runner, add: Command): Promise<void> {
  try {
    await runner.run(add);
  } catch (error) {
    if (error instanceof InterruptedError) throw error;
    throw new MissingTool(`a Rust target that the build needs could not be installed (${describeError(error)})`);
  }
}
