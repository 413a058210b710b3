// SPDX-License-Identifier: Apache-2.0

/** What the registry has, read with the engine's own tools: with their logins, mirrors and TLS settings. */

import { randomUUID } from 'node:crypto';
import type { RunnerContext } from '../build-env.ts';
import { probeCommand } from '../engine/detect.ts';
import { failure, oneLine, shown } from '../errors.ts';
import type { ProbeResult } from '../process/result.ts';
import { type Content, contentIn, isSameContent, type Published } from './engines.ts';
import type { PublishPlan } from './plan.ts';

const TIMEOUT_MS = 60_000;

/** `forbidden`: the registry keeps it from us, or has none and does not tell us; `failed`: it cannot be read. */
export type RegistryState =
  | { readonly kind: 'exists'; readonly content: Content }
  | { readonly kind: 'absent' | 'forbidden' | 'failed'; readonly content?: undefined; readonly reason: string };

/** Reads the references of a plan. */
export async function readReferences(ctx: RunnerContext, plan: PublishPlan): Promise<Map<string, RegistryState>> {
  const read = async (reference: string) => [reference, await readReference(ctx, plan, reference)] as const;
  return new Map(await Promise.all(plan.references.map(read)));
}

async function readReference(
  { runner }: RunnerContext,
  { builder, config, engine, publishing, run }: PublishPlan,
  reference: string,
): Promise<RegistryState> {
  let result: ProbeResult = { ok: true, output: '' };
  for (const argv of publishing.reading(engine.program, builder.name, reference, `${randomUUID()}:${run}`)) {
    if (result.ok) result = await runner.probe(probeCommand(argv, config.root), TIMEOUT_MS);
  }
  // A name may hold any number.
  if (!result.ok) return { kind: kindOfRefusal(result.reason.replaceAll(reference, '…')), reason: result.reason };
  const content = contentIn(result.output);
  if (content !== undefined) return { kind: 'exists', content };
  return { kind: 'failed', reason: `it is not an image: ${shown(result.output)}` };
}

/**
 * Engines have no status for "does not exist": their messages decide, and those of registries in them. A registry that
 * has no such image yet may also say that it is denied; one that wants a (right) password never has it.
 */
export function kindOfRefusal(reason: string): Exclude<RegistryState['kind'], 'exists'> {
  if (/no basic auth credentials|authentication required|invalid username/i.test(reason)) return 'failed';
  if (/: not found\s*$|manifest unknown|name unknown|\b404\b/im.test(reason)) return 'absent';
  return /denied|forbidden|insufficient_scope|not authorized|\b403\b/i.test(reason) ? 'forbidden' : 'failed';
}

/** @throws failure unless the registry has what was published: the digest, and an image for each platform */
export function verifyPublished({ content, platforms, reference }: Published, state: RegistryState | undefined): void {
  if (state?.content === undefined) {
    throw failure(`${reference} cannot be read back: ${oneLine(state?.reason ?? 'it was not read')}`);
  }
  const has = state.content.images.map(({ platform }) => platform);
  const isForAll = has.includes(undefined) || platforms.every((platform) => has.includes(platform));
  if (isSameContent(state.content, content) && isForAll && has.length === platforms.length) return;
  const found = `${state.content.digest ?? 'a list'} for ${has.join(', ') || 'no platform'}`;
  throw failure(
    `${reference} is ${found} in the registry, but ${content.digest} for ${platforms.join(', ')} was published; ` +
      'another publish may have set it since',
  );
}
