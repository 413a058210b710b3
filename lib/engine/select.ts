// SPDX-License-Identifier: Apache-2.0

/**
 * Which engine: `CONTAINER_ENGINE`, then `OPENSHELL_E2E_DRIVER`, then the cluster of the kube context (only where
 * `CONTAINER_ENGINE_TARGET` says so), then what responds, podman first. A contradiction is an error.
 */

import { basename } from 'node:path';
import { type Environment, parseChoice, readVariable, textOf } from '../cli/env.ts';
import { MissingTool, shown, usageError } from '../errors.ts';
import type { ProbeResult } from '../process/result.ts';
import type { EngineName } from './types.ts';

const REMOVED = 'OPENSHELL_E2E_CONTAINER_ENGINE';
const LOCAL_CLUSTER = 'local-k8s-cluster';
const ENGINES = ['docker', 'podman'] as const;
export const NO_KUBECTL = 'kubectl is not on PATH';

export interface EngineChoice {
  /** In the order in which they are preferred. */
  readonly candidates: readonly EngineName[];
  readonly reason: string;
}

/**
 * @param alias of one task: where it is set, nothing else counts; of a path, the last name does
 * @throws usageError for a value that is not allowed, a contradiction, and a cluster that names no engine
 */
export async function chooseEngine(
  env: Environment,
  probeContext: () => Promise<ProbeResult>,
  alias?: 'CONTAINER_RUNTIME',
): Promise<EngineChoice> {
  const own = alias && readVariable(env, alias);
  if (alias !== undefined && own !== undefined) {
    return { candidates: [parseChoice(alias, basename(own).toLowerCase(), ENGINES)], reason: alias };
  }
  if (textOf(env, REMOVED) !== undefined) {
    throw usageError(`${REMOVED} is no longer read; set CONTAINER_ENGINE instead and unset it`);
  }
  const target = readVariable(env, 'CONTAINER_ENGINE_TARGET');
  if (target !== undefined) parseChoice('CONTAINER_ENGINE_TARGET', target, [LOCAL_CLUSTER]);
  const named = readVariable(env, 'CONTAINER_ENGINE')?.toLowerCase();
  const explicit = named === undefined ? undefined : parseChoice('CONTAINER_ENGINE', named, ENGINES);
  const provider = engineOf(readVariable(env, 'KIND_EXPERIMENTAL_PROVIDER'));
  const context = target === undefined ? undefined : await probeContext();
  const name = context?.ok ? context.output : '';
  const demands = [
    { engine: explicit, reason: 'CONTAINER_ENGINE' },
    // Other drivers (vm, kubernetes) need no container engine.
    { engine: engineOf(readVariable(env, 'OPENSHELL_E2E_DRIVER')), reason: 'OPENSHELL_E2E_DRIVER' },
    { engine: engineOfContext(name, provider), reason: `kube context ${name}` },
  ].flatMap(({ engine, reason }) => (engine === undefined ? [] : [{ engine, reason }]));
  const [first] = demands;
  if (first === undefined && context !== undefined) throw unclearCluster(context);
  if (first === undefined) return { candidates: ['podman', 'docker'], reason: 'it responds' };
  const other = demands.find(({ engine }) => engine !== first.engine);
  if (other === undefined) return { candidates: [first.engine], reason: first.reason };
  throw usageError(
    `${first.reason} asks for ${first.engine}, but ${other.reason} asks for ${other.engine}; make them agree or unset one`,
  );
}

function engineOf(name: string | undefined): EngineName | undefined {
  return ENGINES.find((engine) => engine === name?.toLowerCase());
}

/** The engine that a local cluster runs on, from the name of the kube context. */
function engineOfContext(context: string, kindProvider: EngineName | undefined): EngineName | undefined {
  if (context.startsWith('k3d-')) return 'docker';
  return context.startsWith('kind-') ? kindProvider : undefined;
}

function unclearCluster(context: ProbeResult) {
  const what = context.ok ? `the kube context ${shown(context.output)} names no engine` : context.reason;
  const kind = context.ok && context.output.startsWith('kind-') ? ' or KIND_EXPERIMENTAL_PROVIDER' : '';
  const text = `CONTAINER_ENGINE_TARGET=${LOCAL_CLUSTER}, but ${what}; set CONTAINER_ENGINE${kind} to docker or podman`;
  return what === NO_KUBECTL ? new MissingTool(text) : usageError(text);
}
