// SPDX-License-Identifier: Apache-2.0

/**
 * Files of releases, got and verified: nothing is given to anybody before its SHA-256 is the one that is recorded, or,
 * for the rolling release of the runtime, the one that the release's API states.
 */

import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { bytesIn, contentOf } from '../../fs/paths.ts';
import { download, NoSuchFile } from '../../net/download.ts';
import { Progress } from '../../net/progress.ts';
import { useProxies } from '../../net/proxy.ts';
import type { ReleaseConfig, ReleaseFile } from './config.ts';
import { GitHubCli, type ReleaseText, readRelease, type Statement, statementOf } from './github.ts';
import { type Pins, pinsOf, readPins, releasePath, UPDATE_COMMAND, unpinned } from './pins.ts';
import { type StagingRecord, sha256Of } from './record.ts';
import { makeScratch, sizeOf } from './scratch.ts';

/** What a file has to be, before it is downloaded. */
export interface Expectation {
  readonly name: string;
  /** `undefined` where only an attestation can tell. */
  readonly sha256: string | undefined;
  /** For users: `the recorded SHA-256`. */
  readonly source: string;
}

export interface VerifiedFile {
  readonly content: Buffer;
  /** Its SHA-256, by its path below the server. */
  readonly source: StagingRecord['sources'];
  /** How it was verified, for users. */
  readonly verified: string;
}

/** A file that has come and is not verified. */
interface Arrived {
  readonly path: string;
  readonly content: Buffer;
  /** Whether a part of it was there before this run. */
  readonly isContinued: boolean;
}

export class Releases {
  readonly #ctx: RunnerContext;
  readonly #config: ReleaseConfig;
  readonly #scratch: string;
  readonly #gh: GitHubCli;
  readonly #pins: Pins;
  #online: Promise<void> | undefined;
  /** What the API says of the only release that is rolling. */
  #release: Promise<ReleaseText> | undefined;
  #hasScratch = false;

  /**
   * @param scratch a directory of this run alone, for what is not verified
   * @throws usageError for wrong pins
   */
  constructor(ctx: RunnerContext, config: ReleaseConfig, scratch: string) {
    this.#ctx = ctx;
    this.#config = config;
    this.#scratch = scratch;
    this.#gh = new GitHubCli(ctx);
    this.#pins = readPins(config.pinsPath);
  }

  /**
   * What a file has to be, the likelier name first.
   * @throws usageError where nothing tells: no program may be embedded that anybody could have put there
   */
  async expect(file: ReleaseFile): Promise<readonly [Expectation, ...Expectation[]]> {
    const [first, ...rest] = pinsOf(this.#pins, file).map((pin) => ({ ...pin, source: 'the recorded SHA-256' }));
    if (first !== undefined) return [first, ...rest];
    if (!file.isRolling) throw unpinned(this.#config, file);
    const [name] = file.names;
    const statement = await this.statement(file);
    if ('sha256' in statement) {
      return [{ name, sha256: statement.sha256, source: "the SHA-256 that the release's API states" }];
    }
    if (statement.isAbsent) throw absent(file, this.#config.apiUrl);
    if (this.#gh.isUsable) return [{ name, sha256: undefined, source: 'its attestation' }];
    throw this.#untold(file, statement, 'gh is not on PATH');
  }

  /** Why nothing tells what a file has to be; an API that could not be asked may tell it later. */
  #untold(file: ReleaseFile, { isUnreachable, reason }: Exclude<Statement, { readonly sha256: string }>, gh: string) {
    if (isUnreachable !== true) return unpinned(this.#config, file, `, ${gh}, and ${reason}`);
    const otherwise = `or, where it cannot be reached at all, record what is trusted with ${UPDATE_COMMAND}`;
    return failure(`${file.what} cannot be verified now: ${gh}, and ${reason}; try again, ${otherwise}`);
  }

  /** A content that is recorded of a file, as a source; `undefined` for any other. */
  recordedAs(file: ReleaseFile, sha256: string): StagingRecord['sources'] | undefined {
    const pin = pinsOf(this.#pins, file).find((one) => one.sha256 === sha256);
    return pin && { [releasePath(file, pin.name)]: sha256 };
  }

  /** What the release's API states of a file; it is asked once. */
  async statement(file: ReleaseFile): Promise<Statement> {
    await this.#goOnline();
    this.#makeScratch();
    this.#release ??= readRelease(this.#ctx, this.#config.apiUrl, file, this.#scratch);
    const release = await this.#release;
    return 'text' in release ? statementOf(release.text, file.names[0]) : release;
  }

  /**
   * Gets a file and verifies it.
   * @throws usageError where nothing tells what it has to be, failure where it is something else or cannot be had
   */
  async fetch(file: ReleaseFile, expectations?: readonly Expectation[]): Promise<VerifiedFile> {
    for (const expectation of expectations ?? (await this.expect(file))) {
      const arrived = this.#kept(file, expectation) ?? (await this.#arrive(file, expectation));
      if (arrived === undefined) continue;
      const verified = await this.#verify(file, expectation, arrived);
      // It stays until it is staged: a run that ends before does not download it again.
      asOwner(this.#scratch, () => renameSync(arrived.path, this.#partOf(expectation.name, expectation.sha256)));
      return verified;
    }
    throw absent(file, this.#config.baseUrl);
  }

  /** Another version of a file is another part. */
  #partOf(name: string, sha256: string | undefined): string {
    return join(this.#scratch, `${name}.${sha256?.slice(0, 16) ?? 'new'}.part`);
  }

  /** Once per run, before anything is read or written there. */
  #makeScratch(): void {
    if (!this.#hasScratch) makeScratch(this.#scratch);
    this.#hasScratch = true;
  }

  /** What an earlier run has downloaded, where it is whole. */
  #kept({ what }: ReleaseFile, { name, sha256 }: Expectation): Arrived | undefined {
    const path = this.#partOf(name, sha256);
    if (sha256 === undefined || sizeOf(path) === 0) return undefined;
    this.#makeScratch();
    const content = asOwner(path, () => bytesIn(path));
    if (content === undefined || sha256Of(content) !== sha256) return undefined;
    this.#ctx.terminal.say(`${what}: an earlier run has downloaded it`);
    return { path, content, isContinued: false };
  }

  /**
   * Gets a file as it is, to record what it is.
   * @returns `undefined` where the release has no file of this name
   */
  async fetchUnverified(file: ReleaseFile, name: string): Promise<Buffer | undefined> {
    const arrived = await this.#arrive(file, { name });
    if (arrived === undefined) return undefined;
    asOwner(this.#scratch, () => rmSync(arrived.path, { force: true }));
    refusePage(file, arrived.content);
    return arrived.content;
  }

  /** @param wanted an expectation, or a name alone for a file that is not verified */
  async #arrive(file: ReleaseFile, wanted: Expectation | { readonly name: string }): Promise<Arrived | undefined> {
    const { name } = wanted;
    this.#makeScratch();
    if (!this.#config.isMirror && this.#gh.isUsable) {
      const size = () => sizeOf(join(this.#scratch, name));
      const result = await this.#gh.download(file, name, this.#scratch, size, this.#config.stallMs);
      if (result === 'absent') return undefined;
      if (result !== 'failed') return { path: result.path, content: contentOf(result.path), isContinued: false };
      if ('source' in wanted && wanted.sha256 === undefined) {
        const statement = await this.statement(file);
        if (!('sha256' in statement)) throw this.#untold(file, statement, 'gh cannot be used');
      }
    }
    return this.#download(file, name, 'source' in wanted ? wanted.sha256 : undefined);
  }

  async #download(file: ReleaseFile, name: string, sha256: string | undefined): Promise<Arrived | undefined> {
    const { signals, terminal } = this.#ctx;
    await this.#goOnline();
    const url = `${this.#config.baseUrl}/${releasePath(file, name).split('/').map(encodeURIComponent).join('/')}`;
    const path = this.#partOf(name, sha256);
    const isContinued = sha256 !== undefined && sizeOf(path) > 0;
    const progress = new Progress(terminal, file.what);
    terminal.say(`${isContinued ? 'continuing' : 'downloading'} ${url}`);
    try {
      await download(
        { url, path, isVerified: sha256 !== undefined, stallMs: this.#config.stallMs },
        {
          signal: signals.aborted,
          update: (received, total) => progress.update(received, total),
          say: (text) => terminal.say(text),
        },
      );
    } catch (error) {
      if (error instanceof NoSuchFile) return undefined;
      throw error;
    }
    return { path, content: contentOf(path), isContinued };
  }

  /** @throws usageError for a wrong proxy */
  #goOnline(): Promise<void> {
    this.#online ??= useProxies(this.#ctx.env);
    return this.#online;
  }

  async #verify(file: ReleaseFile, expectation: Expectation, arrived: Arrived): Promise<VerifiedFile> {
    const { content, isContinued, path } = arrived;
    const sha256 = sha256Of(content);
    const isPinned = pinsOf(this.#pins, file).length > 0;
    if (expectation.sha256 !== undefined && sha256 !== expectation.sha256) {
      asOwner(this.#scratch, () => rmSync(path, { force: true }));
      if (isContinued) {
        this.#ctx.terminal.say(`${file.what}: what an earlier run has left does not fit; downloading all of it`);
        return this.fetch(file, [expectation]);
      }
      throw mismatch(file, expectation, sha256, content, isPinned);
    }
    const source = { [releasePath(file, expectation.name)]: sha256 };
    // What is recorded is what was looked at: only a digest that GitHub states needs more.
    if (!file.isRolling || isPinned) return { content, source, verified: expectation.source };
    const isAttested = await this.#attestation(file, expectation, path);
    // The attestation is of the file, and what is used is what was read before.
    if (sha256Of(contentOf(path)) !== sha256) throw failure(`${path} has changed while it was verified; try again`);
    return {
      content,
      source,
      verified: isAttested ? `${expectation.source}, and its attestation` : expectation.source,
    };
  }

  /** @returns whether the attestation was verified in addition to a digest */
  async #attestation(file: ReleaseFile, { sha256 }: Expectation, path: string): Promise<boolean> {
    const problem = this.#gh.isUsable ? await this.#gh.attestationProblem(file, path) : 'gh cannot be used';
    if (problem === undefined) return sha256 !== undefined;
    if (sha256 === undefined) {
      throw failure(
        `${file.what} cannot be verified: ${problem}; try again, or record its SHA-256 with ${UPDATE_COMMAND}`,
      );
    }
    if (this.#gh.isUsable) this.#ctx.terminal.warn(`${file.what}: its attestation could not be checked: ${problem}`);
    return false;
  }
}

function mismatch(
  file: ReleaseFile,
  { sha256, source }: Expectation,
  found: string,
  content: Buffer,
  isPinned: boolean,
) {
  refusePage(file, content);
  const remedy = isPinned
    ? `try again; if the release was replaced on purpose, record it with ${UPDATE_COMMAND}`
    : 'try again in some minutes: the release may be being replaced; a mirror may have an older file, then ask who keeps it';
  return failure(`${file.what} is refused: its SHA-256 is ${found}, and ${source} is ${sha256}; ${remedy}`);
}

/** A login page or the error of a proxy that calls itself a file. */
function refusePage(file: ReleaseFile, content: Buffer): void {
  if (!/^\s*<(!doctype|html)/i.test(content.toString('latin1', 0, 200))) return;
  throw failure(`${file.what} is refused: it is a web page; check what is between here and the server`);
}

/** @param place the URL of what was asked */
function absent({ names, repository, tag, what }: ReleaseFile, place: string) {
  const name = names.length > 1 ? `none of ${names.join(', ')}` : `no ${names[0]}`;
  const publisher = names[0].startsWith('vm-runtime-') ? '; the workflow "Release VM Kernel" publishes it' : '';
  return failure(`${what}: the release ${tag} of ${repository} at ${place} has ${name}${publisher}`);
}
