// SPDX-License-Identifier: Apache-2.0

/** The libraries of a local build as the source of a runtime, with the programs of their releases. */

import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { type Environment, readPath, readVariable } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { contentOf, namesIn, textIn } from '../../fs/paths.ts';
import { BUILD_RECORD, buildDirectory } from '../local-build.ts';
import {
  PLATFORMS,
  PROVENANCE_FILE,
  partDefect,
  runtimeDefects,
  VM_PLATFORMS,
  type VmPlatform,
} from '../runtime-files.ts';
import { pinsOf, type RuntimeConfig, readPins, resolveRuntimeConfig } from './config.ts';
import { sayPresent } from './present.ts';
import { unpinned } from './releases.ts';
import { addProgram, downloadLine, planArchive, type RuntimePlan, runPlan, type Supply } from './setup.ts';
import { type Contents, verifyReplaceable } from './stage.ts';

const SETUP = 'tasks/vm/vm-setup.ts';

/** A local build: the directories whose first library of a kind counts, and what comes of it. */
export interface Build {
  readonly directories: readonly string[];
  readonly krun: string;
  readonly krunfw: string;
}

/**
 * Compresses the archive that the user names, else the local build, and stages it; without either, a complete runtime
 * stays.
 * @throws TaskError: 2 before anything is done, 1 for an archive that is refused
 */
export async function compressRuntime(
  ctx: RunnerContext,
  flags: { readonly platform: VmPlatform | undefined; readonly force: boolean; readonly 'dry-run': boolean },
): Promise<void> {
  const { env, startDirectory } = ctx;
  resolveProvenance(env);
  const path = readPath(env, 'VM_RUNTIME_TARBALL', startDirectory);
  const named = VM_PLATFORMS.find((name) => path?.endsWith(`/vm-runtime-${name}.tar.zst`));
  const config = resolveRuntimeConfig(ctx, flags.platform ?? readVariable(env, 'VM_RUNTIME_PLATFORM') ?? named);
  if (path !== undefined) {
    if (isRegularFile(path)) return runPlan(ctx, planArchive(config, path, flags.force), flags['dry-run']);
    throw usageError(`VM_RUNTIME_TARBALL is ${shown(path)}, which is not a file with content; name one`);
  }
  const hint = `run ${SETUP} --from-source, or set VM_RUNTIME_TARBALL to an archive, or run ${SETUP} to download one`;
  try {
    findBuild(config.platform, libraryDirectories(config), hint);
  } catch (error) {
    if (flags.force || runtimeDefects(config.directory, config.platform).length > 0) throw error;
    return sayPresent(ctx, config, flags['dry-run']);
  }
  await runPlan(ctx, planBuild(env, config, flags.force), flags['dry-run']);
}

/**
 * Plans to stage a local build, which may not be there yet.
 * @throws usageError where the directory cannot be replaced, or a program that is needed besides cannot be verified
 */
export function planBuild(env: Environment, config: RuntimeConfig, isForced: boolean): RuntimePlan {
  resolveProvenance(env);
  verifyReplaceable(config.directory);
  verifyPrograms(config);
  const directories = libraryDirectories(config);
  const programs = [config.gvproxy, config.umoci].map((file) => downloadLine(config.release, file));
  const collect = async (_: RunnerContext, supply: Supply) => {
    const build = findBuild(config.platform, directories, `run ${SETUP} --from-source`);
    const contents = readLibraries(config.platform, build);
    const sources = await addPrograms(contents, supply);
    const verified = `the libraries are of a local build in ${dirname(build.krun)}, the programs have the recorded SHA-256`;
    return { contents, sources, verified, provenance: provenanceOf(env, config, build).text };
  };
  const lines = [`# reads the libraries in ${directories.join(' or ')}`, ...programs];
  return { config, isForced, lines, collect };
}

/** Where the libraries of a local build are looked for; on macOS a custom runtime may have its own kernel. */
function libraryDirectories({ platform, root }: RuntimeConfig): string[] {
  const custom = PLATFORMS[platform].os === 'darwin' ? [join(root, 'target/custom-runtime')] : [];
  return [buildDirectory(root), ...custom];
}

/** @throws usageError for a program that has no recorded digest */
export function verifyPrograms(config: RuntimeConfig): void {
  const pins = readPins(config.release.pinsPath);
  const missing = [config.gvproxy, config.umoci].find((file) => pinsOf(pins, file).length === 0);
  if (missing !== undefined) throw unpinned(config.release, missing);
}

/** Adds what is not built; gives what it is, for the record. */
export async function addPrograms(contents: Contents, supply: Supply): Promise<Record<string, string>> {
  const gvproxy = await addProgram(contents, 'gvproxy', supply);
  return { ...gvproxy, ...(await addProgram(contents, 'umoci', supply)) };
}

/**
 * Finds the two libraries; the first directory that has one wins.
 * @param hint what builds them
 * @throws usageError naming what was looked for, and where
 */
export function findBuild(platform: VmPlatform, directories: readonly string[], hint: string): Build {
  const { krun, krunfw, os } = PLATFORMS[platform];
  // The kernel's library has its whole version in its name, and the driver wants that of its interface.
  const [other, pattern] =
    os === 'linux' ? [`${krunfw}.*`, /^libkrunfw\.so\.5\.[\w.-]+$/] : ['libkrunfw.dylib', /^libkrunfw\.dylib$/];
  const newestFirst = (left: string, right: string) => right.localeCompare(left, 'en', { numeric: true });
  const find = (name: string, alsoFits: (one: string) => boolean = () => false) => {
    const paths = directories.flatMap((directory) =>
      [name, ...namesIn(directory).filter(alsoFits).sort(newestFirst)].map((one) => join(directory, one)),
    );
    return paths.find(isRegularFile);
  };
  const missing = (names: string) => usageError(`no ${names} in ${directories.join(' or ')}; ${hint}`);
  const found = { krun: find(krun), krunfw: find(krunfw, (name) => pattern.test(name)) };
  if (found.krun === undefined) throw missing(krun);
  if (found.krunfw === undefined) throw missing(`${krunfw} or ${other}`);
  return { directories, krun: found.krun, krunfw: found.krunfw };
}

/** Whether there is a file with content, also behind a link. */
function isRegularFile(path: string): boolean {
  try {
    const found = statSync(path);
    return found.isFile() && found.size > 0;
  } catch {
    // Whatever is wrong with the path, it is none.
    return false;
  }
}

/**
 * Reads the two libraries.
 * @throws usageError for one that is not whole, or for another machine
 */
export function readLibraries(platform: VmPlatform, build: Build): Contents {
  const { krun, krunfw } = PLATFORMS[platform];
  const contents: Contents = new Map();
  for (const [name, path] of Object.entries({ [krun]: build.krun, [krunfw]: build.krunfw })) {
    const content = asOwner(path, () => contentOf(path));
    const defect = partDefect(content, platform, name);
    if (defect !== undefined) throw usageError(`${path} is ${defect}; build it for ${platform}`);
    contents.set(name, content);
  }
  return contents;
}

/** What a `provenance.json` says besides what the build itself says; `time` is for all files, in seconds since 1970. */
export function resolveProvenance(env: Environment) {
  return {
    github_sha: readVariable(env, 'GITHUB_SHA'),
    github_run_id: readVariable(env, 'GITHUB_RUN_ID'),
    time: readVariable(env, 'SOURCE_DATE_EPOCH'),
  };
}

/**
 * The text of `provenance.json`, and the time that the runtime bears, in seconds since 1970. All values are texts; the
 * order is that of the release's archives. What a build tells of itself `build-libkrun` has recorded beside it; a
 * further directory may have a provenance of its own, which wins.
 */
export function provenanceOf(env: Environment, { gvproxy, platform, umoci }: RuntimeConfig, build: Build) {
  const { github_run_id, github_sha, time = Math.floor(statSync(build.krun).mtimeMs / 1000) } = resolveProvenance(env);
  const [directory = '', custom] = build.directories;
  const tableIn = (path: string) => parseTable(textIn(path) ?? '') ?? {};
  const given = custom === undefined ? {} : tableIn(join(custom, PROVENANCE_FILE));
  const built = tableIn(join(directory, BUILD_RECORD));
  const commitOf = (library: unknown) => (isTable(library) ? library.commit : undefined);
  const known = (...values: readonly unknown[]) =>
    values.find((value) => typeof value === 'string' && value !== '') ?? 'unknown';
  const provenance = {
    artifact: 'vm-runtime',
    platform,
    build_timestamp: new Date(time * 1000).toISOString().replace(/\.000Z$/, 'Z'),
    libkrunfw_commit: known(given.libkrunfw_commit, commitOf(built.libkrunfw)),
    kernel_version: known(given.kernel_version, built.kernel),
    gvproxy_version: gvproxy.tag,
    umoci_version: umoci.tag,
    github_sha,
    github_run_id,
    libkrun_commit: known(commitOf(built.libkrun)),
  };
  return { text: `${JSON.stringify(provenance, null, 2)}\n`, time };
}
