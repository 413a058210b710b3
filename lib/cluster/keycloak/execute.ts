// SPDX-License-Identifier: Apache-2.0

/** A Keycloak in a cluster: applied, waited for, and removed. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark, mark } from '../../cli/dry-run-marks.ts';
import { readVariable } from '../../cli/env.ts';
import { Problems } from '../../cli/problems.ts';
import { oneLine, usageError } from '../../errors.ts';
import { isOfOther } from '../../fs/ownership.ts';
import { absolutePath } from '../../fs/paths.ts';
import { userLines } from '../../keycloak/plan.ts';
import { cmd, commandText } from '../../process/command.ts';
import { requireProgram } from '../../process/which.ts';
import { chooseContext, manifest, resolveKeycloakConfig, VALUES_FILE } from './plan.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** Sets Keycloak up, or removes it, or prints the plan. */
export async function keycloakInCluster(
  ctx: RunnerContext,
  flags: { readonly 'dry-run': boolean; readonly teardown: boolean; readonly context: string | undefined },
): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const config = flags.teardown ? undefined : resolveKeycloakConfig(problems, env, root);
  // The checkout's kubeconfig, as its mise sets it, where nothing else is set; else kubectl knows.
  const own = join(root, 'kubeconfig');
  const named = readVariable(env, 'KUBECONFIG');
  const base = ['kubectl', ...(named === undefined && existsSync(own) ? ['--kubeconfig', own] : [])];
  // Under sudo what kubectl caches belongs to who has the kubeconfig.
  const start = cmd({ cwd: startDirectory, asInvoker: isOfOther(absolutePath(startDirectory, named ?? own)) });
  const search = async () => {
    requireProgram('kubectl', env, 'run mise install, or install it');
    const view = await runner.probe(start`${base} config view -o json`, PROBE_TIMEOUT_MS);
    if (!view.ok) throw usageError(`kubectl cannot read the kubeconfig: ${oneLine(view.reason)}; check KUBECONFIG`);
    return chooseContext(view.output, flags.context);
  };
  const marked = flags.context ?? mark('kube context', 'kubectl not on PATH');
  const context = await problems.attemptAsync(() => findOrMark(ctx.unknowns, search, marked));
  problems.throwIfAny(terminal);
  const kubectl = [...base, '--context', context ?? ''];
  if (config === undefined) {
    const remove = start`${kubectl} delete namespace keycloak --ignore-not-found`;
    return flags['dry-run'] ? terminal.result(runner.describe(remove)) : runner.run(remove);
  }
  const apply = start`${kubectl} apply -f -`;
  const rollout = start`${kubectl} -n keycloak rollout status deployment/keycloak --timeout=${config.timeoutSeconds}s`;
  const forward = start`${kubectl} -n keycloak port-forward svc/keycloak ${config.port}:80`;
  const objects = manifest(config);
  if (flags['dry-run']) {
    const lines = objects.items.map(({ kind, metadata }) => `# applies ${kind} ${metadata.name}`);
    return terminal.result(...lines, runner.describe(apply), runner.describe(rollout));
  }
  const pods = commandText(start`${kubectl} -n keycloak describe pods`);
  terminal.say(`the kube context is ${context}; should Keycloak not become ready: ${pods}`);
  await terminal.section('apply', () => runner.run(apply, { input: `${JSON.stringify(objects)}\n` }));
  await terminal.section('Keycloak', () => runner.run(rollout));
  terminal.result(
    'Keycloak is ready.',
    `In-cluster issuer: ${config.issuer}`,
    `Helm values file: ${VALUES_FILE} (uncomment it in deploy/helm/openshell/skaffold.yaml)`,
    // Through a port of this machine tokens bear the issuer that only the cluster can reach.
    `For tokens, keep this running: ${commandText(forward)}`,
    ...userLines(`http://localhost:${config.port}`),
  );
  terminal.say(`done: ${terminal.timings()}`);
}
