// SPDX-License-Identifier: Apache-2.0

/** The Rust standard libraries of the targets that a build needs. */

import type { Runner } from '../build-env.ts';
import { describeError, EXIT, oneLine, TaskError, usageError } from '../errors.ts';
import { type Command, command } from '../process/command.ts';
import { certainlyHasTargets } from '../rust-toolchain.ts';
import { MissingTool, type Toolchain } from './toolchain.ts';

const PROBE_TIMEOUT_MS = 30_000;

/**
 * Which of the targets rustup has yet to install, in the checkout's toolchain.
 * Without rustup nobody can tell (a distribution's Rust): then none, and cargo has the word.
 *
 * @throws usageError with rustup's own words when it cannot answer
 */
export async function missingTargets(
  runner: Runner,
  toolchain: Toolchain,
  root: string,
  triples: readonly string[],
): Promise<string[]> {
  if (!toolchain.hasRustup) return [];
  const cargo = command([...toolchain.prefix, 'cargo'], { cwd: root, asInvoker: true });
  if (await certainlyHasTargets(runner.environmentOf(cargo), root, triples)) return [];
  const question = command([...toolchain.prefix, 'rustup', 'target', 'list', '--installed'], { cwd: root });
  const answer = await runner.probe(question, PROBE_TIMEOUT_MS);
  if (!answer.ok) {
    throw usageError(`rustup cannot list the installed targets: ${oneLine(answer.reason)}; check: rustup show`);
  }
  const installed = new Set(answer.output.split('\n'));
  return [...new Set(triples)].filter((triple) => !installed.has(triple));
}

/** The command that installs targets. */
export function addTargets(toolchain: Toolchain, root: string, triples: readonly string[]): Command {
  return command([...toolchain.prefix, 'rustup', 'target', 'add', ...triples], { cwd: root });
}

/**
 * Installs targets.
 *
 * @throws MissingTool naming the targets: without them cargo fails later, in other words (E0463); a signal ends the task as it does everywhere
 */
export async function installTargets(runner: Runner, add: Command): Promise<void> {
  try {
    await runner.run(add);
  } catch (error) {
    if (error instanceof TaskError && error.exitCode > EXIT.signalled) throw error;
    throw new MissingTool(`a Rust target that the build needs could not be installed (${describeError(error)})`);
  }
}
