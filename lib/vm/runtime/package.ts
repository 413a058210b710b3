// SPDX-License-Identifier: Apache-2.0

/** Packing a runtime for a release: the libraries of a build, the programs of their releases, and where they come from. */

import { writeFileSync } from 'node:fs';
import { writeArchive } from '../../archive/tar.ts';
import type { RunnerContext } from '../../build-env.ts';
import { readPath } from '../../cli/env.ts';
import { megabytes } from '../../cli/terminal.ts';
import { replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { absolutePath } from '../../fs/paths.ts';
import { files, verifyPlaces } from '../../fs/writable-places.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { beside, PROVENANCE_FILE, runtimeNames, type VmPlatform } from '../runtime-files.ts';
import { type RuntimeConfig, resolveRuntimeConfig } from './config.ts';
import {
  addPrograms,
  type Build,
  findBuild,
  provenanceOf,
  readLibraries,
  resolveProvenance,
  verifyPrograms,
} from './from-build.ts';
import { downloadsOf, Releases } from './releases.ts';
import { downloadLine } from './setup.ts';

const MODE = 0o644;
const PROGRAM_MODE = 0o755;

export interface PackageFlags {
  readonly platform: VmPlatform;
  readonly 'build-dir': string;
  readonly output: string;
  readonly 'dry-run': boolean;
}

/**
 * Packs the runtime; the same build gives the same bytes.
 * @throws TaskError: 2 for wrong values or a build that is not complete, 1 for what cannot be had or written
 */
export async function packageRuntime(ctx: RunnerContext, flags: PackageFlags): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const config = resolveRuntimeConfig(ctx, flags.platform);
  resolveProvenance(env);
  const custom = readPath(env, 'CUSTOM_PROVENANCE_DIR', startDirectory);
  verifyPrograms(config);
  const directories = [absolutePath(startDirectory, flags['build-dir']), ...(custom === undefined ? [] : [custom])];
  const build = findBuild(flags.platform, directories, 'name the directory of a whole build with --build-dir');
  const output = absolutePath(startDirectory, flags.output);
  verifyPlaces(terminal, [...files(output), { kind: 'directory', path: downloadsOf(output) }]);
  if (flags['dry-run']) return terminal.result(...packageLines(config, build, output));
  const lock = { path: beside(output, 'lock'), remedy: 'name another --output', task: 'VM runtime archive' };
  await whileLocked(ctx, { ...lock, other: 'another packaging to the same place' }, () =>
    pack(ctx, config, build, output),
  );
  terminal.result(output);
}

function packageLines({ gvproxy, platform, release, umoci }: RuntimeConfig, build: Build, output: string): string[] {
  return [
    `# reads ${build.krun} and ${build.krunfw}`,
    `# creates ${downloadsOf(output)} for what is not verified yet`,
    ...[gvproxy, umoci].map((file) => downloadLine(release, file)),
    `# writes ${output}: ${[...runtimeNames(platform), PROVENANCE_FILE].join(', ')} (zstd level ${LEVEL})`,
  ];
}

async function pack(ctx: RunnerContext, config: RuntimeConfig, build: Build, output: string): Promise<void> {
  const { signals, terminal } = ctx;
  const contents = readLibraries(config.platform, build);
  const releases = new Releases(ctx, config.release, output);
  await addPrograms(contents, { config, releases, isForced: false, isComplete: false });
  const { text, time } = provenanceOf(ctx.env, config, build);
  const members = [
    ...[...contents].map(([name, content]) => ({ path: `./${name}`, content, mode: PROGRAM_MODE })),
    { path: `./${PROVENANCE_FILE}`, content: Buffer.from(text), mode: MODE },
  ];
  const archive = writeArchive(members, time);
  sweepTemporary(output);
  const fill = async (_: string, file: number) => {
    writeFileSync(file, await compress(archive, signals.aborted));
    signals.throwIfReceived();
  };
  const heading = `compression of ${megabytes(archive.length)} (zstd level ${LEVEL})`;
  await terminal.section('compression', () => replaceWhole(output, MODE, fill), heading);
  releases.removeDownloads();
  for (const { path, content } of members) terminal.say(`packed: ${path} (${megabytes(content.length)})`);
  terminal.say(`packed for ${config.platform}; the time of its files: ${time}`);
}
