// SPDX-License-Identifier: Apache-2.0

/** Publishing both images: everything is checked, compiled, built, pushed and tagged, and then read back from the registry. */

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { shellQuote } from '../command.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine } from '../engine/engine.ts';
import { oneLine, usageError } from '../errors.ts';
import { dockerfileOf, verifyDockerfile } from '../image/config.ts';
import { verifyPrebuilt, withStaged } from '../image/staged.ts';
import { thisHost } from '../platform.ts';
import { resolveStageConfig, type StageConfig } from '../stage/config.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { prepareStage } from '../stage/prepare.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import type { Workbench } from '../task.ts';
import { temporaryRoot } from '../temporary-root.ts';
import { type BuilderChoice, chooseBuilder, foreignPlatforms } from './builder.ts';
import { type PublishConfig, resolvePublishConfig } from './config.ts';
import { removeNames, runWord, sweep } from './leftovers.ts';
import { Performance } from './perform.ts';
import { hasLocalCache, PUBLISHED, type PublishPlan, planPublish } from './plan.ts';
import { type RegistryAnswer, RegistryReader } from './registry.ts';
import { tableLines } from './report.ts';
import { commandOf, stepEnvironment } from './steps.ts';

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
export async function publish(bench: Workbench, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { terminal } = bench;
  const prepared = await prepare(bench, extra);
  if (isDryRun) {
    for (const line of planLines(bench, prepared)) terminal.result(line);
    return;
  }
  const { config, engine, builder, plan } = prepared;
  await sweep(bench, engine, config.root, temporaryRoot());
  if (builder.creation !== undefined) await bench.door.run(builder.creation);
  const reader = new RegistryReader(bench.door, engine, bench.env, {
    root: config.root,
    run: prepared.run,
    builder: builder.name,
    isIndex: config.arches.length > 1,
  });
  try {
    const before = await readBefore(bench, reader, plan);
    makeFolders(config, builder, plan);
    const performance = new Performance(bench, prepared, reader, before);
    await withStaged(bench, prepared.stageConfig, prepared.stage, () => performance.build());
    const rows = await performance.publish();
    for (const line of tableLines(rows)) terminal.result(line);
    const moved = rows.filter(({ state }) => state !== 'unchanged').length;
    terminal.say(`done: ${moved} of ${rows.length} references set, the others were so already; ${terminal.timings()}`);
  } finally {
    rmSync(plan.scratch, { recursive: true, force: true });
    await removeNames(bench, engine, config.root, reader.localNames);
  }
}

/** Arguments and files first, then the engine, then all that it and this machine's tools are asked, at once. */
async function prepare(bench: Workbench, extra: readonly string[]): Promise<PreparedPublish> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const config = resolvePublishConfig(extra, env, root, startDirectory);
  const stageEnv = { ...env, PREBUILT_ARCH: undefined, DOCKER_PLATFORM: undefined };
  const resolved = resolveStageConfig('all', stageEnv, root, startDirectory, thisHost());
  const stageConfig = { ...resolved, components: PUBLISHED, arches: config.arches };
  for (const component of PUBLISHED) verifyDockerfile(root, dockerfileOf(component.name));
  if (config.ignored.length > 0) terminal.say(`without effect on a publish: ${config.ignored.join(', ')}`);
  if (!config.isStaged) verifyPrebuilt(stageConfig);
  const engine = await detectEngine(door, terminal, env, root);
  const [builder, stage] = await Promise.all([
    chooseBuilder(bench, engine, config),
    config.isStaged ? prepareStage(bench, stageConfig) : undefined,
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
  bench: Workbench,
  reader: RegistryReader,
  plan: PublishPlan,
): Promise<Map<string, RegistryAnswer>> {
  const references = [...plan.platforms, ...plan.tags].map(({ reference }) => reference);
  const before = await bench.terminal.section('registry', () => reader.read(references), 'what the registry has');
  for (const [reference, answer] of before) {
    if (answer.kind === 'failed') {
      throw usageError(
        `${reference} cannot be read: ${oneLine(answer.reason)}; check DOCKER_REGISTRY, the network and the login`,
      );
    }
    if (answer.kind === 'forbidden') {
      bench.terminal.warn(`${reference} cannot be read, or is not there yet: ${oneLine(answer.reason)}`);
    }
  }
  return before;
}

function makeFolders(config: PublishConfig, builder: BuilderChoice, plan: PublishPlan): void {
  mkdirSync(plan.scratch, { mode: 0o700 });
  if (!hasLocalCache(config, builder)) return;
  for (const { name } of PUBLISHED) mkdirSync(join(config.cacheFolder, name), { recursive: true });
}

/** Every command in its order; what is known only when it runs stands in angle brackets. */
function planLines(bench: Workbench, { builder, config, engine, plan, stage }: PreparedPublish): string[] {
  const { door, env } = bench;
  const describe = (steps: readonly { readonly words: PublishPlan['builds'][number]['words'] }[]) =>
    steps.map((step) => door.describe(commandOf(step, engine, config.root, stepEnvironment(env), new Map())));
  const references = [...plan.platforms, ...plan.tags];
  return [
    ...(builder.creation === undefined ? [] : [door.describe(builder.creation)]),
    ...(stage === undefined ? ['# verifies the staged binaries'] : stageLines(door, stage)),
    `cd ${shellQuote(config.root)}`,
    ...describe(plan.builds),
    ...describe(plan.platforms.map(({ step }) => step)),
    '# the following only for tags that point at something else',
    ...describe(plan.assemblies.flatMap(({ steps }) => steps)),
    ...describe(plan.tags.map(({ step }) => step)),
    ...references.map(({ reference }) => `# reads back ${reference}`),
  ];
}
