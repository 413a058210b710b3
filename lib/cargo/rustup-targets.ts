// SPDX-License-Identifier: Apache-2.0

/** The Rust standard libraries of the targets that a build needs. */

import { statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { Runner } from '../build-env.ts';
import { isUnknown, mark, refuseOrNote } from '../cli/unknowns.ts';
import { describeError, InterruptedError, MissingTool, oneLine, shown, usageError } from '../errors.ts';
import { namesIn } from '../fs/paths.ts';
import { type Command, cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import type { Toolchain } from './find-toolchain.ts';

/** In this very call rustup may install the toolchain that the checkout pins. */
const PROBE_TIMEOUT_MS = 600_000;

/**
 * Which of the targets rustup has yet to install; in a dry run perhaps a mark. The compiler that cargo starts is asked: it
 * may be another one than rustup's, which then has its own targets.
 * @throws usageError where the compiler does not respond; MissingTool where rustup cannot give it a target that it lacks
 */
export async function missingTargets(
  runner: Runner,
  toolchain: Toolchain,
  root: string,
  triples: readonly string[],
): Promise<string[]> {
  const { rustc, rustup, unknowns } = toolchain;
  if (rustc === undefined) {
    // Cargo says so better.
    unknowns?.note('rustc, which cargo compiles with, is not found');
    return unknowns === undefined ? [] : [mark('missing targets', 'rustc not found')];
  }
  const command = cmd({ cwd: root, base: toolchain.env, asInvoker: true });
  const library = await runner.probe(command`${rustc} --print target-libdir`, PROBE_TIMEOUT_MS);
  if (!library.ok || !isAbsolute(library.output)) {
    const reason = library.ok ? `it prints ${shown(library.output)}` : oneLine(library.reason);
    const text = `${rustc} cannot say where its targets are: ${reason}; check: rustc --print target-libdir`;
    refuseOrNote(unknowns, usageError(text));
    return [mark('missing targets', `${basename(rustc)} does not respond`)];
  }
  // `SYSROOT/lib/rustlib/TARGET/lib`, for this machine's target.
  const targets = resolve(library.output, '../..');
  const missing = [...new Set(triples)].filter((triple) => !hasStandardLibrary(join(targets, triple, 'lib')));
  if (missing.every(isUnknown)) return missing;
  const own = rustup === undefined ? undefined : await runner.probe(command`${rustup} which rustc`, PROBE_TIMEOUT_MS);
  if (own?.ok && isSameDirectory(resolve(targets, '../..'), resolve(own.output, '../..'))) return missing;
  const text = `${rustc}, which cargo compiles with, does not have the Rust target ${missing.join(', ')}`;
  refuseOrNote(unknowns, new MissingTool(`${text}; ${remedyText(toolchain, own)}`));
  return missing;
}

function remedyText({ rustup, settings }: Toolchain, own: ProbeResult | undefined): string {
  const add = 'install it where that Rust comes from';
  if (own === undefined || rustup === undefined) return `${add}, or take Rust from rustup (https://rustup.rs)`;
  if (!own.ok) return `${add}; rustup cannot say where its own rustc is: ${oneLine(own.reason)}`;
  const set = settings.programs.find(({ program }) => program === settings.rustc)?.source;
  const change = set === undefined ? `put ${dirname(rustup)} first on PATH` : `do without ${set}`;
  return `to use rustup's, ${oneLine(own.output)}, ${change}; else ${add}`;
}

/** A target that was removed may leave its directory. */
function hasStandardLibrary(directory: string): boolean {
  return namesIn(directory).some((name) => name.startsWith('libstd-'));
}

function isSameDirectory(...paths: readonly [string, string]): boolean {
  const [one, other] = paths.map((path) => statSync(path, { throwIfNoEntry: false }));
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
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
