// SPDX-License-Identifier: Apache-2.0

/** The zig wrappers for callers outside the suite: shell scripts that eval, and GitHub workflows. */

import { randomUUID } from 'node:crypto';
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { readPath } from '../cli/env.ts';
import { findOrMark } from '../cli/unknowns.ts';
import { naming, shown, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import { absolutePath, textIn } from '../fs/paths.ts';
import { files, verifyPlaces } from '../fs/writable-places.ts';
import { shellQuote } from '../process/command.ts';
import { removeStaleCmakeCaches } from './cmake-cache.ts';
import { findZig } from './find-toolchain.ts';
import { readCargoSettings, targetDirectoryOf } from './settings.ts';
import { bareTarget, writeZigWrapper, zigWrapper } from './zig-cc.ts';

/** A target triple, with or without a glibc version. It is a part of file names and scripts. */
const TARGET = /^[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)+(?:\.[0-9]+\.[0-9]+)?$/;

/**
 * Writes the wrappers, removes cmake caches that other wrappers wrote, and prints or appends the variables; or prints
 * the plan.
 * @throws usageError for an argument that is not a target, or without zig
 */
export async function setUpZigWrapper(
  ctx: RunnerContext,
  cargoTarget: string,
  zigTarget: string,
  directory: string,
  isDryRun = false,
): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  for (const [name, target] of Object.entries({ 'cargo-target': cargoTarget, 'zig-target': zigTarget })) {
    if (TARGET.test(target)) continue;
    throw usageError(`${name} is ${shown(target)}; allowed is a target such as x86_64-unknown-linux-gnu.2.28`);
  }
  if (directory === '') throw usageError("wrapper-dir is ''; give the directory to write the wrappers to");
  const root = findCheckout(env, startDirectory);
  const zig = (await findOrMark(ctx.unknowns, () => findZig(ctx, root))) ?? 'zig';
  const wrapper = zigWrapper(cargoTarget, zigTarget, absolutePath(startDirectory, directory), zig);
  const workflowFile = readPath(env, 'GITHUB_ENV', startDirectory);
  verifyPlaces(terminal, [
    ...files(...wrapper.files.map(({ path }) => path)),
    ...(workflowFile === undefined
      ? []
      : [{ kind: 'appended', path: workflowFile, remedy: 'unset GITHUB_ENV' } as const]),
  ]);
  const exported = wrapper.variables.map(([name, value]) => `export ${name}=${shellQuote(value)}`);
  if (isDryRun) {
    const written = [...wrapper.files.map(({ path }) => path), ...(workflowFile === undefined ? [] : [workflowFile])];
    return terminal.result(...written.map((path) => `# writes ${path}`), ...exported);
  }
  writeZigWrapper(wrapper);
  const settings = await readCargoSettings(root, env);
  const target = targetDirectoryOf(root, readPath(env, 'CARGO_TARGET_DIR', startDirectory), settings);
  for (const stale of removeStaleCmakeCaches(target, settings, bareTarget(cargoTarget))) {
    terminal.say(`removed a stale cmake cache: ${stale}`);
  }
  if (workflowFile === undefined) {
    terminal.result(...exported);
  } else {
    const text = wrapper.variables.map(([name, value]) => workflowLine(name, value)).join('');
    // A last line without its end is not ours to continue.
    const before = textIn(workflowFile) ?? '';
    const added = before === '' || before.endsWith('\n') ? text : `\n${text}`;
    asOwner(workflowFile, () => naming(workflowFile, () => append(workflowFile, added)));
  }
}

/** A pipe that nobody reads is an error: opened without the flag it would wait, and no signal would be heard. */
function append(path: string, text: string): void {
  const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
  const handle = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o666);
  writeFileSync(handle, text);
  closeSync(handle);
}

/** A line of a workflow's environment file; the delimiter form carries line breaks. */
function workflowLine(name: string, value: string): string {
  if (!/[\r\n]/.test(value)) return `${name}=${value}\n`;
  const delimiter = randomUUID();
  return `${name}<<${delimiter}\n${value}\n${delimiter}\n`;
}
