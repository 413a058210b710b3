// SPDX-License-Identifier: Apache-2.0

/** Publishing both images: everything is checked, compiled, built, pushed and tagged, and then read back from the registry. */
/** Carrying out the plan of a publish: builds, content, tags, and the proof from the registry. */
/** Steps of a plan as commands: what earlier steps have given is filled in where it is wanted. */

import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import type { Environment } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import type { Terminal } from '../cli/terminal.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { EXIT, failure, oneLine, shown, usageError } from '../errors.ts';
import { temporaryRoot } from '../fs/temp.ts';
import { thisHost } from '../host.ts';
import { dockerfileOf, verifyDockerfile } from '../image/config.ts';
import { verifyPrebuilt, withStaged } from '../image/staged-binaries.ts';
import { argvText, type Command, command, shellQuote } from '../process/command.ts';
import { resolveStageConfig, type StageConfig } from '../stage/config.ts';
import { prepareStage } from '../stage/execute.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import { type BuilderChoice, chooseBuilder, foreignPlatforms } from './builder.ts';
import { removeNames, runWord, sweep } from './cleanup.ts';
import { type PublishConfig, resolvePublishConfig } from './config.ts';
import type { PlatformImage, PublishStep, Reading } from './engines/types.ts';
import { hasLocalCache, type PlannedReference, PUBLISHED, type PublishPlan, planPublish } from './plan.ts';
import { isAt, isSameImages, type RegistryAnswer, RegistryReader } from './registry.ts';
import { Progress, type Row, stateOf, tableLines } from './report.ts';

/** A publish that is planned: nothing but questions has been started. */
export interface PreparedPublish {
  readonly config: PublishConfig;
  readonly engine: Engine;
  readonly builder: BuilderChoice;
  readonly plan: PublishPlan;
  readonly run: string;
  readonly stageConfig: StageConfig;
  /** Undefined where binaries are not compiled here. */
  readonly stage: PreparedStage | undefined;
}

/**
 * Publishes the images, or prints the plan.
 *
 * @param extra words for the engine's build commands
 * @throws TaskError: 2 before anything is built, else the failed program's own status, with what has moved
 */
export async function publish(ctx: TaskContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const prepared = await prepare(ctx, extra);
  if (isDryRun) {
    for (const line of planLines(ctx, prepared)) terminal.result(line);
    return;
  }
  const { config, engine, builder, plan } = prepared;
  await sweep(ctx, engine, config.root, temporaryRoot());
  if (builder.creation !== undefined) await ctx.runner.run(builder.creation);
  const reader = new RegistryReader(ctx.runner, engine, ctx.env, {
    root: config.root,
    run: prepared.run,
    builder: builder.name,
    isIndex: config.arches.length > 1,
  });
  try {
    const before = await readBefore(ctx, reader, plan);
    makeDirectories(config, builder, plan);
    const performance = new Performance(ctx, prepared, reader, before);
    await withStaged(ctx, prepared.stageConfig, prepared.stage, () => performance.build());
    const rows = await performance.publish();
    for (const line of tableLines(rows)) terminal.result(line);
    const moved = rows.filter(({ state }) => state !== 'unchanged').length;
    terminal.say(`done: ${moved} of ${rows.length} references set, the others were so already; ${terminal.timings()}`);
  } finally {
    rmSync(plan.scratch, { recursive: true, force: true });
    await removeNames(ctx, engine, config.root, reader.localNames);
  }
}

/** Arguments and files first, then the engine, then all that it and this machine's tools are asked, at once. */
async function prepare(ctx: TaskContext, extra: readonly string[]): Promise<PreparedPublish> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolvePublishConfig(extra, env, root, startDirectory);
  const stageEnv = { ...env, PREBUILT_ARCH: undefined, DOCKER_PLATFORM: undefined };
  const resolved = resolveStageConfig('all', stageEnv, root, startDirectory, thisHost());
  const stageConfig = { ...resolved, components: PUBLISHED, arches: config.arches };
  for (const component of PUBLISHED) verifyDockerfile(root, dockerfileOf(component.name));
  if (config.ignored.length > 0) terminal.say(`without effect on a publish: ${config.ignored.join(', ')}`);
  if (!config.isStaged) verifyPrebuilt(stageConfig);
  const engine = await detectEngine(runner, terminal, env, root);
  const [builder, stage] = await Promise.all([
    chooseBuilder(ctx, engine, config),
    config.isStaged ? prepareStage(ctx, stageConfig) : undefined,
  ]);
  if (builder.note !== undefined) terminal.say(builder.note);
  const foreign = foreignPlatforms(
    builder,
    config.arches.map((arch) => `linux/${arch}`),
  );
  if (foreign.length > 0) {
    terminal.warn(`${builder.name} does not list ${foreign.join(', ')}: RUN in a Dockerfile needs emulation there`);
  }
  const run = runWord();
  const plan = planPublish(config, engine.record.name, builder, run, temporaryRoot());
  return { config, engine, builder, plan, run, stageConfig, stage };
}

/**
 * What the references are now. A registry that does not answer, or wants another password, is found here.
 *
 * @throws usageError in the words of the engine
 */
async function readBefore(
  ctx: TaskContext,
  reader: RegistryReader,
  plan: PublishPlan,
): Promise<Map<string, RegistryAnswer>> {
  const references = [...plan.platforms, ...plan.tags].map(({ reference }) => reference);
  const before = await ctx.terminal.section('registry', () => reader.read(references), 'what the registry has');
  for (const [reference, answer] of before) {
    if (answer.kind === 'failed') {
      throw usageError(
        `${reference} cannot be read: ${oneLine(answer.reason)}; check DOCKER_REGISTRY, the network and the login`,
      );
    }
    if (answer.kind === 'forbidden') {
      ctx.terminal.warn(`${reference} cannot be read, or is not there yet: ${oneLine(answer.reason)}`);
    }
  }
  return before;
}

function makeDirectories(config: PublishConfig, builder: BuilderChoice, plan: PublishPlan): void {
  mkdirSync(plan.scratch, { mode: 0o700 });
  if (!hasLocalCache(config, builder)) return;
  for (const { name } of PUBLISHED) mkdirSync(join(config.cacheDirectory, name), { recursive: true });
}

/** Every command in its order; what is known only when it runs stands in angle brackets. */
function planLines(ctx: TaskContext, { builder, config, engine, plan, stage }: PreparedPublish): string[] {
  const { runner, env } = ctx;
  const describe = (steps: readonly { readonly words: PublishPlan['builds'][number]['words'] }[]) =>
    steps.map((step) => runner.describe(commandOf(step, engine, config.root, stepEnvironment(env), new Map())));
  const references = [...plan.platforms, ...plan.tags];
  return [
    ...(builder.creation === undefined ? [] : [runner.describe(builder.creation)]),
    ...(stage === undefined ? ['# verifies the staged binaries'] : stageLines(runner, stage)),
    `cd ${shellQuote(config.root)}`,
    ...describe(plan.builds),
    ...describe(plan.platforms.map(({ step }) => step)),
    '# the following only for tags that point at something else',
    ...describe(plan.assemblies.flatMap(({ steps }) => steps)),
    ...describe(plan.tags.map(({ step }) => step)),
    ...references.map(({ reference }) => `# reads back ${reference}`),
  ];
}

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
    ctx: TaskContext,
    about: { readonly config: { readonly root: string }; readonly engine: Engine; readonly plan: PublishPlan },
    reader: RegistryReader,
    before: Answers,
  ) {
    this.#terminal = ctx.terminal;
    this.#plan = about.plan;
    this.#reader = reader;
    this.#before = before;
    this.#steps = new Steps(ctx, about.engine, about.config.root);
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
    const digest = this.#steps.readVariable(reference.slot);
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
    if (this.#steps.readVariable(slot) !== undefined) return;
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
      .map(({ platforms, slot }) => ({ platform: platforms[0], digest: this.#steps.readVariable(slot) ?? '' }));
  }

  #readingBefore({ reference }: PlannedReference): Reading | undefined {
    const answer = this.#before.get(reference);
    return answer?.kind === 'there' ? answer.reading : undefined;
  }

  async #readBack(): Promise<Row[]> {
    const now = await this.#reader.read(this.#references.map(({ reference }) => reference));
    return this.#references.map((planned) => {
      const { component, platforms, reference, slot } = planned;
      const digest = this.#steps.readVariable(slot) ?? '';
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

/** What steps have given so far, by slot. */
export type Values = ReadonlyMap<string, string>;

/** A step as a command; what is not known yet is shown by its name, in angle brackets. */
export function commandOf(step: PublishStep, engine: Engine, root: string, env: Environment, values: Values): Command {
  const words = step.words.map((word) =>
    typeof word === 'string' ? word : `${word.lead}${values.get(word.slot) ?? `<${word.slot}>`}`,
  );
  return command([engine.program, ...words], { cwd: root, env });
}

/** Runs steps in their order and keeps what they give. */
export class Steps {
  readonly #ctx: TaskContext;
  readonly #engine: Engine;
  readonly #root: string;
  readonly #env: Environment;
  readonly #values = new Map<string, string>();

  constructor(ctx: TaskContext, engine: Engine, root: string) {
    this.#ctx = ctx;
    this.#engine = engine;
    this.#root = root;
    this.#env = stepEnvironment(ctx.env);
  }

  readVariable(slot: string): string | undefined {
    return this.#values.get(slot);
  }

  /** Takes a value from elsewhere for a slot. */
  learn(slot: string, value: string): void {
    this.#values.set(slot, value);
  }

  /** @throws TaskError with the program's own status, or 1 where it does not say what it has made */
  async run(step: PublishStep): Promise<void> {
    const missing = step.words.find((word) => typeof word !== 'string' && !this.#values.has(word.slot));
    if (missing !== undefined) throw new TypeError(`a step needs ${JSON.stringify(missing)} before it is known`);
    const value = commandOf(step, this.#engine, this.#root, this.#env, this.#values);
    await this.#ctx.runner.run(value);
    if (step.gives === undefined) return;
    const { file, slot } = step.gives;
    const given = readGiven(value, step.gives);
    const known = this.#values.get(slot);
    if (known !== undefined && known !== given) {
      throw failure(`${argvText(value)} pushed ${given}, but the ${slot} is ${known} (${file})`);
    }
    this.#values.set(slot, given);
  }
}

function readGiven(value: Command, { file, read, slot }: NonNullable<PublishStep['gives']>): string {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw failure(`${argvText(value)} has not said the ${slot}`, EXIT.failed, { cause: error });
  }
  const given = read(text);
  if (given !== undefined && /^sha256:[0-9a-f]{64}$/.test(given)) return given;
  throw failure(`${argvText(value)} has not said the ${slot}: ${file} has ${shown(text)}`);
}

/** The time is given in words; newer engines refuse to have it in both. */
export function stepEnvironment(env: Environment): Environment {
  return env.SOURCE_DATE_EPOCH === undefined ? {} : { SOURCE_DATE_EPOCH: undefined };
}
