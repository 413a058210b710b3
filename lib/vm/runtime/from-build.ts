// SPDX-License-Identifier: Apache-2.0

/** A local build of the libraries, with the programs of their releases: staged, as an archive is, or packed into one. */

import { statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeArchive } from '../../archive/tar.ts';
import type { RunnerContext } from '../../build-env.ts';
import { type Environment, readPath, readVariable } from '../../cli/env.ts';
import { megabytes } from '../../cli/terminal.ts';
import { shown, usageError } from '../../errors.ts';
import { replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { absolutePath, contentOf, namesIn, textIn } from '../../fs/paths.ts';
import { files, verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { resolveLibkrunConfig } from '../libkrun/config.ts';
import { prepareLibkrun } from '../libkrun/execute.ts';
import { prepareMacos } from '../libkrun-macos/execute.ts';
import { resolveMacosConfig } from '../libkrun-macos/plan.ts';
import { BUILD_RECORD, buildDirectory, type LibraryBuild } from '../local-build.ts';
import {
  PLATFORMS,
  PROVENANCE_FILE,
  partDefect,
  runtimeDefects,
  runtimeNames,
  VM_PLATFORMS,
  type VmPlatform,
} from '../runtime-files.ts';
import {
  downloadLine,
  pinOf,
  type RuntimeConfig,
  readPins,
  resolveRuntimeConfig,
  type SetupFlags,
  sayPresent,
  unpinned,
} from './config.ts';
import { downloadsOf, Releases } from './releases.ts';
import { addPrograms, planLines, type RuntimePlan, readRuntimeArchive, runPlan } from './setup.ts';
import { type Contents, runtimePlaces, verifyReplaceable } from './stage.ts';

const SETUP = 'tasks/vm/vm-setup.ts';

type Build = ReturnType<typeof findBuild>;

/** Stages the archive that the user names, else the local build; without either, a complete runtime stays. */
export async function compressRuntime(
  ctx: RunnerContext,
  flags: { readonly platform: VmPlatform | undefined; readonly force: boolean; readonly 'dry-run': boolean },
): Promise<void> {
  const { env, startDirectory } = ctx;
  resolveProvenance(env);
  const path = readPath(env, 'VM_RUNTIME_TARBALL', startDirectory);
  const named = VM_PLATFORMS.find((name) => path?.endsWith(`/vm-runtime-${name}.tar.zst`));
  const config = resolveRuntimeConfig(ctx, flags.platform ?? readVariable(env, 'VM_RUNTIME_PLATFORM') ?? named);
  if (path !== undefined) return runPlan(ctx, planArchive(config, path, flags.force), flags['dry-run']);
  const hint = `run ${SETUP} --from-source, or set VM_RUNTIME_TARBALL to an archive, or run ${SETUP} to download one`;
  try {
    findBuild(config.platform, libraryDirectories(config), hint);
  } catch (error) {
    if (flags.force || runtimeDefects(config.directory, config.platform).length > 0) throw error;
    return sayPresent(ctx, config, flags['dry-run']);
  }
  await runPlan(ctx, planBuild(env, config, flags.force), flags['dry-run']);
}

/** `vm:setup --from-source`: builds the libraries as each platform does it, and stages them, whatever is there. */
export async function setUpFromSource(ctx: RunnerContext, flags: SetupFlags): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const config = resolveRuntimeConfig(ctx);
  const { directory, platform, root } = config;
  let prepare: () => Promise<LibraryBuild>;
  if (PLATFORMS[platform].os === 'linux') {
    const own = resolveLibkrunConfig(env, root, startDirectory, thisHost(), flags['install-deps']);
    prepare = () => prepareLibkrun(ctx, own);
  } else {
    // The kernel is C that a build on Linux has left there.
    const kernel = { kernelDirectory: buildDirectory(root), isStrict: false };
    const own = resolveMacosConfig(env, root, startDirectory, thisHost(), kernel);
    prepare = () => prepareMacos(ctx, own);
  }
  const plan = planBuild(env, config, flags.force);
  const build = await prepare();
  verifyPlaces(terminal, runtimePlaces(directory));
  if (flags['dry-run']) return terminal.result(...build.lines, ...planLines(plan));
  terminal.say((await build.run()).report);
  await runPlan(ctx, plan, false);
}

/** @throws usageError where there is no archive, or the directory cannot be replaced */
function planArchive(config: RuntimeConfig, path: string, isForced: boolean): RuntimePlan {
  if (!isRegularFile(path)) {
    throw usageError(`VM_RUNTIME_TARBALL is ${shown(path)}, which is not a file with content; name one`);
  }
  verifyReplaceable(config.directory);
  const collect = async (releases: Releases) => {
    const content = asOwner(path, () => contentOf(path));
    const archive = readRuntimeArchive(path, content, config.platform);
    return { ...archive, sources: await addPrograms(archive.contents, ['umoci'], { config, isForced, releases }) };
  };
  return { config, isForced, lines: [`# reads ${path}`], collect };
}

/** Plans to stage a local build, which may not be there yet. @throws usageError for what would fail after the build */
function planBuild(env: Environment, config: RuntimeConfig, isForced: boolean): RuntimePlan {
  verifyReplaceable(config.directory);
  verifyInputs(env, config);
  const directories = libraryDirectories(config);
  const programs = [config.gvproxy, config.umoci].map((file) => downloadLine(config.release, file));
  const collect = async (releases: Releases) => {
    const build = findBuild(config.platform, directories, `run ${SETUP} --from-source`);
    const contents = readLibraries(config.platform, build);
    const sources = await addPrograms(contents, ['gvproxy', 'umoci'], { config, isForced, releases });
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

/** @throws usageError for a wrong time, or a program that has no recorded digest: before a build, or a download */
function verifyInputs(env: Environment, config: RuntimeConfig): void {
  resolveProvenance(env);
  const pins = readPins(config.release.pinsPath);
  const missing = [config.gvproxy, config.umoci].find((file) => pinOf(pins, file) === undefined);
  if (missing !== undefined) throw unpinned(config.release, missing);
}

/** Finds the two libraries; the first directory that has one wins. @throws usageError naming what was looked for */
function findBuild(platform: VmPlatform, directories: readonly string[], hint: string) {
  const { krun, krunfw, os } = PLATFORMS[platform];
  // The kernel's library has its whole version in its name, and the driver wants that of its interface.
  const pattern = os === 'linux' ? /^libkrunfw\.so\.5\.[\w.-]+$/ : /^libkrunfw\.dylib$/;
  const newestFirst = (left: string, right: string) => right.localeCompare(left, 'en', { numeric: true });
  const find = (wanted: string, namesOf: (directory: string) => readonly string[]) => {
    const paths = directories.flatMap((directory) => namesOf(directory).map((name) => join(directory, name)));
    const found = paths.find(isRegularFile);
    if (found === undefined) throw usageError(`no ${wanted} in ${directories.join(' or ')}; ${hint}`);
    return found;
  };
  const kernels = (directory: string) =>
    namesIn(directory)
      .filter((name) => pattern.test(name))
      .sort(newestFirst);
  return {
    directories,
    krun: find(krun, () => [krun]),
    krunfw: find(`${krunfw} or ${os === 'linux' ? `${krunfw}.*` : 'libkrunfw.dylib'}`, (directory) => [
      krunfw,
      ...kernels(directory),
    ]),
  };
}

/** Whether there is a file with content, also behind a link. */
function isRegularFile(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isFile() === true && found.size > 0;
}

/** Reads the two libraries. @throws usageError for one that is not whole, or for another machine */
function readLibraries(platform: VmPlatform, build: Build): Contents {
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

/** What a provenance says besides what the build itself says. */
function resolveProvenance(env: Environment) {
  const [github_sha, github_run_id] = [readVariable(env, 'GITHUB_SHA'), readVariable(env, 'GITHUB_RUN_ID')];
  return { github_sha, github_run_id, time: readVariable(env, 'SOURCE_DATE_EPOCH') };
}

/**
 * The text of `provenance.json`, in the order of the release's archives, and the time that the runtime bears, in seconds
 * since 1970. A further directory may have a provenance of its own, which wins over what `build-libkrun` has recorded.
 */
function provenanceOf(env: Environment, { gvproxy, platform, umoci }: RuntimeConfig, build: Build) {
  const [directory = '', custom] = build.directories;
  const { github_run_id, github_sha, time = Math.floor(statSync(build.krun).mtimeMs / 1000) } = resolveProvenance(env);
  const given = custom === undefined ? undefined : parseTable(textIn(join(custom, PROVENANCE_FILE)) ?? '');
  const built = parseTable(textIn(join(directory, BUILD_RECORD)) ?? '');
  const commitOf = (library: unknown) => (isTable(library) ? library.commit : undefined);
  const known = (...values: readonly unknown[]) =>
    values.find((value) => typeof value === 'string' && value !== '') ?? 'unknown';
  const provenance = {
    artifact: 'vm-runtime',
    platform,
    build_timestamp: new Date(time * 1000).toISOString().replace(/\.000Z$/, 'Z'),
    libkrunfw_commit: known(given?.libkrunfw_commit, commitOf(built?.libkrunfw)),
    kernel_version: known(given?.kernel_version, built?.kernel),
    gvproxy_version: gvproxy.tag,
    umoci_version: umoci.tag,
    github_sha,
    github_run_id,
    libkrun_commit: known(commitOf(built?.libkrun)),
  };
  return { text: `${JSON.stringify(provenance, null, 2)}\n`, time };
}

/** Packs a build and its programs; the same build gives the same bytes. @throws usageError for one that is not whole */
export async function packageRuntime(
  ctx: RunnerContext,
  flags: {
    readonly platform: VmPlatform;
    readonly 'build-dir': string;
    readonly output: string;
    readonly 'dry-run': boolean;
  },
): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const { platform } = flags;
  const config = resolveRuntimeConfig(ctx, platform);
  const custom = readPath(env, 'CUSTOM_PROVENANCE_DIR', startDirectory);
  verifyInputs(env, config);
  const directories = [absolutePath(startDirectory, flags['build-dir']), ...(custom === undefined ? [] : [custom])];
  const build = findBuild(platform, directories, 'name the directory of a whole build with --build-dir');
  const output = absolutePath(startDirectory, flags.output);
  verifyPlaces(terminal, [...files(output), { kind: 'directory', path: downloadsOf(output) }]);
  if (!flags['dry-run']) return pack(ctx, config, build, output);
  terminal.result(
    `# reads ${build.krun} and ${build.krunfw}`,
    `# creates ${downloadsOf(output)} for what is not verified yet`,
    ...[config.gvproxy, config.umoci].map((file) => downloadLine(config.release, file)),
    `# writes ${output}: ${[...runtimeNames(platform), PROVENANCE_FILE].join(', ')} (zstd level ${LEVEL})`,
  );
}

async function pack(ctx: RunnerContext, config: RuntimeConfig, build: Build, output: string): Promise<void> {
  const { signals, terminal } = ctx;
  const contents = readLibraries(config.platform, build);
  const releases = new Releases(ctx, config.release, output);
  await addPrograms(contents, ['gvproxy', 'umoci'], { config, isForced: false, releases });
  const { text, time } = provenanceOf(ctx.env, config, build);
  const members = [
    ...[...contents].map(([name, content]) => ({ path: `./${name}`, content, mode: 0o755 })),
    { path: `./${PROVENANCE_FILE}`, content: Buffer.from(text), mode: 0o644 },
  ];
  const archive = writeArchive(members, time);
  sweepTemporary(output);
  const fill = async (_: string, file: number) => {
    writeFileSync(file, await compress(archive, signals.aborted));
    signals.throwIfReceived();
  };
  const heading = `compression of ${megabytes(archive.length)} (zstd level ${LEVEL})`;
  await terminal.section('compression', () => replaceWhole(output, 0o644, fill), heading);
  releases.removeDownloads();
  terminal.say(`packed for ${config.platform}: ${members.map(({ path }) => path).join(', ')}`);
  terminal.result(output);
}
