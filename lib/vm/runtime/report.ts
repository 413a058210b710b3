// SPDX-License-Identifier: Apache-2.0

/** What the tasks of the VM runtime print: the plan of a dry run, and what came of it. */

import { relative } from 'node:path';
import { megabytes } from '../../cli/terminal.ts';
import { VARIABLES } from '../../cli/variables.ts';
import { LEVEL } from '../../zstd/compress.ts';
import { defectsText, type RuntimeDefect, runtimeFiles } from '../runtime-files.ts';
import type { ReleaseConfig, ReleaseFile, RuntimeConfig } from './config.ts';
import { pinsOf, readPins, releasePath, UPDATE_COMMAND } from './pins.ts';
import type { RuntimePlan } from './plan.ts';
import { readRecord, type StagingRecord } from './record.ts';
import { downloadsOf, type Staged } from './stage.ts';
import { RECEIPTS, unverifiedText } from './trust.ts';

/** The plan, one line for each step. */
export function runtimeLines({ config, source }: RuntimePlan): string[] {
  const { directory, platform, release } = config;
  if (source.kind === 'present') return [`# keeps ${directory}: it has a complete runtime for ${platform}`];
  const compressed = `# compresses ${runtimeFiles(platform).join(', ')} where their content is new (zstd level ${LEVEL})`;
  const end = [
    compressed,
    `# creates ${directory}: whole, in the place of what is there`,
    `# remembers in ${RECEIPTS} that it is of this user`,
  ];
  const fetched = `# creates ${downloadsOf(directory)} for what is not verified yet`;
  if (source.kind === 'release') {
    const warnings = sourceWarnings(config).map((line) => `# warning: ${line}`);
    return [fetched, downloadLine(release, config.runtime), ...warnings, ...end];
  }
  if (source.kind === 'archive') return [`# reads ${source.path}`, ...end];
  const parts = [config.gvproxy, config.umoci].map((file) => downloadLine(release, file));
  return [`# reads the libraries in ${source.directories.join(' or ')}`, fetched, ...parts, ...end];
}

/** What is downloaded, and against what it is verified. */
export function downloadLine({ baseUrl }: ReleaseConfig, file: ReleaseFile): string {
  const urls = file.names.map((name) => `${baseUrl}/${releasePath(file, name)}`);
  const stated = file.isRolling ? ', or the one that its API states' : '';
  return `# downloads ${urls.join(' or ')} (verified: the recorded SHA-256${stated})`;
}

/** Why a runtime is set up. */
export function reasonText(defects: readonly RuntimeDefect[]): string {
  return defects.length === 0 ? 'complete, and set up again' : defectsText(defects);
}

/** The closing report. */
export function stagedLines({ config }: RuntimePlan, { files, isChanged }: Staged): string[] {
  const { directory, platform, root } = config;
  const shownPath = directory.startsWith(`${root}/`) ? relative(root, directory) : directory;
  return [
    ...files.map(
      ({ compressedSize, isNew, name, size }) =>
        `${isNew ? 'compressed' : 'unchanged'}: ${name} (${megabytes(size)} in ${megabytes(compressedSize)})`,
    ),
    `${isChanged ? 'set up' : 'unchanged'}: ${shownPath} for ${platform}${verifiedText(directory)}`,
  ];
}

/** The report of a run that had nothing to do. */
export function presentLine({ config }: RuntimePlan, trustProblem: string | undefined): string {
  const { directory, platform } = config;
  const verified = trustProblem === undefined ? verifiedText(directory) : `; NOT verified: ${trustProblem}`;
  return `nothing to do: ${directory} has a complete runtime for ${platform}${verified}`;
}

/** How the runtime that was staged was verified, and whose release it is of. */
function verifiedText(directory: string): string {
  const record = readRecord(directory) ?? {};
  const { sources = {}, verified }: Partial<StagingRecord> = record;
  if (verified === undefined) return `; verified: no, ${unverifiedText(record)}`;
  const [path] = Object.keys(sources).filter((one) => one.includes('/vm-runtime-'));
  return `; verified: ${verified}${path === undefined ? '' : ` (${path.replace('/releases/download/', ' ')})`}`;
}

/** What is to be known before a download: that it may not be enough, and whose word is taken. */
export function sourceWarnings({ release, runtime, source, umoci }: RuntimeConfig): string[] {
  const pins = readPins(release.pinsPath);
  const isComplete = pinsOf(pins, umoci).length > 0;
  const isOwn = pinsOf(pins, runtime).length > 0 || source.repository === VARIABLES.GITHUB_REPOSITORY.default;
  return [
    ...(isComplete
      ? []
      : [`no SHA-256 of ${umoci.what} is recorded, so an archive without it is refused; record it: ${UPDATE_COMMAND}`]),
    ...(isOwn
      ? []
      : [`the release of ${source.repository} (GITHUB_REPOSITORY) says itself what its SHA-256 has to be`]),
  ];
}
