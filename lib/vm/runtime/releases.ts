// SPDX-License-Identifier: Apache-2.0

/** Files of releases, through `gh` or the public URL: given to nobody before their SHA-256 is what it has to be. */

import { lstatSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure, isFailure, oneLine, type TaskError } from '../../errors.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { bytesIn, contentOf } from '../../fs/paths.ts';
import { type DownloadRequest, download, NoSuchFile, progressOf, useProxies } from '../../net/download.ts';
import { cmd } from '../../process/command.ts';
import { findProgram } from '../../process/which.ts';
import { beside, type Digests, sha256Of } from '../runtime-files.ts';
import {
  GITHUB,
  pinOf,
  type ReleaseConfig,
  type ReleaseFile,
  readPins,
  releasePath,
  UPDATE_COMMAND,
  unpinned,
} from './config.ts';

const API_MS = 15_000;
const GH_MS = 60_000;
const GH_DOWNLOAD_MS = 600_000;

/** What is not there, as `gh` says it: the release, or the file in it. */
const ABSENT = /release not found|no assets match/i;
/** What `gh` says when it cannot look an attestation up, rather than that one is missing or wrong. */
const UNCHECKED =
  /unknown command|dial tcp|no such host|timeout|timed out|deadline|connect|\bEOF\b|\b(?:Get|Post) "|tls:|x509:|\bTUF\b|HTTP (?:40[1378]|429|5\d\d)|permission denied|read-only|no space|gh auth login|not logged in|GH_TOKEN/i;

/** What a file has to be, before it is downloaded, and who says so, for users: `the recorded SHA-256`. */
type Expectation = Readonly<Record<'name' | 'sha256' | 'source', string>>;

/** Where downloads for a place are until they are verified and staged: a directory for this user alone. */
export function downloadsOf(path: string): string {
  return beside(path, 'downloads');
}

export class Releases {
  readonly #ctx: RunnerContext;
  readonly #config: ReleaseConfig;
  readonly #scratch: string;
  readonly #pins: Digests;
  #hasGh: boolean;

  /** @param path what the files are for; what is not verified is beside it @throws usageError for a wrong proxy */
  constructor(ctx: RunnerContext, config: ReleaseConfig, path: string) {
    this.#ctx = ctx;
    this.#config = config;
    this.#scratch = downloadsOf(path);
    this.#pins = readPins(config.pinsPath);
    this.#hasGh = findProgram('gh', ctx.env) !== undefined;
    useProxies(ctx.env);
    // Never through a link, or in a directory that others could write to.
    const found = lstatSync(this.#scratch, { throwIfNoEntry: false });
    if (found !== undefined && (!found.isDirectory() || (found.mode & 0o77) !== 0)) this.removeDownloads();
    makeDirectory(this.#scratch, 0o700);
  }

  /** What a file has to be. @throws usageError where nothing tells: anybody could have put it there */
  async expect(file: ReleaseFile): Promise<Expectation> {
    const pin = pinOf(this.#pins, file);
    if (pin !== undefined) return { ...pin, source: 'the recorded SHA-256' };
    if (!file.isRolling) throw unpinned(this.#config, file);
    const sha256 = await this.stated(file);
    if (sha256 === undefined) throw unpinned(this.#config, file, ", and the release's API states none");
    return { name: file.names[0], sha256, source: "the SHA-256 that the release's API states" };
  }

  /** The SHA-256 that the release's API states, if any. @throws failure where it cannot be asked, or has no such file */
  async stated(file: ReleaseFile): Promise<string | undefined> {
    const query = `repos/${file.repository}/releases/tags/${encodeURIComponent(file.tag)}`;
    const [url, path] = [`${this.#config.apiUrl}/${query}`, join(this.#scratch, 'release.json')];
    let release: Record<string, unknown> | undefined;
    try {
      await this.#receive({ url, path, isVerified: false, stallMs: API_MS }, file.what);
      release = parseTable(contentOf(path).toString());
      if (release === undefined) throw failure(`${url} has not sent JSON`);
    } catch (error) {
      if (!isFailure(error)) throw error;
      // It may tell only those who are signed in.
      const answer = await this.#gh(['api', query], GH_MS);
      release = answer?.ok ? parseTable(answer.output) : undefined;
      const remedy = `try again, or, where it cannot be reached at all, record what is trusted with ${UPDATE_COMMAND}`;
      if (release === undefined) throw failure(`${file.what} cannot be verified now: ${error.message}; ${remedy}`);
    }
    if (!Array.isArray(release.assets)) return undefined;
    const asset: unknown = release.assets.find((one: unknown) => isTable(one) && one.name === file.names[0]);
    if (!isTable(asset)) throw absent(file, this.#config.apiUrl);
    return /^sha256:([0-9a-f]{64})$/.exec(String(asset.digest))?.[1];
  }

  /** A file, and how it was verified, for users. @throws failure where it is something else or cannot be had */
  async fetch(file: ReleaseFile, { name, sha256, source }: Expectation) {
    const path = join(this.#scratch, `${name}.${sha256.slice(0, 16)}.part`);
    const kept = asOwner(path, () => bytesIn(path));
    const isKept = kept !== undefined && sha256Of(kept) === sha256;
    if (!isKept && !(await this.#download(file, name, path, true))) throw absent(file, this.#config.baseUrl);
    const content = isKept ? kept : contentOf(path);
    const found = sha256Of(content);
    if (found !== sha256) {
      asOwner(this.#scratch, () => rmSync(path, { force: true }));
      const remedy = `try again in some minutes; if it was replaced on purpose, record it with ${UPDATE_COMMAND}`;
      throw failure(`${file.what} is refused: its SHA-256 is ${found}, and ${source} is ${sha256}; ${remedy}`);
    }
    // What is recorded is what was looked at: only a digest that GitHub states needs more.
    const isStated = pinOf(this.#pins, file) === undefined;
    const more = isStated && (await this.#isAttested(file, path)) ? ', and its attestation' : '';
    return { content, verified: source + more };
  }

  /** A file as it is, to record what it is; `undefined` where the release has no file of this name. */
  async fetchUnverified(file: ReleaseFile, name: string): Promise<Buffer | undefined> {
    const path = join(this.#scratch, `${name}.part`);
    return (await this.#download(file, name, path, false)) ? contentOf(path) : undefined;
  }

  /** @returns whether the release has a file of this name */
  async #download(file: ReleaseFile, name: string, path: string, isVerified: boolean): Promise<boolean> {
    const { baseUrl, stallMs } = this.#config;
    const found = baseUrl === GITHUB ? await this.#downloadWithGh(file, name, path) : undefined;
    if (found !== undefined) return found;
    const url = `${baseUrl}/${releasePath(file, name).split('/').map(encodeURIComponent).join('/')}`;
    this.#ctx.terminal.say(`downloading ${url}`);
    try {
      await this.#receive({ url, path, isVerified, stallMs }, file.what);
      return true;
    } catch (error) {
      if (error instanceof NoSuchFile) return false;
      throw error;
    }
  }

  async #receive(request: DownloadRequest, what: string): Promise<void> {
    const { signals, terminal } = this.#ctx;
    const effects = { signal: signals.aborted, update: progressOf(terminal, what) };
    await download(request, { ...effects, say: (text) => terminal.say(text) });
  }

  /** @returns whether there is such a file; `undefined` where gh cannot tell, and is not used again */
  async #downloadWithGh({ repository, tag }: ReleaseFile, name: string, path: string): Promise<boolean | undefined> {
    if (!this.#hasGh) return undefined;
    asOwner(dirname(path), () => rmSync(path, { force: true }));
    this.#ctx.terminal.say(`downloading ${name} of ${repository} ${tag} with gh`);
    const args = ['release', 'download', tag, '--repo', repository, '--pattern', name, '--output', path];
    const result = await this.#gh(args, GH_DOWNLOAD_MS);
    if (result?.ok !== false) return true;
    if (ABSENT.test(result.reason)) return false;
    this.#hasGh = false;
    this.#ctx.terminal.say(`gh fails: ${oneLine(result.reason)}; going on without it`);
    return undefined;
  }

  /** Whether a file's attestation is right; that it cannot be looked up is said. @throws failure for a wrong one */
  async #isAttested({ repository, what }: ReleaseFile, path: string): Promise<boolean> {
    const result = await this.#gh(['attestation', 'verify', path, '--repo', repository], GH_MS);
    if (result === undefined || result.ok) return result !== undefined;
    const reason = oneLine(result.reason);
    if (result.timedOut !== true && !UNCHECKED.test(reason)) {
      throw failure(`${what} is refused: gh attestation verify does not accept it: ${reason}`);
    }
    this.#ctx.terminal.warn(`${what}: its attestation could not be checked: ${reason}`);
    return false;
  }

  /** What `gh` says, as the user who called sudo has set it up; `undefined` where there is none to ask. */
  async #gh(args: readonly string[], timeoutMs: number) {
    if (!this.#hasGh) return undefined;
    const env = { GH_PROMPT_DISABLED: '1', GH_HOST: 'github.com' };
    return this.#ctx.runner.probe(cmd({ cwd: '/', asInvoker: true, env })`gh ${args}`, timeoutMs);
  }

  /** Removes what was downloaded: it is in its place, and is not needed any more. */
  removeDownloads(): void {
    asOwner(this.#scratch, () => rmSync(this.#scratch, { force: true, recursive: true }));
  }
}

/** @param place the URL of what was asked */
function absent({ isRolling, names, repository, tag, what }: ReleaseFile, place: string): TaskError {
  const publisher = isRolling ? '; the workflow "Release VM Kernel" publishes it' : '';
  return failure(`${what}: the release ${tag} of ${repository} at ${place} has no ${names.join(' or ')}${publisher}`);
}
