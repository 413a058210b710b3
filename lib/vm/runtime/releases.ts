// SPDX-License-Identifier: Apache-2.0

/**
 * Files of releases, got and verified: nothing is given to anybody before its SHA-256 is the one that is recorded, or,
 * for the rolling release of the runtime, the one that the release's API states.
 */

import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure, InterruptedError, shown, TaskError, usageError } from '../../errors.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { bytesIn, contentOf } from '../../fs/paths.ts';
import { download, NoSuchFile, progressOf, useProxies } from '../../net/download.ts';
import { beside, type RuntimeRecord, sha256Of } from '../runtime-files.ts';
import {
  type Pins,
  pinsOf,
  type ReleaseConfig,
  type ReleaseFile,
  readPins,
  releasePath,
  UPDATE_COMMAND,
} from './config.ts';
import { GitHubCli, sizeOf } from './github.ts';

const API_MS = 15_000;
const API_ATTEMPTS = 3;

/** What a file has to be, before it is downloaded. */
interface Expectation {
  readonly name: string;
  readonly sha256: string;
  /** For users: `the recorded SHA-256`. */
  readonly source: string;
}

interface VerifiedFile {
  readonly content: Buffer;
  /** Its SHA-256, by its path below the server. */
  readonly source: RuntimeRecord['sources'];
  /** How it was verified, for users. */
  readonly verified: string;
}

/** What the release's API states of a file: its SHA-256, or why there is none. */
type Statement =
  | { readonly sha256: string }
  | { readonly reason: string; readonly kind: 'absent' | 'silent' | 'unreachable' };

/** Where downloads for a place are until they are verified and staged: a directory for this user alone. */
export function downloadsOf(path: string): string {
  return beside(path, 'downloads');
}

export class Releases {
  readonly #ctx: RunnerContext;
  readonly #config: ReleaseConfig;
  readonly #scratch: string;
  readonly #gh: GitHubCli;
  readonly #pins: Pins;
  #isReady = false;

  /**
   * @param path what the files are for; what is not verified is beside it
   * @throws usageError for wrong pins
   */
  constructor(ctx: RunnerContext, config: ReleaseConfig, path: string) {
    this.#ctx = ctx;
    this.#config = config;
    this.#scratch = downloadsOf(path);
    this.#gh = new GitHubCli(ctx);
    this.#pins = readPins(config.pinsPath);
  }

  /**
   * What a file has to be, the likelier name first.
   * @throws usageError where nothing tells: no program may be embedded that anybody could have put there
   */
  async expect(file: ReleaseFile): Promise<readonly Expectation[]> {
    const pinned = pinsOf(this.#pins, file).map((pin) => ({ ...pin, source: 'the recorded SHA-256' }));
    if (pinned.length > 0) return pinned;
    if (!file.isRolling) throw unpinned(this.#config, file);
    const statement = await this.statement(file);
    if ('sha256' in statement) {
      return [{ name: file.names[0], ...statement, source: "the SHA-256 that the release's API states" }];
    }
    const { kind, reason } = statement;
    if (kind === 'absent') throw absent(file, this.#config.apiUrl);
    if (kind === 'silent') throw unpinned(this.#config, file, `, and ${reason}`);
    const otherwise = `or, where it cannot be reached at all, record what is trusted with ${UPDATE_COMMAND}`;
    throw failure(`${file.what} cannot be verified now: ${reason}; try again, ${otherwise}`);
  }

  /** A content that is recorded of a file, as a source; `undefined` for any other. */
  recordedAs(file: ReleaseFile, content: Buffer): RuntimeRecord['sources'] | undefined {
    const sha256 = sha256Of(content);
    const pin = pinsOf(this.#pins, file).find((one) => one.sha256 === sha256);
    return pin && { [releasePath(file, pin.name)]: sha256 };
  }

  /**
   * What the release's API states of a file: through gh where it cannot be reached without, as what is not public it
   * tells only those who are signed in.
   */
  async statement({ names: [name], repository, tag }: ReleaseFile): Promise<Statement> {
    const { signals, terminal } = this.#ctx;
    await this.#prepare();
    const query = `repos/${repository}/releases/tags/${encodeURIComponent(tag)}`;
    const path = join(this.#scratch, 'release.json');
    const request = { url: `${this.#config.apiUrl}/${query}`, path, isVerified: false, stallMs: API_MS };
    try {
      const say = (text: string) => terminal.say(text);
      await download({ ...request, attempts: API_ATTEMPTS }, { signal: signals.aborted, say });
      return statementOf(contentOf(path).toString(), name);
    } catch (error) {
      if (!(error instanceof TaskError) || error instanceof InterruptedError) throw error;
      const text = await this.#gh.ask(query);
      if (text !== undefined) return statementOf(text, name);
      // That there is no such release is a statement, too.
      return { reason: error.message, kind: error instanceof NoSuchFile ? 'silent' : 'unreachable' };
    }
  }

  /**
   * Gets a file and verifies it.
   * @throws usageError where nothing tells what it has to be, failure where it is something else or cannot be had
   */
  async fetch(file: ReleaseFile, expectations?: readonly Expectation[]): Promise<VerifiedFile> {
    for (const expectation of expectations ?? (await this.expect(file))) {
      const path = join(this.#scratch, `${expectation.name}.${expectation.sha256.slice(0, 16)}.part`);
      const content = await this.#arrive(file, expectation, path);
      if (content === undefined) continue;
      const source = { [releasePath(file, expectation.name)]: expectation.sha256 };
      // What is recorded is what was looked at: only a digest that GitHub states needs more.
      const isEnough = !file.isRolling || pinsOf(this.#pins, file).length > 0;
      const more = !isEnough && (await this.#gh.isAttested(file, path)) ? ', and its attestation' : '';
      return { content, source, verified: expectation.source + more };
    }
    throw absent(file, this.#config.baseUrl);
  }

  /**
   * A file with the digest that is expected: one that an earlier run has left, or what comes.
   * @returns `undefined` where the release has no file of this name
   */
  async #arrive(file: ReleaseFile, expectation: Expectation, path: string): Promise<Buffer | undefined> {
    await this.#prepare();
    const { name, sha256 } = expectation;
    const kept = asOwner(path, () => bytesIn(path));
    if (kept !== undefined && sha256Of(kept) === sha256) {
      this.#ctx.terminal.say(`${file.what}: an earlier run has downloaded it`);
      return kept;
    }
    if (!(await this.#download(file, name, path, true))) return undefined;
    const content = contentOf(path);
    const found = sha256Of(content);
    if (found === sha256) return content;
    asOwner(this.#scratch, () => rmSync(path, { force: true }));
    if (kept === undefined || kept.length === 0) throw mismatch(file, expectation, found);
    this.#ctx.terminal.say(`${file.what}: what an earlier run has left does not fit; downloading all of it`);
    return this.#arrive(file, expectation, path);
  }

  /**
   * Gets a file as it is, to record what it is.
   * @returns `undefined` where the release has no file of this name
   */
  async fetchUnverified(file: ReleaseFile, name: string): Promise<Buffer | undefined> {
    await this.#prepare();
    const path = join(this.#scratch, `${name}.part`);
    return (await this.#download(file, name, path, false)) ? contentOf(path) : undefined;
  }

  /** @returns whether the release has a file of this name */
  async #download(file: ReleaseFile, name: string, path: string, isVerified: boolean): Promise<boolean> {
    const { signals, terminal } = this.#ctx;
    const { baseUrl, isMirror, stallMs } = this.#config;
    const found = isMirror ? undefined : await this.#gh.download(file, name, path, stallMs);
    if (found !== undefined) return found;
    const url = `${baseUrl}/${releasePath(file, name).split('/').map(encodeURIComponent).join('/')}`;
    terminal.say(`${isVerified && sizeOf(path) > 0 ? 'continuing' : 'downloading'} ${url}`);
    const say = (text: string) => terminal.say(text);
    const update = progressOf(terminal, file.what);
    try {
      await download({ url, path, isVerified, stallMs }, { signal: signals.aborted, update, say });
      return true;
    } catch (error) {
      if (error instanceof NoSuchFile) return false;
      throw error;
    }
  }

  /**
   * Before anything is asked for or written: the directory is this user's alone, or made anew. In one that others could
   * write to, links could lead elsewhere.
   * @throws usageError for a wrong proxy
   */
  async #prepare(): Promise<void> {
    if (this.#isReady) return;
    this.#isReady = true;
    useProxies(this.#ctx.env);
    const found = lstatSync(this.#scratch, { throwIfNoEntry: false });
    if (found !== undefined && (!found.isDirectory() || (found.mode & 0o77) !== 0)) this.removeDownloads();
    makeDirectory(this.#scratch, 0o700);
  }

  /** Removes what was downloaded: it is in its place, and is not needed any more. */
  removeDownloads(): void {
    asOwner(this.#scratch, () => rmSync(this.#scratch, { force: true, recursive: true }));
  }
}

/** What a release in JSON states of a file. */
function statementOf(text: string, name: string): Statement {
  const none = { reason: "the release's API states none", kind: 'silent' } as const;
  const release = parseTable(text);
  if (release === undefined) return { reason: "what came from the release's API is not JSON", kind: 'unreachable' };
  if (!Array.isArray(release.assets)) return none;
  const asset: unknown = release.assets.find((one: unknown) => isTable(one) && one.name === name);
  if (!isTable(asset)) return { reason: `the release has no file ${shown(name)}`, kind: 'absent' };
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(String(asset.digest))?.[1];
  return sha256 === undefined ? none : { sha256 };
}

/**
 * The refusal of a file that nothing is recorded of: no program may be embedded that anybody could have put there.
 * @param reason why nothing else tells what it has to be
 */
export function unpinned({ baseUrl }: ReleaseConfig, file: ReleaseFile, reason = ''): TaskError {
  const url = `${baseUrl}/${releasePath(file, file.names[0])}`;
  return usageError(`${file.what}: no SHA-256 of ${url} is recorded${reason}; record it with ${UPDATE_COMMAND}`);
}

function mismatch({ what }: ReleaseFile, { sha256, source }: Expectation, found: string): TaskError {
  const remedy = `try again in some minutes; if the release was replaced on purpose, record it with ${UPDATE_COMMAND}`;
  return failure(`${what} is refused: its SHA-256 is ${found}, and ${source} is ${sha256}; ${remedy}`);
}

/** @param place the URL of what was asked */
function absent({ isRolling, names, repository, tag, what }: ReleaseFile, place: string): TaskError {
  const name = names.length > 1 ? `none of ${names.join(', ')}` : `no ${names[0]}`;
  const publisher = isRolling ? '; the workflow "Release VM Kernel" publishes it' : '';
  return failure(`${what}: the release ${tag} of ${repository} at ${place} has ${name}${publisher}`);
}
