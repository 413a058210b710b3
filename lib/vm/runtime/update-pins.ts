// SPDX-License-Identifier: Apache-2.0

/** Recording the SHA-256 of every file that a runtime of any platform is made of, and showing what that changes. */

import type { RunnerContext } from '../../build-env.ts';
import type { Environment } from '../../cli/env.ts';
import { failure, isFailure } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { files, verifyPlaces } from '../../fs/writable-places.ts';
import { type Digests, partDefect, sha256Of, VM_PLATFORMS } from '../runtime-files.ts';
import { downloadLine, readPins, releasePath, resolveParts, resolveRuntimeConfig } from './config.ts';
import { downloadsOf, Releases } from './releases.ts';
import { readRuntimeArchive } from './setup.ts';

/** Records what the files of the current versions are; a rolling one only where its release's API states nothing. */
export async function recordDigests(ctx: RunnerContext, isDryRun: boolean): Promise<void> {
  const { env, terminal } = ctx;
  const { release, root } = resolveRuntimeConfig(ctx);
  const { pinsPath } = release;
  const parts = partsOf(env, root);
  const remedy = 'install the tasks where you may write';
  const places = [...files(pinsPath), { kind: 'directory', path: downloadsOf(pinsPath) } as const];
  const writes = places.map((place) => ({ ...place, remedy }));
  verifyPlaces(terminal, writes);
  if (isDryRun) {
    const lines = parts.map(({ file }) => downloadLine(release, file).replace(/ \(verified: .*/, ''));
    return terminal.result(`# creates ${downloadsOf(pinsPath)}`, ...lines, `# writes ${pinsPath}`);
  }
  const releases = new Releases(ctx, release, pinsPath);
  const before = readPins(pinsPath);
  try {
    const after = await digestsOf(ctx, releases, parts, before);
    writePins(pinsPath, after);
    const lines = pinsDifference(before, after);
    const summary = lines.length === 0 ? 'unchanged' : 'recorded; look at the difference, and keep it with the suite';
    terminal.say(`${pinsPath}: ${summary}`);
    terminal.result(...lines);
  } finally {
    releases.removeDownloads();
  }
}

type Part = ReturnType<typeof partsOf>[number];

/** The files of all platforms, each once. */
function partsOf(env: Environment, root: string) {
  const all = VM_PLATFORMS.flatMap((platform) =>
    Object.entries(resolveParts(env, root, platform)).map(([name, file]) => ({ name, platform, file })),
  );
  return [...new Map(all.map((part) => [releasePath(part.file, part.file.names[0]), part])).values()];
}

async function digestsOf({ terminal }: RunnerContext, releases: Releases, parts: readonly Part[], before: Digests) {
  const after = { ...before };
  let isFound = false;
  for (const part of parts) {
    const { file } = part;
    const stated =
      file.isRolling &&
      (await releases.stated(file).catch((error: unknown) => {
        if (!isFailure(error)) throw error;
        terminal.warn(`what comes is recorded as it is, and the next release will be refused: ${error.message}`);
      }));
    const found = stated ? {} : await findDigest(releases, part);
    if (found === undefined) {
      terminal.warn(`${file.what}: the release has no such file; what is recorded of it stays`);
      continue;
    }
    isFound = true;
    for (const name of file.names) delete after[releasePath(file, name)];
    Object.assign(after, found);
  }
  if (isFound) return after;
  throw failure('no file could be downloaded, so nothing is recorded; check the network and try again');
}

/** @throws failure for a file that is not what its name says: what is recorded is trusted from then on */
async function findDigest(releases: Releases, { file, name, platform }: Part): Promise<Digests | undefined> {
  for (const one of file.names) {
    const content = await releases.fetchUnverified(file, one);
    if (content === undefined) continue;
    if (name === 'runtime') readRuntimeArchive(`what came for ${file.what}`, content, platform);
    const defect = name === 'runtime' ? undefined : partDefect(content, platform, name);
    if (defect === undefined) return { [releasePath(file, one)]: sha256Of(content) };
    throw failure(`${file.what} is not recorded: what came is ${defect}; check what is between here and the server`);
  }
  return undefined;
}

export function writePins(path: string, pins: Digests): void {
  writeWhole(path, `${JSON.stringify(Object.fromEntries(Object.entries(pins).sort()), null, 2)}\n`, 0o644);
}

/** What a refresh changes, as lines: `- path digest`, `+ path digest`. */
export function pinsDifference(before: Digests, after: Digests): string[] {
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changed = paths.filter((path) => before[path] !== after[path]);
  const line = (sign: string, path: string, pins: Digests) => (path in pins ? [`${sign} ${path} ${pins[path]}`] : []);
  return changed.flatMap((path) => [...line('-', path, before), ...line('+', path, after)]);
}
