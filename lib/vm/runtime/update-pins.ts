// SPDX-License-Identifier: Apache-2.0

/** Recording the SHA-256 of every file that a runtime of any platform is made of, and showing what that changes. */

import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { files, verifyPlaces } from '../../fs/writable-places.ts';
import { partDefect, runtimeLock, sha256Of, VM_PLATFORMS, type VmPlatform } from '../runtime-files.ts';
import {
  type Pins,
  type ReleaseFile,
  type RuntimeConfig,
  readPins,
  releasePath,
  resolveParts,
  resolveRuntimeConfig,
} from './config.ts';
import { downloadsOf, Releases } from './releases.ts';
import { downloadLine, readRuntimeArchive } from './setup.ts';

/** A file whose digest is recorded, and what it has to look like. */
interface Part {
  readonly name: string;
  readonly platform: VmPlatform;
  readonly file: ReleaseFile;
}

/**
 * Records what the files of the current versions are. A rolling file is recorded only where its release's API states
 * nothing: the next release would be refused.
 * @throws failure where not one file could be had, or one is not what its name says
 */
export async function recordDigests(ctx: RunnerContext, isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const config = resolveRuntimeConfig(ctx);
  const { directory, release } = config;
  const parts = partsToPin(ctx, config);
  const remedy = 'install the tasks where you may write';
  const places = files(release.pinsPath).map((place) => ({ ...place, remedy }));
  verifyPlaces(terminal, [...places, { kind: 'directory', path: downloadsOf(directory) }]);
  if (isDryRun) {
    const lines = parts.map(({ file }) => downloadLine(release, file).replace(/ \(verified: .*/, ''));
    return terminal.result(`# creates ${downloadsOf(directory)}`, ...lines, `# writes ${release.pinsPath}`);
  }
  const lock = { ...runtimeLock(directory), task: 'VM runtime', other: 'another setup of the same VM runtime' };
  await whileLocked(ctx, lock, async () => {
    const releases = new Releases(ctx, release, directory);
    const before = readPins(release.pinsPath);
    const after = await digestsOf(ctx, releases, parts, before);
    writePins(release.pinsPath, after);
    releases.removeDownloads();
    const lines = pinsDifference(before, after);
    const summary = lines.length === 0 ? 'unchanged' : 'recorded; look at the difference, and keep it with the suite';
    terminal.say(`${release.pinsPath}: ${summary}`);
    terminal.result(...lines);
  });
}

/** The files of all platforms, each once. */
function partsToPin({ env }: RunnerContext, { root }: RuntimeConfig): Part[] {
  const all = VM_PLATFORMS.flatMap((platform) =>
    Object.entries(resolveParts(env, root, platform)).map(([name, file]) => ({ name, platform, file })),
  );
  return [...new Map(all.map((part) => [releasePath(part.file, part.file.names[0]), part])).values()];
}

async function digestsOf({ terminal }: RunnerContext, releases: Releases, parts: readonly Part[], before: Pins) {
  const after = new Map(before);
  let isFound = false;
  for (const part of parts) {
    const { file } = part;
    const statement = file.isRolling ? await releases.statement(file) : undefined;
    const isStated = statement !== undefined && 'sha256' in statement;
    if (!isStated && statement?.kind === 'unreachable') {
      const why = `its release's API cannot be asked (${statement.reason})`;
      terminal.warn(`${file.what}: what comes is recorded as it is, because ${why}; the next release will be refused`);
    }
    const found = isStated ? {} : await findDigest(releases, part);
    if (found === undefined) {
      terminal.warn(`${file.what}: the release has no such file; what is recorded of it stays`);
      continue;
    }
    isFound = true;
    for (const name of file.names) after.delete(releasePath(file, name));
    for (const [path, sha256] of Object.entries(found)) after.set(path, sha256);
  }
  if (isFound) return after;
  throw failure('no file could be downloaded, so nothing is recorded; check the network and try again');
}

/** @throws failure for a file that is not what its name says: what is recorded is trusted from then on */
async function findDigest(releases: Releases, { file, name, platform }: Part) {
  for (const one of file.names) {
    const content = await releases.fetchUnverified(file, one);
    if (content === undefined) continue;
    if (name === 'runtime') readRuntimeArchive(`what came for ${file.what}`, content, platform);
    const defect = name === 'runtime' ? undefined : partDefect(content, platform, name);
    if (defect === undefined) return { [releasePath(file, one)]: sha256Of(content) };
    const remedy = 'check what is between here and the server';
    throw failure(`${file.what} is not recorded: what came is ${defect}; ${remedy}`);
  }
  return undefined;
}

export function writePins(path: string, pins: Pins): void {
  writeWhole(path, `${JSON.stringify(Object.fromEntries([...pins].sort()), null, 2)}\n`, 0o644);
}

/** What a refresh changes, as lines: `- path digest`, `+ path digest`. */
export function pinsDifference(before: Pins, after: Pins): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changed = paths.filter((path) => before.get(path) !== after.get(path));
  return changed.flatMap((path) => [
    ...(before.has(path) ? [`- ${path} ${before.get(path)}`] : []),
    ...(after.has(path) ? [`+ ${path} ${after.get(path)}`] : []),
  ]);
}
