// SPDX-License-Identifier: Apache-2.0

/** Packing a runtime for a release: the libraries of a build, the programs of their releases, and where they come from. */

import { writeFileSync } from 'node:fs';
import { writeArchive } from '../../archive/tar.ts';
import type { RunnerContext } from '../../build-env.ts';
import { readPath } from '../../cli/env.ts';
import { megabytes } from '../../cli/terminal.ts';
import { replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { absolutePath } from '../../fs/paths.ts';
import { files, verifyPlaces } from '../../fs/writable-places.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { PROVENANCE_FILE, runtimeNames, type VmPlatform } from '../runtime-files.ts';
import { downloadLine, type RuntimeConfig, resolveRuntimeConfig } from './config.ts';
import { type Build, findBuild, provenanceOf, readLibraries, verifyInputs } from './from-build.ts';
import { downloadsOf, Releases } from './releases.ts';
import { addPrograms } from './setup.ts';

interface PackageFlags extends Readonly<Record<'build-dir' | 'output', string>> {
  readonly platform: VmPlatform;
  readonly 'dry-run': boolean;
}

/**
 * Packs the runtime; the same build gives the same bytes.
 * @throws TaskError: 2 for wrong values or a build that is not complete, 1 for what cannot be had or written
 */
export async function packageRuntime(ctx: RunnerContext, flags: PackageFlags): Promise<void> {
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
