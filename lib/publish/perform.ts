// SPDX-License-Identifier: Apache-2.0

/** Carrying out the plan of a publish: builds, content, tags, and the proof from the registry. */

import type { Engine } from '../engine/engine.ts';
import type { PlatformImage, Reading } from '../engine/publishing.ts';
import { failure, oneLine } from '../errors.ts';
import type { Workbench } from '../task.ts';
import type { PlannedReference, PublishPlan } from './plan.ts';
import { isAt, isSameImages, type RegistryAnswer, type RegistryReader } from './registry.ts';
import { Progress, type Row, stateOf } from './report.ts';
import { Steps } from './steps.ts';

export interface Performance {
  readonly config: { readonly root: string };
  readonly engine: Engine;
  readonly plan: PublishPlan;
}

/**
 * Carries the plan out.
 *
 * @param before what the references were
 * @returns what the registry has now, in the order of the plan
 * @throws TaskError with the failed program's own status and what had moved by then
 */
export async function perform(
  bench: Workbench,
  { config, engine, plan }: Performance,
  reader: RegistryReader,
  before: ReadonlyMap<string, RegistryAnswer>,
): Promise<Row[]> {
  const { terminal } = bench;
  const steps = new Steps(bench, engine, config.root);
  const references = [...plan.platforms, ...plan.tags];
  const progress = new Progress(references);
  try {
    await terminal.section('images', async () => {
      for (const step of plan.builds) await steps.run(step);
    });
    if (plan.platforms.length > 0) {
      await terminal.section('content', async () => {
        for (const reference of plan.platforms) await progress.during(reference, () => steps.run(reference.step));
      });
    }
    await terminal.section('tags', () => setTags(plan, steps, progress, before, reader));
    return await terminal.section('read back', () => readBack(references, plan, steps, reader, before));
  } catch (error) {
    throw progress.explain(error);
  }
}

/** Sets the tags that do not point at what was built; for the others nothing is started. */
async function setTags(
  plan: PublishPlan,
  steps: Steps,
  progress: Progress,
  before: ReadonlyMap<string, RegistryAnswer>,
  reader: RegistryReader,
): Promise<void> {
  for (const { component } of plan.assemblies) learnDigest(plan, component, steps, before);
  const isSet = (reference: PlannedReference) => {
    const digest = steps.valueOf(reference.slot);
    return digest !== undefined && readingIn(before, reference)?.digest === digest;
  };
  const moving = new Set(plan.tags.filter((reference) => !isSet(reference)).map(({ component }) => component));
  for (const component of moving) await assemble(plan, component, steps, reader);
  // With podman the first tag of a component tells the digest, and others may turn out to be set.
  for (const reference of plan.tags) {
    if (!isSet(reference)) await progress.during(reference, () => steps.run(reference.step));
  }
}

/** The names that the first step makes are removed at the end, whatever happens. */
async function assemble(plan: PublishPlan, component: string, steps: Steps, reader: RegistryReader): Promise<void> {
  for (const assembly of plan.assemblies.filter((one) => one.component === component)) {
    for (const [index, step] of assembly.steps.entries()) {
      await steps.run(step);
      if (index === 0) reader.localNames.push(...assembly.localNames);
    }
  }
}

/** Where the digest is not known from the build: it is known from the tags, if all of them already list what was built. */
function learnDigest(
  plan: PublishPlan,
  component: string,
  steps: Steps,
  before: ReadonlyMap<string, RegistryAnswer>,
): void {
  const tags = plan.tags.filter((reference) => reference.component === component);
  const [slot, images] = [tags[0]?.slot ?? '', imagesOf(plan, component, steps)];
  if (steps.valueOf(slot) !== undefined) return;
  const readings = tags.map((reference) => readingIn(before, reference));
  const digest = readings[0]?.digest;
  const isAgreed = readings.every(
    (reading) => reading?.digest === digest && isSameImages(reading?.images ?? [], images),
  );
  if (digest !== undefined && isAgreed) steps.learn(slot, digest);
}

/** The images of a component's platforms; empty where content is pushed without references. */
function imagesOf(plan: PublishPlan, component: string, steps: Steps): PlatformImage[] {
  return plan.platforms
    .filter((reference) => reference.component === component)
    .map(({ platforms, slot }) => ({ platform: platforms[0], digest: steps.valueOf(slot) ?? '' }));
}

function readingIn(answers: ReadonlyMap<string, RegistryAnswer>, { reference }: PlannedReference): Reading | undefined {
  const answer = answers.get(reference);
  return answer?.kind === 'there' ? answer.reading : undefined;
}

async function readBack(
  references: readonly PlannedReference[],
  plan: PublishPlan,
  steps: Steps,
  reader: RegistryReader,
  before: ReadonlyMap<string, RegistryAnswer>,
): Promise<Row[]> {
  const now = await reader.read(references.map(({ reference }) => reference));
  return references.map((reference) => {
    const isPlatform = plan.platforms.includes(reference);
    const digest = steps.valueOf(reference.slot) ?? '';
    const images = isPlatform
      ? [{ platform: reference.platforms[0], digest }]
      : imagesOf(plan, reference.component, steps);
    const reading = verifyReading(reference, now.get(reference.reference), { digest, images });
    return {
      component: reference.component,
      reference: reference.reference,
      digest,
      platforms: reference.platforms,
      state: stateOf(before.get(reference.reference), reading),
    };
  });
}

/** @throws failure unless the registry has what was published: the digest, and an image for each platform */
function verifyReading(reference: PlannedReference, answer: RegistryAnswer | undefined, wanted: Reading): Reading {
  if (answer?.kind !== 'there') {
    const reason = answer === undefined || answer.kind === 'absent' ? 'it is not there' : oneLine(answer.reason);
    throw failure(`${reference.reference} cannot be read back: ${reason}`);
  }
  const { reading } = answer;
  const has = reading.images.map(({ platform }) => platform);
  const platforms = reference.platforms;
  const isComplete =
    has.length === platforms.length && (has.includes(undefined) || platforms.every((one) => has.includes(one)));
  if (isAt(reading, wanted) && isComplete) return reading;
  const found = `${reading.digest ?? 'a list'} for ${has.join(', ') || 'no platform'}`;
  throw failure(
    `${reference.reference} is ${found} in the registry, but ${wanted.digest} for ${platforms.join(', ')} was published; ` +
      'somebody else may have moved it meanwhile',
  );
}
