// SPDX-License-Identifier: Apache-2.0

/** Where the parts of a runtime come from: the `provenance.json` that goes with it. */

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { oneLine } from '../../errors.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { textIn } from '../../fs/paths.ts';
import { cmd } from '../../process/command.ts';
import { BUILD_RECORD } from '../local-build.ts';
import { provenanceOf, type VmPlatform } from '../runtime-files.ts';
import type { ProvenanceSettings, RuntimeConfig } from './config.ts';

const GIT_MS = 15_000;
const UNKNOWN = 'unknown';

/** What a build says of itself. */
export interface BuildFacts {
  readonly libkrunfwCommit: string;
  readonly kernelVersion: string;
  readonly libkrunCommit: string;
  /** When it was built, in seconds since 1970. */
  readonly builtAt: number;
}

/**
 * Reads what the directory of a build says of itself.
 * @param directory it has the record of `build-libkrun`, or the repositories that were built
 * @param custom a directory whose own provenance wins
 * @param library the file whose time is that of the build
 */
export async function readBuildFacts(
  ctx: RunnerContext,
  directory: string,
  custom: string | undefined,
  library: string,
): Promise<BuildFacts> {
  const given = custom === undefined ? undefined : provenanceOf(custom);
  const built = parseTable(textIn(join(directory, BUILD_RECORD)) ?? '');
  const commit = async (name: 'libkrunfw' | 'libkrun') => {
    const recorded = built?.[name];
    return textOf(isTable(recorded) ? recorded.commit : undefined) ?? (await commitOf(ctx, join(directory, name)));
  };
  const [libkrunfw, libkrun] = await Promise.all([
    textOf(given?.libkrunfw_commit) ?? commit('libkrunfw'),
    commit('libkrun'),
  ]);
  return {
    libkrunfwCommit: libkrunfw,
    kernelVersion:
      textOf(given?.kernel_version) ??
      textOf(built?.kernel) ??
      kernelVersionIn(textIn(join(directory, 'libkrunfw/Makefile')) ?? ''),
    libkrunCommit: libkrun,
    builtAt: Math.floor(statSync(library).mtimeMs / 1000),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The kernel that a Makefile of libkrunfw names: `linux-6.12.76`. */
export function kernelVersionIn(makefile: string): string {
  return /^[ \t]*KERNEL_VERSION[ \t]*[:?]?=[ \t]*(linux-\S+)/m.exec(makefile)?.[1] ?? UNKNOWN;
}

async function commitOf({ runner }: RunnerContext, repository: string): Promise<string> {
  if (!existsSync(join(repository, '.git'))) return UNKNOWN;
  const result = await runner.probe(cmd({ cwd: repository, asInvoker: true })`git rev-parse HEAD`, GIT_MS);
  return result.ok && /^[0-9a-f]{40,64}$/.test(result.output) ? result.output : UNKNOWN;
}

/** The time that a runtime bears, in seconds since 1970. */
export function timeOf({ time }: ProvenanceSettings, { builtAt }: BuildFacts): number {
  return time ?? builtAt;
}

/** The programs of an archive that are of other versions than was asked for, as lines. */
export function otherVersions(provenance: string | undefined, asked: Readonly<Record<string, string>>): string[] {
  return ['gvproxy', 'umoci'].flatMap((name) => {
    const version = textOf(parseTable(provenance ?? '')?.[`${name}_version`]);
    if (version === undefined || version === asked[name]) return [];
    return `its ${name} is ${oneLine(version)}; ${asked[name]} has no effect on it`;
  });
}

/** The text of `provenance.json`; the order is that of the release's archives. */
export function provenanceText(
  settings: ProvenanceSettings,
  platform: VmPlatform,
  versions: RuntimeConfig['versions'],
  facts: BuildFacts,
): string {
  const provenance = {
    artifact: 'vm-runtime',
    platform,
    build_timestamp: new Date(timeOf(settings, facts) * 1000).toISOString().replace(/\.000Z$/, 'Z'),
    libkrunfw_commit: facts.libkrunfwCommit,
    kernel_version: facts.kernelVersion,
    gvproxy_version: versions.GVPROXY_VERSION,
    umoci_version: versions.UMOCI_VERSION,
    github_sha: settings.githubSha,
    github_run_id: settings.githubRunId,
    libkrun_commit: facts.libkrunCommit,
  };
  return `${JSON.stringify(provenance, null, 2)}\n`;
}
