// SPDX-License-Identifier: Apache-2.0

/**
 * The kernel in libkrunfw. Its Makefile makes a tree with its own configuration; ours is merged into a fresh tree only,
 * because a configuration that is merged twice keeps what was removed. A stamp says what a tree was made from.
 */

import { createHash } from 'node:crypto';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { copyWhole, isFile, writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf, namesIn, textIn } from '../../fs/paths.ts';
import { scriptQuote } from '../../process/command.ts';
import { FRAGMENT, KERNEL, kernelCommands, OWN_FILES, type PreparedLibkrun, shimDirectory } from './plan.ts';

/** Without them the network of sandboxes does not work. */
const REQUIRED = ['CONFIG_BRIDGE', 'CONFIG_NETFILTER', 'CONFIG_NF_NAT'] as const;

/** What a kernel tree was made from, and how far it has come. */
interface Stamp {
  readonly commit: string;
  readonly kernel: string;
  readonly arch: string;
  /** The SHA-256 of the fragment; empty without one. */
  readonly fragment: string;
  /** The SHA-256 of the configuration that came of it. */
  readonly config: string;
  /** Whether everything has been built from it. */
  readonly isBuilt: boolean;
}

/** The firmware that was built: in libkrunfw's directory. */
export interface Firmware {
  readonly commit: string;
  /** `linux-6.12.76`. */
  readonly kernel: string;
  readonly abi: string;
  /** The names of the libraries. */
  readonly libraries: readonly string[];
}

/**
 * Builds libkrunfw at the commit that is checked out.
 * @throws TaskError: the status of make, or 1 for a Makefile or a configuration that is not as it has to be
 */
export async function buildFirmware(ctx: RunnerContext, prepared: PreparedLibkrun, commit: string): Promise<Firmware> {
  const { config, tools } = prepared;
  const source = config.firmware.directory;
  const makefile = contentOf(join(source, 'Makefile')).toString();
  const kernel = kernelName(makefile);
  if (tools?.python !== undefined) {
    writeWhole(join(shimDirectory(config), 'python3'), `#!/bin/sh\nexec ${scriptQuote(tools.python)} "$@"\n`, 0o755);
  }
  const stampPath = join(config.directory, OWN_FILES.stamp);
  const fragment = config.fragment === undefined ? '' : hashOf(config.fragment);
  const wanted = { commit, kernel, arch: KERNEL[config.arch].arch, fragment };
  const stamp = parseTable(textIn(stampPath) ?? '');
  const change = whyAnew(wanted, stamp, join(source, kernel, '.config'));
  if (change === undefined) ctx.terminal.say(`${kernel} is configured already`);
  else await configure(ctx, prepared, kernel, change);
  if (change !== undefined || stamp?.isBuilt !== true) forgetOutputs(prepared, kernel);
  const write = (isBuilt: boolean) =>
    writeStamp(stampPath, { ...wanted, config: hashOf(configOf(source, kernel)), isBuilt });
  write(false);
  await ctx.runner.run(kernelCommands(prepared, kernel).build);
  if (fragment !== '') verifyOptions(prepared, kernel);
  const libraries = librariesIn(source);
  for (const name of ['kernel.c', ...(libraries.length > 0 ? libraries : ['libkrunfw.so*'])])
    verifyOutput(join(source, name));
  write(true);
  return { commit, kernel, abi: abiVersion(makefile, textIn(join(source, 'ABI_VERSION'))), libraries };
}

/** Why the tree has to be made anew; `undefined` where it is what is wanted. */
function whyAnew(wanted: Partial<Stamp>, stamp: Record<string, unknown> | undefined, config: string) {
  if (stamp === undefined || !isFile(config)) return 'there is no configured tree';
  const names = { commit: 'libkrunfw', kernel: 'the kernel', arch: 'the architecture', fragment: FRAGMENT } as const;
  const changed = Object.entries(names).filter(([name]) => stamp[name] !== wanted[name as keyof Stamp]);
  if (changed.length > 0) return `${changed.map(([, text]) => text).join(' and ')} has changed`;
  return stamp.config === hashOf(config) ? undefined : 'its configuration was changed from outside';
}

async function configure(ctx: RunnerContext, prepared: PreparedLibkrun, kernel: string, why: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { directory, firmware, fragment } = prepared.config;
  const commands = kernelCommands(prepared, kernel);
  terminal.say(`${kernel} is made anew: ${why}`);
  // What was made so far is nothing any more, whatever ends this.
  asOwner(directory, () => rmSync(join(directory, OWN_FILES.stamp), { force: true }));
  const preparing = join(directory, OWN_FILES.preparing);
  // A download that was cut off looks complete to make.
  if (existsSync(preparing)) await runner.run(commands.forgetDownload);
  writeWhole(preparing, '', 0o644);
  await runner.run(commands.remove);
  await runner.run(commands.prepare);
  if (!isFile(configOf(firmware.directory, kernel))) {
    throw failure(`make ${kernel} has left no ${configOf(firmware.directory, kernel)}; look at libkrunfw's Makefile`);
  }
  asOwner(directory, () => rmSync(preparing, { force: true }));
  if (fragment === undefined) return;
  copyWhole(fragment, join(firmware.directory, FRAGMENT), 0o644);
  await runner.run(commands.merge);
  await runner.run(commands.complete);
  verifyOptions(prepared, kernel);
  const dropped = droppedOptions(contentOf(fragment).toString(), configText(prepared, kernel));
  if (dropped.length > 0) terminal.warn(`${kernel} does not take ${dropped.join(', ')} of ${FRAGMENT}`);
}

/** @throws failure where the configuration lacks an option that sandboxes need */
function verifyOptions(prepared: PreparedLibkrun, kernel: string): void {
  const text = configText(prepared, kernel);
  const missing = REQUIRED.filter((name) => !new RegExp(`^${name}=`, 'm').test(text));
  if (missing.length === 0) return;
  const path = configOf(prepared.config.firmware.directory, kernel);
  throw failure(`${path} has no ${missing.join(', ')}; look at what merge_config.sh and olddefconfig say`);
}

/** The options that a fragment sets and a configuration does not have so. */
export function droppedOptions(fragment: string, config: string): string[] {
  const lines = new Set(config.split('\n').map((line) => line.trim()));
  const wanted = [...fragment.matchAll(/^(CONFIG_\w+)=(.+?)\s*$/gm)];
  return wanted.flatMap(([line, name = '', value]) => {
    const isOff = value === 'n' && !new RegExp(`^${name}=`, 'm').test(config);
    return isOff || lines.has(line.trim()) ? [] : [name];
  });
}

/** What make would take for built, although another tree has built it, or a run that did not end. */
function forgetOutputs({ config }: PreparedLibkrun, kernel: string): void {
  const source = config.firmware.directory;
  const names = ['kernel.c', join(kernel, KERNEL[config.arch].image), join(kernel, 'vmlinux')];
  const libraries = namesIn(source).filter((name) => name.startsWith('libkrunfw.so'));
  asOwner(source, () => {
    for (const name of [...names, ...libraries]) rmSync(join(source, name), { force: true });
  });
}

/** The names of the libraries in a directory; a link counts as what it leads to. */
export function librariesIn(directory: string): string[] {
  return namesIn(directory).filter((name) => /^libkrunfw\.so(?:\.\d+)*$/.test(name));
}

function verifyOutput(path: string): void {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  throw failure(`make has ended, and has left no ${path}; look at libkrunfw's Makefile`);
}

/**
 * The kernel that libkrunfw's Makefile names, which is also its directory.
 * @throws failure where that cannot be told
 */
export function kernelName(makefile: string): string {
  const name = /^KERNEL_VERSION[ \t]*[:?]?=[ \t]*(\S+)[ \t]*$/m.exec(makefile)?.[1];
  if (name !== undefined && /^linux-\d+(?:\.\d+)+[\w.+-]*$/.test(name)) return name;
  throw failure('the Makefile of libkrunfw has no line such as KERNEL_VERSION = linux-6.12.76; set LIBKRUNFW_REF');
}

/**
 * The version of the interface between libkrun and libkrunfw: the Makefile's, else that of a file beside it.
 * @throws failure where neither is a number
 */
export function abiVersion(makefile: string, file: string | undefined): string {
  const value = /^ABI_VERSION[ \t]*[:?+]?=[ \t]*(\d+)[ \t]*$/m.exec(makefile)?.[1] ?? file?.trim();
  if (value !== undefined && isAbi(value)) return value;
  throw failure('neither the Makefile of libkrunfw nor a file ABI_VERSION says which number its ABI_VERSION is');
}

/** Whether a text is a number of an interface: `05` would be another name, and the same number. */
export function isAbi(text: string): boolean {
  return /^(?:0|[1-9]\d{0,8})$/.test(text);
}

function writeStamp(path: string, stamp: Stamp): void {
  writeWhole(path, `${JSON.stringify(stamp, undefined, 2)}\n`, 0o644);
}

function configOf(source: string, kernel: string): string {
  return join(source, kernel, '.config');
}

function configText({ config }: PreparedLibkrun, kernel: string): string {
  return contentOf(configOf(config.firmware.directory, kernel)).toString();
}

function hashOf(path: string): string {
  return createHash('sha256').update(contentOf(path)).digest('hex');
}
