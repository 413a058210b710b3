// SPDX-License-Identifier: Apache-2.0

/**
 * Which engine, by the one rule of the suite: `CONTAINER_ENGINE`, then `OPENSHELL_E2E_DRIVER`, then the cluster of the
 * kube context (only where `CONTAINER_ENGINE_TARGET` asks for it), then what answers, podman first. What contradicts is
 * an error. Pure; `detect.ts` asks the questions.
 */

import { type Environment, notAllowed, readVariable, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import type { EngineName } from './types.ts';

/** An old name, refused so that nobody relies on it in vain. */
const REMOVED = 'OPENSHELL_E2E_CONTAINER_ENGINE';
const LOCAL_CLUSTER = 'local-k8s-cluster';

/** What is said where kubectl prints nothing. */
export const NO_CONTEXT = 'there is no current kube context';

/** What the environment says. */
export interface EngineWishes {
  readonly explicit: EngineName | undefined;
  readonly e2e: EngineName | undefined;
  readonly wantsCluster: boolean;
  readonly kindProvider: EngineName | undefined;
}

/** The choice before any engine was probed. */
export interface EngineChoice {
  /** The candidates, in the order in which they are preferred. */
  readonly candidates: readonly EngineName[];
  /** Why, for users. */
  readonly reason: string;
  /** What to do where none responds, for users; by default to start one, or to name another. */
  readonly remedy?: string;
}

/**
 * Reads the variables.
 * @throws usageError for a value that is not allowed, and for the removed variable
 */
export function engineWishes(env: Environment): EngineWishes {
  if (textOf(env, REMOVED) !== undefined) {
    throw usageError(`${REMOVED} is no longer read; set CONTAINER_ENGINE instead and unset it`);
  }
  const target = readVariable(env, 'CONTAINER_ENGINE_TARGET');
  if (target !== undefined && target !== LOCAL_CLUSTER) {
    throw notAllowed('CONTAINER_ENGINE_TARGET', target, `is ${LOCAL_CLUSTER}`);
  }
  const explicit = readVariable(env, 'CONTAINER_ENGINE');
  if (explicit !== undefined && engineOf(explicit) === undefined) {
    throw notAllowed('CONTAINER_ENGINE', explicit, 'are docker and podman');
  }
  return {
    explicit: engineOf(explicit),
    // Other drivers (vm, kubernetes) need no container engine.
    e2e: engineOf(readVariable(env, 'OPENSHELL_E2E_DRIVER')),
    wantsCluster: target !== undefined,
    kindProvider: engineOf(readVariable(env, 'KIND_EXPERIMENTAL_PROVIDER')),
  };
}

function engineOf(word: string | undefined): EngineName | undefined {
  const lower = word?.toLowerCase();
  return lower === 'docker' || lower === 'podman' ? lower : undefined;
}

/**
 * The engine that a local cluster runs on, from the name of the kube context.
 * @param context empty where there is none
 */
export function engineOfContext(context: string, kindProvider: EngineName | undefined): EngineName | undefined {
  if (context.startsWith('k3d-')) return 'docker';
  return context.startsWith('kind-') ? kindProvider : undefined;
}

/**
 * Chooses.
 * @param context the kube context; `undefined` where it was not asked for
 * @param problem why there is no context, where it is empty
 * @throws usageError for wishes that contradict each other, or a cluster that says nothing where nothing else does
 */
export function chooseEngine(
  wishes: EngineWishes,
  context: string | undefined,
  problem: string = NO_CONTEXT,
): EngineChoice {
  const cluster = context === undefined ? undefined : engineOfContext(context, wishes.kindProvider);
  const demands = [
    { engine: wishes.explicit, reason: 'CONTAINER_ENGINE' },
    { engine: wishes.e2e, reason: 'OPENSHELL_E2E_DRIVER' },
    { engine: cluster, reason: `kube context ${context ?? ''}` },
  ].flatMap(({ engine, reason }) => (engine === undefined ? [] : [{ engine, reason }]));
  const [first, ...others] = demands;
  const other = others.find(({ engine }) => engine !== first?.engine);
  if (first !== undefined && other !== undefined) {
    throw usageError(
      `${first.reason} asks for ${first.engine}, but ${other.reason} asks for ${other.engine}; make them agree or unset one`,
    );
  }
  if (first !== undefined) return { candidates: [first.engine], reason: first.reason };
  if (context !== undefined) throw usageError(unclearCluster(context, problem));
  return { candidates: ['podman', 'docker'], reason: 'it responds' };
}

function unclearCluster(context: string, problem: string): string {
  const what = context === '' ? problem : `the kube context ${shown(context)} names no engine`;
  const kind = context.startsWith('kind-') ? ' or KIND_EXPERIMENTAL_PROVIDER' : '';
  return `CONTAINER_ENGINE_TARGET=${LOCAL_CLUSTER}, but ${what}; set CONTAINER_ENGINE${kind} to docker or podman`;
}
