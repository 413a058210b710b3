// SPDX-License-Identifier: Apache-2.0

/** What GitHub says of a release: through `gh` where the user is signed in, else through its public API. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { seconds } from '../../cli/terminal.ts';
import { failure, InterruptedError, oneLine, shown, TaskError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import { download, NoSuchFile } from '../../net/download.ts';
import { Progress } from '../../net/progress.ts';
import { cmd } from '../../process/command.ts';
import type { ProbeResult } from '../../process/result.ts';
import { findProgram } from '../../process/which.ts';
import type { ReleaseFile } from './config.ts';

/** A slow line may take this long for 60 MB, as long as something comes. */
const DOWNLOAD_MS = 3_600_000;
const WATCH_MS = 1000;
const API_MS = 15_000;
const API_ATTEMPTS = 3;
const ATTESTATION_MS = 60_000;

/** What is not there, as `gh` says it: the release, or the file in it. */
const ABSENT = /release not found|no assets match/i;
/** What `gh` says when it cannot look an attestation up, rather than that one is missing or wrong. */
const UNCHECKED =
  /unknown command|dial tcp|no such host|timeout|deadline|connect|\bEOF\b|\b(?:Get|Post) "|tls:|x509:|\bTUF\b|HTTP (?:40[378]|429|5\d\d)|permission denied|read-only|no space/i;
const SIGNED_OUT = /gh auth login|not logged in|HTTP 401|GH_TOKEN/i;

type ProbeOptions = Parameters<RunnerContext['runner']['probe']>[2];

/** What the release's API states of a file: its SHA-256, or why there is none. */
export type Statement =
  | { readonly sha256: string }
  | { readonly reason: string; readonly isAbsent?: true; readonly isUnreachable?: true };

/** `gh`, as the user who called sudo has set it up. Whether it is signed in is told by the first thing that it does. */
export class GitHubCli {
  readonly #ctx: RunnerContext;
  #isUsable: boolean;

  constructor(ctx: RunnerContext) {
    this.#ctx = ctx;
    this.#isUsable = findProgram('gh', ctx.env) !== undefined;
  }

  /** Whether there is a `gh`, and nothing is known to be wrong with it. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /**
   * Downloads a file of a release into a directory. A `gh` that fails is not used again.
   * @param size how much of it is there
   * @param stallMs how long nothing may come
   * @returns its path, `absent` where there is no such release or file, `failed` where gh cannot tell
   */
  async download(
    { repository, tag, what }: ReleaseFile,
    name: string,
    directory: string,
    size: () => number,
    stallMs: number,
  ): Promise<{ readonly path: string } | 'absent' | 'failed'> {
    const { terminal } = this.#ctx;
    terminal.say(`downloading ${name} of ${repository} ${tag} with gh`);
    const progress = new Progress(terminal, what);
    const stall = new AbortController();
    let [received, since] = [0, performance.now()];
    const watch = setInterval(() => {
      if (size() !== received) [received, since] = [size(), performance.now()];
      else if (performance.now() - since >= stallMs) stall.abort();
      progress.update(received, undefined);
    }, WATCH_MS);
    // gh would write through whatever has the name.
    asOwner(directory, () => rmSync(join(directory, name), { force: true, recursive: true }));
    const args = ['release', 'download', tag, '--repo', repository, '--pattern', name, '--dir', directory];
    const unless = stall.signal;
    const result = await this.#probe(args, DOWNLOAD_MS, { unless }).finally(() => clearInterval(watch));
    if (result.ok) return { path: join(directory, name) };
    if (ABSENT.test(result.reason)) return 'absent';
    this.#isUsable = false;
    const reason = unless.aborted ? `no byte came for ${seconds(stallMs)}` : oneLine(result.reason);
    const why = SIGNED_OUT.test(reason) ? 'is not signed in' : `fails: ${reason}`;
    terminal.say(`gh ${why}; going on without it`);
    return 'failed';
  }

  /**
   * Verifies the attestation of a file.
   * @returns why it could not be looked up; `undefined` where it was verified
   * @throws failure where gh does not accept it
   */
  async attestationProblem({ repository, what }: ReleaseFile, path: string): Promise<string | undefined> {
    const result = await this.#probe(['attestation', 'verify', path, '--repo', repository], ATTESTATION_MS);
    if (result.ok) return undefined;
    const reason = oneLine(result.reason);
    if (result.timedOut === true || UNCHECKED.test(reason) || SIGNED_OUT.test(reason)) return reason;
    throw failure(`${what} is refused: gh attestation verify does not accept it: ${reason}`);
  }

  #probe(args: readonly string[], timeoutMs: number, options: ProbeOptions = {}): Promise<ProbeResult> {
    const command = cmd({
      cwd: '/',
      asInvoker: true,
      env: { GH_PROMPT_DISABLED: '1', GH_HOST: 'github.com' },
    })`gh ${args}`;
    return this.#ctx.runner.probe(command, timeoutMs, options);
  }
}

/** What the API says of a release, or why there is nothing. */
export type ReleaseText = { readonly text: string } | { readonly reason: string; readonly isUnreachable?: true };

/**
 * Asks the API about a release.
 * @param scratch a directory of this run, which exists
 */
export async function readRelease(
  { signals, terminal }: RunnerContext,
  apiUrl: string,
  { repository, tag }: ReleaseFile,
  scratch: string,
): Promise<ReleaseText> {
  const url = `${apiUrl}/repos/${repository}/releases/tags/${encodeURIComponent(tag)}`;
  const path = join(scratch, 'release.json');
  try {
    await download(
      { url, path, isVerified: false, stallMs: API_MS, attempts: API_ATTEMPTS },
      { signal: signals.aborted, update: () => undefined, say: (text) => terminal.say(text) },
    );
    return { text: contentOf(path).toString() };
  } catch (error) {
    if (!(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    // That there is no such release is a statement, too.
    return { reason: error.message, ...(error instanceof NoSuchFile ? {} : { isUnreachable: true as const }) };
  }
}

/** What a release in JSON states of a file. */
export function statementOf(text: string, name: string): Statement {
  const none = { reason: "the release's API states none" };
  const release = parseTable(text);
  if (release === undefined) return { reason: "what came from the release's API is not JSON", isUnreachable: true };
  const { assets } = release;
  if (!Array.isArray(assets)) return none;
  const asset: unknown = assets.find((one: unknown) => isTable(one) && one.name === name);
  if (!isTable(asset)) return { reason: `the release has no file ${shown(name)}`, isAbsent: true };
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(String(asset.digest))?.[1];
  return sha256 === undefined ? none : { sha256 };
}
