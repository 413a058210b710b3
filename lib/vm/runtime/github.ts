// SPDX-License-Identifier: Apache-2.0

/** What GitHub says of a release: through `gh` where the user is signed in, else through its public API. */

import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure, oneLine, shown } from '../../errors.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { Progress } from '../../net/progress.ts';
import { networkSetback, setbackOf } from '../../net/responses.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { ProbeResult } from '../../process/result.ts';
import { findProgram } from '../../process/which.ts';
import type { ReleaseFile } from './config.ts';

const PROBE_MS = 15_000;
/** A slow line may take this long for 60 MB. */
const DOWNLOAD_MS = 3_600_000;
const WATCH_MS = 1000;
const API_MS = 15_000;

/** What is not there, as `gh` says it: the release, or the file in it. */
const ABSENT = /release not found|no assets match/i;
/** What `gh` says when it cannot look an attestation up, rather than that one is missing or wrong. */
const UNCHECKED = /unknown command|dial tcp|no such host|timeout|connection|HTTP 5\d\d|HTTP 401|gh auth login/i;

/** What the release's API states of a file: its SHA-256, or why there is none. */
export type Statement = { readonly sha256: string } | { readonly reason: string; readonly isAbsent?: true };

/** `gh`, as the user who called sudo has set it up. */
export class GitHubCli {
  readonly #ctx: RunnerContext;
  #signedIn: Promise<boolean> | undefined;

  constructor(ctx: RunnerContext) {
    this.#ctx = ctx;
  }

  /** Whether there is a `gh` that is signed in; probed once. */
  isSignedIn(): Promise<boolean> {
    this.#signedIn ??= this.#probeSignedIn();
    return this.#signedIn;
  }

  async #probeSignedIn(): Promise<boolean> {
    if (findProgram('gh', this.#ctx.env) === undefined) return false;
    return (await this.#probe(['auth', 'status', '--hostname', 'github.com'], PROBE_MS)).ok;
  }

  /**
   * Downloads a file of a release into a directory.
   * @param size how much of it is there
   * @returns its path; `undefined` where there is no such release or file
   * @throws failure with gh's own reason
   */
  async download(
    { repository, tag, what }: ReleaseFile,
    name: string,
    directory: string,
    size: () => number,
  ): Promise<string | undefined> {
    const progress = new Progress(this.#ctx.terminal, what);
    const watch = setInterval(() => progress.update(size(), undefined), WATCH_MS);
    const args = ['release', 'download', tag, '--repo', repository, '--pattern', name, '--dir', directory, '--clobber'];
    const result = await this.#probe(args, DOWNLOAD_MS).finally(() => clearInterval(watch));
    if (result.ok) return join(directory, name);
    if (ABSENT.test(result.reason)) return undefined;
    throw failure(`${what}: gh cannot download ${name}: ${oneLine(result.reason)}; try again, or sign out of gh`);
  }

  /** What came of the attestation of a file: verified, or why it could not be looked up. */
  async verifyAttestation({ repository, what }: ReleaseFile, path: string): Promise<{ readonly unchecked?: string }> {
    const result = await this.#probe(['attestation', 'verify', path, '--repo', repository], API_MS * 4);
    if (result.ok) return {};
    const reason = oneLine(result.reason);
    if (result.timedOut === true || UNCHECKED.test(reason)) return { unchecked: reason };
    throw failure(`${what} is refused: gh attestation verify does not accept it: ${reason}`);
  }

  #probe(args: readonly string[], timeoutMs: number): Promise<ProbeResult> {
    const command: Command = cmd({ cwd: '/', asInvoker: true, env: { GH_PROMPT_DISABLED: '1' } })`gh ${args}`;
    return this.#ctx.runner.probe(command, timeoutMs);
  }
}

/** Asks the API what the SHA-256 of a release's file is. */
export async function readStatement(
  apiUrl: string,
  { repository, tag }: ReleaseFile,
  name: string,
  signal: AbortSignal,
): Promise<Statement> {
  const url = `${apiUrl}/repos/${repository}/releases/tags/${encodeURIComponent(tag)}`;
  try {
    const headers = { accept: 'application/vnd.github+json', 'user-agent': 'openshell-tasks' };
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, AbortSignal.timeout(API_MS)]) });
    const setback = setbackOf(response.status, response.headers, Date.now());
    if (setback !== undefined) return { reason: `${url}: ${setback.reason}` };
    return statementOf(await response.text(), name) ?? { reason: `${url} states none` };
  } catch (error) {
    signal.throwIfAborted();
    const reason = networkSetback(error)?.reason;
    if (reason === undefined && !(error instanceof DOMException)) throw error;
    return { reason: `${url}: ${reason ?? 'no response in time'}` };
  }
}

/** What a release in JSON states of a file; `undefined` where it states no SHA-256. */
export function statementOf(text: string, name: string): Statement | undefined {
  const assets = parseTable(text)?.assets;
  if (!Array.isArray(assets)) return undefined;
  const asset: unknown = assets.find((one: unknown) => isTable(one) && one.name === name);
  if (!isTable(asset)) return { reason: `the release has no file ${shown(name)}`, isAbsent: true };
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(String(asset.digest))?.[1];
  return sha256 === undefined ? undefined : { sha256 };
}
