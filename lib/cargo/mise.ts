// SPDX-License-Identifier: Apache-2.0

/** What mise sets in a checkout: asked once in a run, whoever wants to know. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner, RunnerContext } from '../build-env.ts';
import type { Environment } from '../cli/env.ts';
import { oneLine, shown } from '../errors.ts';
import { parseTable } from '../fs/parse-json.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { findProgram } from '../process/which.ts';

const PROBE_TIMEOUT_MS = 20_000;
/** The files that a checkout may have for its mise configuration. */
export const CONFIG_FILES = ['mise.toml', '.mise.toml'] as const;

/** Of what OpenShell's mise configuration sets, the variables that count without that mise, too. */
const SETTINGS = ['KUBECONFIG', 'RUSTC_WRAPPER', 'SCCACHE_DIR'] as const;

export type MiseSetting = (typeof SETTINGS)[number];

/** The variables that mise sets, or why there are none. */
export type MiseResult = { readonly env: Environment } | { readonly problem: string };

const results = new WeakMap<Runner, Promise<MiseResult>>();

/** What mise sets in the checkout and the environment does not have, and its PATH; the first call asks. Mise has to be on PATH. */
export function askMise(ctx: RunnerContext, root: string): Promise<MiseResult> {
  const result = results.get(ctx.runner) ?? ask(ctx, root);
  results.set(ctx.runner, result);
  return result;
}

async function ask({ env, runner }: RunnerContext, root: string): Promise<MiseResult> {
  // What mise trusts and has installed is the user's, and it may create files in the checkout.
  const result = await runner.probe(cmd({ cwd: root, asInvoker: true })`mise env --json`, PROBE_TIMEOUT_MS);
  if (!result.ok && /\bnot trusted\b/.test(result.reason)) {
    return { problem: `mise does not trust the checkout; run: mise trust ${shellQuote(root)}` };
  }
  if (!result.ok) return { problem: `mise env --json failed: ${oneLine(result.reason)}; check: mise doctor` };
  const set = parseTable(result.output);
  if (set !== undefined && Object.values(set).every((value) => typeof value === 'string')) {
    // To mise its own settings come first; here a variable that is set always wins.
    const own = Object.entries(set).filter(([name]) => name === 'PATH' || env[name] === undefined);
    return { env: Object.fromEntries(own) as Environment };
  }
  return {
    problem: `mise env --json printed ${shown(result.output)}, which is not a table of texts; check: mise doctor`,
  };
}

/**
 * The settings that the checkout's mise configuration sets and the environment does not have. Mise is asked only where
 * it is on PATH and the checkout has such a configuration.
 * @param names those that are wanted
 */
export async function miseSettings(
  ctx: RunnerContext,
  root: string,
  names: readonly MiseSetting[],
): Promise<Partial<Record<MiseSetting, string>>> {
  const { env, terminal } = ctx;
  const wanted = names.filter((name) => env[name] === undefined);
  const hasConfig = CONFIG_FILES.some((name) => existsSync(join(root, name)));
  if (wanted.length === 0 || !hasConfig || findProgram('mise', env) === undefined) return {};
  const result = await askMise(ctx, root);
  if ('problem' in result) {
    terminal.warn(`what the checkout's mise.toml sets (${wanted.join(', ')}) does not count: ${result.problem}`);
    return {};
  }
  const found = wanted.flatMap((name) => {
    const value = name === 'RUSTC_WRAPPER' ? wrapperOf(ctx, result.env) : result.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}

/** The wrapper, which may be one of mise's own tools; one that is not installed would fail every build. */
function wrapperOf({ env, terminal }: RunnerContext, mise: Environment): string | undefined {
  const { RUSTC_WRAPPER: wrapper = '' } = mise;
  if (wrapper === '' || findProgram(wrapper, env) !== undefined) return wrapper || undefined;
  const path = findProgram(wrapper, mise);
  if (path === undefined) terminal.warn(`RUSTC_WRAPPER=${shown(wrapper)} of mise does not count: run mise install`);
  return path;
}

/** The settings in an environment. */
export function settingsIn(env: Environment): (readonly [name: MiseSetting, value: string])[] {
  return SETTINGS.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
}
