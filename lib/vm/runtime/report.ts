// SPDX-License-Identifier: Apache-2.0

/** What the tasks of the VM runtime print: the plan of a dry run, and what came of it. */

import { relative } from 'node:path';
import { megabytes } from '../../stage/report.ts';
import { LEVEL } from '../../zstd/compress.ts';
import { defectsText, runtimeFiles } from '../runtime-files.ts';
import type { ReleaseConfig, ReleaseFile } from './config.ts';
import { releasePath } from './pins.ts';
import type { RuntimePlan } from './plan.ts';
import { readRecord } from './record.ts';
import { downloadsOf, type Staged } from './stage.ts';

/** The plan, one line for each step. */
export function runtimeLines({ config, source }: RuntimePlan): string[] {
  const { directory, platform, release } = config;
  if (source.kind === 'present') return [`# keeps ${directory}: it has a complete runtime for ${platform}`];
  const compressed = `# compresses ${runtimeFiles(platform).join(', ')} where their content is new (zstd level ${LEVEL})`;
  const end = [compressed, `# creates ${directory}: whole, in the place of what is there`];
  const fetched = `# creates ${downloadsOf(directory)} for what is not verified yet`;
  if (source.kind === 'release') return [fetched, downloadLine(release, config.runtime), ...end];
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
export function reasonText({ defects, source }: RuntimePlan): string {
  if (source.kind === 'present') return 'complete';
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
export function presentLine({ config }: RuntimePlan): string {
  const { directory, platform } = config;
  return `nothing to do: ${directory} has a complete runtime for ${platform}${verifiedText(directory)}`;
}

function verifiedText(directory: string): string {
  const record = readRecord(directory);
  if (record === undefined) return '; nothing tells how it was verified, --force sets it up again';
  return `; verified: ${record.verified ?? 'no, it is of an archive that the user named'}`;
}
