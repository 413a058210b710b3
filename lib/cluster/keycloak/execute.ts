// SPDX-License-Identifier: Apache-2.0

/** A Keycloak in a cluster: applied, waited for, and removed. */

import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { Problems } from '../../cli/problems.ts';
import { oneLine, usageError } from '../../errors.ts';
import { cmd } from '../../process/command.ts';
import { requireProgram } from '../../process/which.ts';
import { kubeconfigOf, resolveKeycloakConfig } from './config.ts';
import { chooseContext, KUBECTL, manifest } from './plan.ts';
import { objectLines, summaryLines } from './report.ts';

const PROBE_TIMEOUT_MS = 20_000;

export interface KeycloakOptions {
  /** The kube context, whatever cluster it is. */
  readonly context: string | undefined;
  readonly isTeardown: boolean;
  readonly isDryRun: boolean;
}

/**
 * Sets Keycloak up, or removes it, or prints the plan.
 * @throws TaskError: 2 before anything is changed, else kubectl's own status
 */
export async function keycloakInCluster(ctx: RunnerContext, options: KeycloakOptions): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const config = options.isTeardown ? undefined : resolveKeycloakConfig(problems, env, root);
  const own = kubeconfigOf(env, root);
  // What is relative in KUBECONFIG is relative to this directory.
  const kubectl = cmd({ cwd: startDirectory })`kubectl ${own === undefined ? [] : ['--kubeconfig', own]}`;
  const command = (...args: readonly string[]) => ({ ...kubectl, argv: [...kubectl.argv, ...args] as const });
  const context = await problems.attemptAsync(async () => {
    requireProgram('kubectl', env, 'run mise install, or install it');
    const view = await runner.probe(command(...KUBECTL.view), PROBE_TIMEOUT_MS);
    if (!view.ok) throw usageError(`kubectl cannot read the kubeconfig: ${oneLine(view.reason)}; check KUBECONFIG`);
    return chooseContext(view.output, options.context);
  });
  problems.throwIfAny(terminal);
  const inCluster = (args: readonly string[]) => command('--context', context ?? '', ...args);
  if (config === undefined) {
    if (options.isDryRun) return terminal.result(runner.describe(inCluster(KUBECTL.teardown)));
    return runner.run(inCluster(KUBECTL.teardown));
  }
  const apply = inCluster(KUBECTL.apply);
  const rollout = inCluster([...KUBECTL.rollout, `--timeout=${config.timeoutSeconds}s`]);
  if (options.isDryRun) {
    return terminal.result(...objectLines(config), runner.describe(apply), runner.describe(rollout));
  }
  terminal.say(`the kube context is ${context}; if Keycloak fails: ${runner.describe(inCluster(KUBECTL.describe))}`);
  await terminal.section('apply', () => runner.run(apply, { input: `${JSON.stringify(manifest(config))}\n` }));
  await terminal.section('Keycloak', () => runner.run(rollout));
  terminal.result(...summaryLines(config, inCluster([...KUBECTL.forward, `${config.port}:80`])));
  terminal.say(`done: ${terminal.timings()}`);
}
