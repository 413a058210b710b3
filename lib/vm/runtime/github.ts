// SPDX-License-Identifier: Apache-2.0

/** `gh`, as the user who called sudo has set it up. Whether it is signed in is told by the first thing that it does. */

import { lstatSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { seconds } from '../../cli/terminal.ts';
import { failure, oneLine } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { progressOf } from '../../net/download.ts';
import { cmd } from '../../process/command.ts';
import { findProgram } from '../../process/which.ts';
import type { ReleaseFile } from './config.ts';

/** A slow line may take this long for 60 MB, as long as something comes. */
const DOWNLOAD_MS = 3_600_000;
const WATCH_MS = 1000;
const ASK_MS = 60_000;

/** What is not there, as `gh` says it: the release, or the file in it. */
const ABSENT = /release not found|no assets match/i;
/** What `gh` says when it cannot look an attestation up, rather than that one is missing or wrong. */
const UNCHECKED =
  /unknown command|dial tcp|no such host|timeout|timed out|deadline|connect|\bEOF\b|\b(?:Get|Post) "|tls:|x509:|\bTUF\b|HTTP (?:40[378]|429|5\d\d)|permission denied|read-only|no space/i;
const SIGNED_OUT = /gh auth login|not logged in|HTTP 401|GH_TOKEN/i;

/** The size of a file in bytes; 0 where there is none. */
export function sizeOf(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

export class GitHubCli {
  readonly #ctx: RunnerContext;
  #isUsable: boolean;

  constructor(ctx: RunnerContext) {
    this.#ctx = ctx;
    this.#isUsable = findProgram('gh', ctx.env) !== undefined;
  }

  /**
   * Downloads a file of a release. A `gh` that fails is not used again.
   * @param stallMs how long nothing may come
   * @returns whether there is such a file; `undefined` where gh cannot tell
   */
  async download(file: ReleaseFile, name: string, path: string, stallMs: number): Promise<boolean | undefined> {
    if (!this.#isUsable) return undefined;
    const { repository, tag, what } = file;
    const { terminal } = this.#ctx;
    terminal.say(`downloading ${name} of ${repository} ${tag} with gh`);
    const stall = new AbortController();
    const update = progressOf(terminal, what);
    let [received, since] = [0, performance.now()];
    const watch = setInterval(() => {
      if (sizeOf(path) !== received) [received, since] = [sizeOf(path), performance.now()];
      else if (performance.now() - since >= stallMs) stall.abort();
      update(received, undefined);
    }, WATCH_MS);
    asOwner(dirname(path), () => rmSync(path, { force: true }));
    const args = ['release', 'download', tag, '--repo', repository, '--pattern', name, '--output', path];
    const result = await this.#probe(args, DOWNLOAD_MS, stall.signal).finally(() => clearInterval(watch));
    if (result.ok) return true;
    if (ABSENT.test(result.reason)) return false;
    this.#isUsable = false;
    const reason = stall.signal.aborted ? `no byte came for ${seconds(stallMs)}` : oneLine(result.reason);
    terminal.say(`gh ${SIGNED_OUT.test(reason) ? 'is not signed in' : `fails: ${reason}`}; going on without it`);
    return undefined;
  }

  /** What the API says to a query; `undefined` where gh cannot tell. */
  async ask(query: string): Promise<string | undefined> {
    const result = this.#isUsable ? await this.#probe(['api', query], ASK_MS) : undefined;
    return result?.ok === true ? result.output : undefined;
  }

  /**
   * Whether the attestation of a file was verified; where it cannot be looked up, that is said.
   * @throws failure where gh does not accept it
   */
  async isAttested({ repository, what }: ReleaseFile, path: string): Promise<boolean> {
    if (!this.#isUsable) return false;
    const result = await this.#probe(['attestation', 'verify', path, '--repo', repository], ASK_MS);
    if (result.ok) return true;
    const reason = oneLine(result.reason);
    if (result.timedOut !== true && !UNCHECKED.test(reason) && !SIGNED_OUT.test(reason)) {
      throw failure(`${what} is refused: gh attestation verify does not accept it: ${reason}`);
    }
    this.#ctx.terminal.warn(`${what}: its attestation could not be checked: ${reason}`);
    return false;
  }

  #probe(args: readonly string[], timeoutMs: number, unless?: AbortSignal) {
    const env = { GH_PROMPT_DISABLED: '1', GH_HOST: 'github.com' };
    return this.#ctx.runner.probe(
      cmd({ cwd: '/', asInvoker: true, env })`gh ${args}`,
      timeoutMs,
      unless === undefined ? {} : { unless },
    );
  }
}
