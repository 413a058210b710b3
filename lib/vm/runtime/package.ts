// SPDX-License-Identifier: Apache-2.0

/** Packing a runtime for a release: the libraries of a build, the programs of their releases, and where they come from. */

import { lstatSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeArchive } from '../../archive/write.ts';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { readPath } from '../../cli/env.ts';
import { megabytes } from '../../cli/terminal.ts';
import { shown, usageError } from '../../errors.ts';
import { replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { absolutePath } from '../../fs/paths.ts';
import { files, type Place, verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { compressContent, LEVEL } from '../../zstd/compress.ts';
import { PROVENANCE_FILE, runtimeNames, type VmPlatform } from '../runtime-files.ts';
import { type BuiltLibraries, type Contents, findLibraries, readLibraries } from './collect.ts';
import {
  besideRuntime,
  type ProvenanceSettings,
  type RuntimeConfig,
  resolveProvenance,
  resolveRuntimeConfig,
} from './config.ts';
import { addProgram } from './execute.ts';
import { verifyPrograms } from './plan.ts';
import { provenanceText, readBuildFacts, timeOf } from './provenance.ts';
import { Releases } from './releases.ts';
import { downloadLine } from './report.ts';
import { removeDownloads } from './scratch.ts';

const MODE = 0o644;
const PROGRAM_MODE = 0o755;

export interface PackageFlags {
  readonly platform: VmPlatform;
  readonly 'build-dir': string;
  readonly output: string;
  readonly 'dry-run': boolean;
}

interface PackagePlan {
  readonly config: RuntimeConfig;
  readonly directories: readonly [build: string, ...others: string[]];
  readonly libraries: BuiltLibraries;
  readonly provenance: ProvenanceSettings;
  readonly output: string;
}

/**
 * Packs the runtime; the same build gives the same bytes.
 * @throws TaskError: 2 for wrong values or a build that is not complete, 1 for what cannot be had or written
 */
export async function packageRuntime(ctx: RunnerContext, flags: PackageFlags): Promise<void> {
  const { terminal } = ctx;
  const plan = planPackage(ctx, flags);
  verifyPlaces(terminal, packagePlaces(plan));
  if (flags['dry-run']) return terminal.result(...packageLines(plan));
  const lock = { path: besideRuntime(plan.output, 'lock'), remedy: 'name another --output' };
  await whileLocked(ctx, { ...lock, task: 'VM runtime archive', other: 'another packaging to the same place' }, () =>
    pack(ctx, plan),
  );
  terminal.result(plan.output);
}

function planPackage({ env, startDirectory }: RunnerContext, flags: PackageFlags): PackagePlan {
  const root = findCheckout(env, startDirectory);
  const config = resolveRuntimeConfig(env, root, startDirectory, thisHost(), flags.platform);
  const custom = readPath(env, 'CUSTOM_PROVENANCE_DIR', startDirectory);
  const directories = [
    absolutePath(startDirectory, flags['build-dir']),
    ...(custom === undefined ? [] : [custom]),
  ] as const;
  const provenance = resolveProvenance(env);
  verifyPrograms(config);
  const libraries = findLibraries(flags.platform, directories, 'name the directory of a whole build with --build-dir');
  const output = absolutePath(startDirectory, flags.output);
  verifyOutput(output, [libraries.krun, libraries.krunfw, config.release.pinsPath]);
  return { config, directories, libraries, provenance, output };
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

/** @throws usageError for an output that is not a regular file, or that is read */
function verifyOutput(output: string, inputs: readonly string[]): void {
  const refuse = (what: string) => usageError(`--output is ${shown(output)}, which is ${what}; name another file`);
  const found = look(output);
  // Whatever else is wrong with it, the check of the places tells.
  if (found === undefined || found.isDirectory()) return;
  if (!found.isFile()) throw refuse('not a regular file');
  const isSame = (path: string) => {
    const { dev, ino } = statSync(path);
    return dev === found.dev && ino === found.ino;
  };
  const input = inputs.find(isSame);
  if (input !== undefined) throw refuse(`the same file as ${input}, which is packed or read`);
}

function scratchOf({ output }: PackagePlan): string {
  return besideRuntime(output, 'downloads');
}

function packagePlaces(plan: PackagePlan): Place[] {
  return [...files(plan.output), { kind: 'directory', path: scratchOf(plan) }];
}

function packageLines(plan: PackagePlan): string[] {
  const { config, libraries, output } = plan;
  const { gvproxy, release, umoci } = config;
  return [
    `# reads ${libraries.krun} and ${libraries.krunfw}`,
    `# creates ${scratchOf(plan)} for what is not verified yet`,
    ...[gvproxy, umoci].map((file) => downloadLine(release, file)),
    `# writes ${output}: ${[...runtimeNames(config.platform), PROVENANCE_FILE].join(', ')} (zstd level ${LEVEL})`,
  ];
}

async function pack(ctx: RunnerContext, plan: PackagePlan): Promise<void> {
  const { signals, terminal } = ctx;
  const { config, directories, libraries, output } = plan;
  const contents: Contents = readLibraries(config.platform, libraries);
  const releases = new Releases(ctx, config.release, scratchOf(plan));
  for (const name of ['gvproxy', 'umoci'] as const)
    await addProgram(contents, name, { config, releases, isForced: false });
  const facts = await readBuildFacts(ctx, directories[0], directories[1], libraries.krun);
  const provenance = provenanceText(plan.provenance, config.platform, config.versions, facts);
  const time = timeOf(plan.provenance, facts);
  const members = [
    ...[...contents].map(([name, content]) => ({ path: `./${name}`, content, mode: PROGRAM_MODE })),
    { path: `./${PROVENANCE_FILE}`, content: Buffer.from(provenance), mode: MODE },
  ];
  const archive = writeArchive(members, time);
  sweepTemporary(output);
  const fill = async (_: string, file: number) => {
    await compressContent(archive, file, { signal: signals.aborted });
    signals.throwIfReceived();
  };
  const heading = `compression of ${megabytes(archive.length)} (zstd level ${LEVEL})`;
  await terminal.section('compression', () => replaceWhole(output, MODE, fill), heading);
  removeDownloads(scratchOf(plan));
  for (const { path, content } of members) terminal.say(`packed: ${path} (${megabytes(content.length)})`);
  terminal.say(`packed for ${config.platform} in ${dirname(output)}; the time of its files: ${time}`);
}
