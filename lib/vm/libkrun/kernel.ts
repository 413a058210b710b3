// SPDX-License-Identifier: Apache-2.0

/**
 * The kernel in libkrunfw. Ours is merged into a fresh configuration only, because one that is merged twice keeps what
 * was removed: a stamp says what a tree was made from.
 */

import { hash } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { copyWhole, isFile, writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { contentOf, namesIn, textIn } from '../../fs/paths.ts';
import { scriptQuote } from '../../process/command.ts';
import { FRAGMENT, kernelCommands, type PreparedLibkrun, SHIM, STAMP_FILE } from './plan.ts';

/** Without them the network of sandboxes does not work. */
const REQUIRED = ['CONFIG_BRIDGE', 'CONFIG_NETFILTER', 'CONFIG_NF_NAT'] as const;

/** Builds libkrunfw as it is checked out. @throws TaskError: the status of make, or 1 for a wrong source */
export async function buildFirmware(ctx: RunnerContext, prepared: PreparedLibkrun, commit: string) {
  const { config, tools } = prepared;
  const source = config.firmware.directory;
  const makefile = contentOf(join(source, 'Makefile')).toString();
  const kernel = kernelName(makefile);
  const abi = abiVersion(makefile, textIn(join(source, 'ABI_VERSION')));
  writeWhole(join(config.directory, SHIM), `#!/bin/sh\nexec ${scriptQuote(tools.python)} "$@"\n`, 0o755);
  await configure(ctx, prepared, kernel, commit);
  // A build that was killed may have left half of them.
  const outputs = ['kernel.c', ...namesIn(source).filter((name) => name.startsWith('libkrunfw.so'))];
  asOwner(source, () => {
    for (const name of outputs) rmSync(join(source, name), { force: true });
  });
  await ctx.runner.run(kernelCommands(prepared, kernel).build);
  const libraries = namesIn(source).filter((name) => LIBRARY.test(name));
  const names = [...(libraries.length > 0 ? libraries : ['libkrunfw.so*']), 'kernel.c'];
  return { kernel, abi, files: names.map((name) => verifyOutput(join(source, name), 'make')) };
}

/** The names of libkrunfw's libraries. */
export const LIBRARY = /^libkrunfw\.so(?:\.\d+)*$/;

/** Makes and configures the tree of the kernel, unless it was made from the same. */
async function configure(ctx: RunnerContext, prepared: PreparedLibkrun, kernel: string, commit: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { arch, directory, firmware, fragment } = prepared.config;
  const commands = kernelCommands(prepared, kernel);
  const options = join(firmware.directory, kernel, '.config');
  const path = join(directory, STAMP_FILE);
  const stamp = textIn(path);
  const sha256 = fragment === undefined ? '' : hash('sha256', contentOf(fragment));
  const wanted = `${JSON.stringify({ commit, kernel, arch, fragment: sha256 })}\n`;
  if (stamp === wanted && isFile(options)) return terminal.say(`${kernel} is configured already`);
  terminal.say(`${kernel} is made anew: there is none that was made from ${commit} and this ${FRAGMENT}`);
  // A download of the kernel that was cut off looks whole to make.
  if (stamp === undefined) await runner.run(commands.forgetDownload);
  asOwner(directory, () => rmSync(path, { force: true }));
  await runner.run(commands.remove);
  await runner.run(commands.prepare);
  verifyOutput(options, `make ${kernel}`);
  if (fragment !== undefined) {
    copyWhole(fragment, join(firmware.directory, FRAGMENT), 0o644);
    await runner.run(commands.merge);
    await runner.run(commands.complete);
    const text = contentOf(options).toString();
    const missing = REQUIRED.filter((name) => !new RegExp(`^${name}=`, 'm').test(text));
    if (missing.length > 0) {
      throw failure(`${options} has no ${missing.join(', ')}; look at what merge_config.sh and olddefconfig say`);
    }
  }
  writeWhole(path, wanted, 0o644);
}

/** The path of what a program has to have left. @throws failure where it is not there, or empty */
export function verifyOutput(path: string, program: string): string {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) return path;
  throw failure(`${program} has ended, and has left no ${path}; look at what it says`);
}

/** The kernel that libkrunfw's Makefile names, which is also its directory. @throws failure where it names none */
export function kernelName(makefile: string): string {
  const name = /^KERNEL_VERSION[ \t]*[:?]?=[ \t]*(linux-\d+(?:\.\d+)+[\w.+-]*)[ \t]*$/m.exec(makefile)?.[1];
  if (name !== undefined) return name;
  throw failure('the Makefile of libkrunfw has no line such as KERNEL_VERSION = linux-6.12.76; set LIBKRUNFW_REF');
}

/** The version of the interface between libkrun and libkrunfw. @throws failure where neither text says a number */
export function abiVersion(makefile: string, file = ''): string {
  const value = /^ABI_VERSION[ \t]*[:?+]?=[ \t]*(\d+)[ \t]*$/m.exec(makefile)?.[1] ?? file.trim();
  if (/^\d+$/.test(value)) return value;
  throw failure('neither the Makefile of libkrunfw nor a file ABI_VERSION says which number its ABI_VERSION is');
}
