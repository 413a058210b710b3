// SPDX-License-Identifier: Apache-2.0

/** Carrying out the plan of a publish: builds, content, tags, and the proof from the registry. */

import type { Engine } from '../engine/engine.ts';
import type { PlatformImage, Reading } from '../engine/publishing.ts';
import { failure, oneLine } from '../errors.ts';
import type { Workbench } from '../task.ts';
import type { Terminal } from '../terminal.ts';
import type { PlannedReference, PublishPlan } from './plan.ts';
import { isAt, isSameImages, type RegistryAnswer, type RegistryReader } from './registry.ts';
import { Progress, type Row, stateOf } from './report.ts';
import { Steps } from './steps.ts';

type Answers = ReadonlyMap<string, RegistryAnswer>;

export class Performance {
  readonly #terminal: Terminal;
  readonly #plan: PublishPlan;
  readonly #reader: RegistryReader;
  /** What the references were. */
  readonly #before: Answers;
  readonly #steps: Steps;
  readonly #references: readonly PlannedReference[];
  readonly #progress: Progress;

  constructor(
    bench: Workbench,
    about: { readonly config: { readonly root: string }; readonly engine: Engine; readonly plan: PublishPlan },
    reader: RegistryReader,
    before: Answers,
  ) {
    this.#terminal = bench.terminal;
    this.#plan = about.plan;
    this.#reader = reader;
    this.#before = before;
    this.#steps = new Steps(bench, about.engine, about.config.root);
    this.#references = [...about.plan.platforms, ...about.plan.tags];
    this.#progress = new Progress(this.#references);
  }

  /**
   * Builds both images. No reference of the registry moves.
   *
   * @throws TaskError with the failed program's own status
   */
  async build(): Promise<void> {
    await this.#explained('images', async () => {
      for (const step of this.#plan.builds) await this.#steps.run(step);
    });
  }

  /**
   * Pushes content, sets tags, and asks the registry.
   *
   * @returns what the registry has now, in the order of the plan
   * @throws TaskError with the failed program's own status, and with what had been set by then
   */
  async publish(): Promise<Row[]> {
    const { platforms } = this.#plan;
    if (platforms.length > 0) {
      await this.#explained('content', async () => {
        for (const reference of platforms) await this.#set(reference);
      });
    }
    await this.#explained('tags', () => this.#setTags());
    return this.#explained('read back', () => this.#readBack());
  }

  async #explained<T>(title: string, body: () => Promise<T>): Promise<T> {
    try {
      return await this.#terminal.section(title, body);
    } catch (error) {
      throw this.#progress.explain(error);
    }
  }

  #set(reference: PlannedReference): Promise<void> {
    return this.#progress.during(reference, () => this.#steps.run(reference.step));
  }

  /** Sets the tags that do not point at what was built; for the others nothing is started. */
  async #setTags(): Promise<void> {
    const { assemblies, tags } = this.#plan;
    for (const { component } of assemblies) this.#learnDigest(component);
    const moving = new Set(tags.filter((reference) => !this.#isSet(reference)).map(({ component }) => component));
    for (const component of moving) await this.#assemble(component);
    // With podman the first tag of a component tells the digest, and others may turn out to be set.
    for (const reference of tags) if (!this.#isSet(reference)) await this.#set(reference);
  }

  #isSet(reference: PlannedReference): boolean {
    const digest = this.#steps.valueOf(reference.slot);
    return digest !== undefined && this.#readingBefore(reference)?.digest === digest;
  }

  /** The names that the first step makes are removed at the end, whatever happens. */
  async #assemble(component: string): Promise<void> {
    for (const assembly of this.#plan.assemblies.filter((one) => one.component === component)) {
      for (const [index, step] of assembly.steps.entries()) {
        await this.#steps.run(step);
        if (index === 0) this.#reader.localNames.push(...assembly.localNames);
      }
    }
  }

  /** Where no build tells the digest, the tags do, if all of them already list what was built. */
  #learnDigest(component: string): void {
    const tags = this.#plan.tags.filter((reference) => reference.component === component);
    const slot = tags[0]?.slot ?? '';
    if (this.#steps.valueOf(slot) !== undefined) return;
    const images = this.#imagesOf(component);
    const readings = tags.map((reference) => this.#readingBefore(reference));
    const digest = readings[0]?.digest;
    const isAgreed = readings.every((one) => one?.digest === digest && isSameImages(one?.images ?? [], images));
    if (digest !== undefined && isAgreed) this.#steps.learn(slot, digest);
  }

  /** The images of a component's platforms; empty where content is pushed without references. */
  #imagesOf(component: string): PlatformImage[] {
    return this.#plan.platforms
      .filter((reference) => reference.component === component)
      .map(({ platforms, slot }) => ({ platform: platforms[0], digest: this.#steps.valueOf(slot) ?? '' }));
  }

  #readingBefore({ reference }: PlannedReference): Reading | undefined {
    const answer = this.#before.get(reference);
    return answer?.kind === 'there' ? answer.reading : undefined;
  }

  async #readBack(): Promise<Row[]> {
    const now = await this.#reader.read(this.#references.map(({ reference }) => reference));
    return this.#references.map((planned) => {
      const { component, platforms, reference, slot } = planned;
      const digest = this.#steps.valueOf(slot) ?? '';
      const alone = [{ platform: platforms[0], digest }];
      const images = this.#plan.platforms.includes(planned) ? alone : this.#imagesOf(component);
      const reading = verifyReading(planned, now.get(reference), { digest, images });
      return { component, reference, digest, platforms, state: stateOf(this.#before.get(reference), reading) };
    });
  }
}

/** @throws failure unless the registry has what was published: the digest, and an image for each platform */
function verifyReading(
  { platforms, reference }: PlannedReference,
  answer: RegistryAnswer | undefined,
  wanted: Reading,
): Reading {
  if (answer?.kind !== 'there') {
    const reason = answer === undefined || answer.kind === 'absent' ? 'it is not there' : oneLine(answer.reason);
    throw failure(`${reference} cannot be read back: ${reason}`);
  }
  const { reading } = answer;
  const has = reading.images.map(({ platform }) => platform);
  const isForAll = has.includes(undefined) || platforms.every((platform) => has.includes(platform));
  if (isAt(reading, wanted) && isForAll && has.length === platforms.length) return reading;
  const found = `${reading.digest ?? 'a list'} for ${has.join(', ') || 'no platform'}`;
  throw failure(
    `${reference} is ${found} in the registry, but ${wanted.digest} for ${platforms.join(', ')} was published; ` +
      'somebody else may have moved it meanwhile',
  );
}
