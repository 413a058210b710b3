// SPDX-License-Identifier: Apache-2.0

/** Asking the registry what a reference points at, with the engine's own tools: their logins, mirrors and TLS settings. */

import type { Runner } from '../build-env.ts';
import type { Environment } from '../cli/env.ts';
import { question } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { shown } from '../errors.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { publishingOf } from './engines/index.ts';
import type { PlatformImage, Reading, ReadingFacts } from './engines/types.ts';

const READING_TIMEOUT_MS = 60_000;
/** Questions under way at once. */
const AT_ONCE = 8;

/** What the registry says about a reference. */
export type RegistryAnswer =
  | { readonly kind: 'there'; readonly reading: Reading }
  | { readonly kind: 'absent' }
  /** The registry keeps it from us, or has no such image and does not tell us. */
  | { readonly kind: 'forbidden'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

export class RegistryReader {
  readonly #runner: Runner;
  readonly #engine: Engine;
  readonly #root: string;
  readonly #facts: Omit<ReadingFacts, 'localName'>;
  readonly #run: string;
  #count = 0;
  /** Names that readings have made on this machine. */
  readonly localNames: string[] = [];

  constructor(
    runner: Runner,
    engine: Engine,
    env: Environment,
    about: { root: string; run: string; builder: string | undefined; isIndex: boolean },
  ) {
    this.#runner = runner;
    this.#engine = engine;
    this.#root = about.root;
    this.#run = about.run;
    this.#facts = {
      program: engine.program,
      builder: about.builder,
      isIndex: about.isIndex,
      hasSkopeo: findProgram('skopeo', env) !== undefined,
    };
  }

  /** Reads references, several at once. */
  async read(references: readonly string[]): Promise<Map<string, RegistryAnswer>> {
    const answers = new Map<string, RegistryAnswer>();
    for (let at = 0; at < references.length; at += AT_ONCE) {
      const some = references.slice(at, at + AT_ONCE);
      const read = await Promise.all(some.map((reference) => this.#readOne(reference)));
      for (const [index, reference] of some.entries()) answers.set(reference, read[index] as RegistryAnswer);
    }
    return answers;
  }

  async #readOne(reference: string): Promise<RegistryAnswer> {
    const plan = publishingOf(this.#engine.record.name).reading(reference, {
      ...this.#facts,
      localName: `read-${++this.#count}:${this.#run}`,
    });
    let answer: ProbeResult = { ok: false, reason: 'nothing was asked' };
    for (const [index, words] of plan.commands.entries()) {
      answer = await this.#runner.probe(question(words, this.#root), READING_TIMEOUT_MS);
      if (!answer.ok) break;
      if (index === 0) this.localNames.push(...plan.leaves);
    }
    if (!answer.ok) return classify(answer.reason);
    const reading = plan.parse(answer.output);
    return reading === undefined
      ? { kind: 'failed', reason: `${reference} is no image: ${shown(answer.output)}` }
      : { kind: 'there', reading };
  }
}

/**
 * Engines have no status for "not there": their words decide, and those of registries in them. A registry
 * that has no such image yet may also say that it is denied; one that wants a (right) password never has it.
 */
export function classify(reason: string): RegistryAnswer {
  if (/no basic auth credentials|authentication required|invalid username/i.test(reason)) {
    return { kind: 'failed', reason };
  }
  if (/: not found\s*$|manifest unknown|name unknown|\b404\b/im.test(reason)) return { kind: 'absent' };
  if (/denied|forbidden|insufficient_scope|not authorized|\b403\b/i.test(reason)) return { kind: 'forbidden', reason };
  return { kind: 'failed', reason };
}

/** Whether two lists hold the same images; a platform that is not known fits any. */
export function isSameImages(left: readonly PlatformImage[], right: readonly PlatformImage[]): boolean {
  return left.length === right.length && left.every((one) => right.some((other) => isSameImage(one, other)));
}

function isSameImage(one: PlatformImage, other: PlatformImage): boolean {
  const fits = one.platform === undefined || other.platform === undefined || one.platform === other.platform;
  return fits && one.digest === other.digest;
}

/** Whether a reference points at what was published: by the digest, where the engine tells it, else by the images. */
export function isAt(reading: Reading, wanted: Reading): boolean {
  if (reading.digest !== undefined && wanted.digest !== undefined) return reading.digest === wanted.digest;
  return isSameImages(reading.images, wanted.images);
}
