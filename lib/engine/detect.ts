// SPDX-License-Identifier: Apache-2.0

/** Which engine responds: all are probed at once, each once in a run and within a time limit, and quoted in errors. */

import type { RunnerContext } from '../build-env.ts';
import { miseSettings } from '../cargo/mise.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { oneLine, usageError } from '../errors.ts';
import { type Arch, archOf } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { DOCKER } from './docker.ts';
import { PODMAN } from './podman.ts';
import { chooseEngine, type EngineChoice } from './select.ts';
import { type Engine, type EngineInfo, type EngineName, INFO_ARGUMENTS, parseInfo, refusalIn } from './types.ts';

/** Enough for a daemon on the other side of the world; one that hangs does not block the other engine. */
const INFO_TIMEOUT_MS = 15_000;
const CONTEXT_TIMEOUT_MS = 10_000;

const RECORDS = { docker: DOCKER, podman: PODMAN } as const;

/** The variables that may hold a GitHub token for an image build, in the order in which they count. */
export const TOKEN_VARIABLES = ['MISE_GITHUB_TOKEN', 'GITHUB_TOKEN'] as const;

interface Probed {
  readonly program: string;
  readonly result: ProbeResult;
  /** `undefined` where it is not an engine. */
  readonly info: EngineInfo | undefined;
}

/**
 * A probe of an engine, builder or cluster. No token of the user goes with it, so nothing that it prints can hold one.
 */
export function probeCommand(argv: readonly string[], root: string): Command {
  const env = Object.fromEntries(TOKEN_VARIABLES.map((name) => [name, undefined]));
  return cmd({ cwd: root, env })`${argv}`;
}

/**
 * Finds the engine of a task by the one rule of the suite, and says which it is and why.
 * @throws usageError as `chooseEngine`, and where no engine that may be used responds
 */
export async function detectEngine(ctx: RunnerContext, root: string): Promise<Engine> {
  const isQuiet = readVariable(ctx.env, 'CONTAINER_ENGINE_QUIET');
  const engine = await findEngine(ctx, root, await chooseEngine(ctx.env, () => kubeContext(ctx, root)));
  if (!isQuiet) ctx.terminal.say(`[container-engine] ${engine.record.name}${nameNote(engine)} (${engine.reason})`);
  return engine;
}

/**
 * The first of the candidates that responds. Prints nothing.
 * @throws usageError with the reason of each where none does
 */
export async function findEngine(ctx: RunnerContext, root: string, choice: EngineChoice): Promise<Engine> {
  const programs = new Set(choice.candidates.flatMap((name) => programOf(name, ctx.env) ?? []));
  const found = new AbortController();
  const probes = new Map([...programs].map((program) => [program, probe(ctx, program, root, found.signal)]));
  const refused: Probed[] = [];
  try {
    for (const name of choice.candidates) {
      const probed = await probes.get(programOf(name, ctx.env) ?? '');
      if (probed?.info?.engine === name) {
        const reason = [choice.reason, ...refused.filter((one) => one !== probed).map(saidOf)].join('; ');
        return { record: RECORDS[name], program: probed.program, reason, info: probed.info };
      }
      if (probed !== undefined && !refused.includes(probed)) refused.push(probed);
    }
  } finally {
    // A probe that still runs is of no use any more, and must not outlive the task.
    found.abort();
    await Promise.allSettled(probes.values());
  }
  throw usageError(nothingResponds(choice, refused));
}

/** The program that stands for an engine: the usual one, else another name of it. */
function programOf(name: EngineName, env: Environment): string | undefined {
  return RECORDS[name].programs.find((program) => findProgram(program, env) !== undefined);
}

async function probe({ runner }: RunnerContext, program: string, root: string, unless: AbortSignal): Promise<Probed> {
  const command = probeCommand([program, ...INFO_ARGUMENTS], root);
  const result = await runner.probe(command, INFO_TIMEOUT_MS, { unless });
  const refusal = refusalIn(result.ok ? result.output : result.reason);
  if (refusal !== undefined) return { program, result: { ok: false, reason: refusal }, info: undefined };
  return { program, result, info: result.ok ? parseInfo(result.output) : undefined };
}

/** The name of the current kube context, or why there is none. */
async function kubeContext(ctx: RunnerContext, root: string): Promise<ProbeResult> {
  if (findProgram('kubectl', ctx.env) === undefined) return { ok: false, reason: 'kubectl is not on PATH' };
  const base = await miseSettings(ctx, root, ['KUBECONFIG']);
  const command = { ...probeCommand(['kubectl', 'config', 'current-context'], root), base };
  const result = await ctx.runner.probe(command, CONTEXT_TIMEOUT_MS);
  if (!result.ok) return { ok: false, reason: `kubectl says: ${oneLine(result.reason)}` };
  const output = result.output.trim();
  return output === '' ? { ok: false, reason: 'there is no current kube context' } : { ok: true, output };
}

/**
 * The architecture of an engine's server. Never this machine's in its place, which the image would not run on.
 * @throws usageError where it is neither amd64 nor arm64
 */
export function serverArch({ program, info }: Engine): Arch {
  const arch = archOf(info.arch ?? '');
  if (arch !== undefined) return arch;
  const said = info.arch === undefined ? 'does not say its architecture' : `is of architecture '${oneLine(info.arch)}'`;
  throw usageError(
    `the server of ${program} ${said}; allowed are amd64 and arm64; ` +
      'set DOCKER_PLATFORM to linux/amd64 or linux/arm64, or use another server',
  );
}

function nameNote({ program, record, info }: Engine): string {
  const name = program === record.name ? '' : ` under the name ${program}`;
  return info.isPodmanServer && record.name === 'docker' ? `${name}, served by podman` : name;
}

function saidOf({ program, result, info }: Probed): string {
  if (!result.ok) return `${program} info: ${oneLine(result.reason)}`;
  return info === undefined ? `${program} is not a container engine` : `${program} is really ${info.engine}`;
}

function nothingResponds({ candidates, reason, remedy }: EngineChoice, probed: readonly Probed[]): string {
  const wanted = candidates.join(' or ');
  // Of two candidates neither has been chosen yet.
  const why = candidates.length > 1 ? '' : ` (${reason})`;
  if (probed.length === 0) {
    return `${wanted} is not on PATH${why}; ${remedy ?? 'install it, or set CONTAINER_ENGINE to one that is'}`;
  }
  const said = probed.map(saidOf).join('; ');
  return `${wanted} does not respond${why}: ${said}; ${remedy ?? 'start it, or set CONTAINER_ENGINE to one that runs'}`;
}
