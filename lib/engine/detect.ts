// SPDX-License-Identifier: Apache-2.0

/** Which engine can be used: all are probed at once, each once and within a time limit, and quoted in errors. */

import type { RunnerContext } from '../build-env.ts';
import { miseSettings } from '../cargo/find-toolchain.ts';
import { findOrMark, isUnknown, mark, type Unknowns } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { MissingTool, oneLine, type TaskError, usageError } from '../errors.ts';
import { type Arch, archOf } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { DOCKER, START_DOCKER } from './docker.ts';
import { PODMAN } from './podman.ts';
import { chooseEngine, type EngineChoice, NO_KUBECTL } from './select.ts';
import {
  type Engine,
  type EngineName,
  INFO_ARGUMENTS,
  type LaunchEngine,
  parseInfo,
  type Refusal,
  refusalIn,
} from './types.ts';

/** Enough for a daemon on the other side of the world; one that hangs does not block the other engine. */
const INFO_TIMEOUT_MS = 15_000;
const CONTEXT_TIMEOUT_MS = 10_000;

export const RECORDS = { docker: DOCKER, podman: PODMAN } as const;

/** Variables that may hold a GitHub token for an image build, the first that is set counts. */
export const TOKEN_VARIABLES = ['MISE_GITHUB_TOKEN', 'GITHUB_TOKEN'] as const;

export type Usable<E extends Engine> = Omit<E, 'reason'>;

/** What an engine is wanted for. */
export interface Purpose<E extends Engine> {
  /** What the candidates do not do where none can be used, for users. */
  readonly failing: string;
  /** What to do instead, for users; by default to set the variable. */
  readonly alternative?: string;
  /** A variable that goes before `CONTAINER_ENGINE` and all others. */
  readonly alias?: 'CONTAINER_RUNTIME';
  look(name: EngineName, probes: EngineProbes): Promise<Usable<E> | Refusal>;
}

/** Probes of engines; each ends when one has been chosen. */
export interface EngineProbes {
  readonly chosen: AbortSignal;
  /** The engine where it responds; `start` is what starts it, for users. */
  responding(name: EngineName, start: string): Promise<Usable<Engine> | Refusal>;
  /** Starts the engine's program with these arguments; `undefined` where it is not on PATH. */
  ask(name: EngineName, args: readonly string[]): Promise<ProbeResult> | undefined;
}

export const ORDINARY: Purpose<Engine> = {
  failing: 'does not respond',
  look: (name, probes) => probes.responding(name, name === 'docker' ? START_DOCKER : 'start it'),
};

/** A probe of an engine, builder or cluster. No token of the user goes with it, so nothing that it prints can hold one. */
export function probeCommand(argv: readonly string[], root: string): Command {
  const env = Object.fromEntries(TOKEN_VARIABLES.map((name) => [name, undefined]));
  return cmd({ cwd: root, env })`${argv}`;
}

/** Finds the engine by the one rule of the suite, and says which and why; in a dry run one of marks where none responds. */
export async function detectEngine(ctx: RunnerContext, root: string): Promise<Engine>;
export async function detectEngine<E extends Engine>(ctx: RunnerContext, root: string, purpose: Purpose<E>): Promise<E>;
export async function detectEngine(ctx: RunnerContext, root: string, purpose: Purpose<Engine> = ORDINARY) {
  const isQuiet = readVariable(ctx.env, 'CONTAINER_ENGINE_QUIET');
  const choice = await findOrMark(ctx.unknowns, () =>
    chooseEngine(ctx.env, () => kubeContext(ctx, root), purpose.alias),
  );
  if (choice === undefined) return unknownEngine(ctx.unknowns as Unknowns, NO_KUBECTL, 'cluster unknown', undefined);
  const engine = await findEngine(ctx, root, choice, purpose);
  const { program, reason, record } = engine;
  const name = program === record.name ? record.name : `${record.name} under the name ${program}`;
  if (!isQuiet && engine.unknown === undefined) ctx.terminal.say(`[container-engine] ${name} (${reason})`);
  return engine;
}

/** The first of the candidates that can be used. @throws usageError with the reason of each; MissingTool: none is there */
export async function findEngine<E extends Engine>(
  ctx: RunnerContext,
  root: string,
  choice: EngineChoice,
  purpose: Purpose<E>,
): Promise<E> {
  const { candidates, reason } = choice;
  const chosen = new AbortController();
  const asked = new Map<string, Promise<ProbeResult>>();
  const probes = engineProbes(ctx, root, candidates, chosen.signal, asked);
  const looks = candidates.map((name) => purpose.look(name, probes));
  const ended = Promise.allSettled(looks);
  const refused: Refusal[] = [];
  try {
    for (const look of looks) {
      const found = await look;
      if (!('said' in found)) {
        const others = refused.flatMap(({ isAbsent, said }) => (isAbsent ? [] : [said]));
        return { ...found, reason: [reason, ...others].join('; ') } as E;
      }
      refused.push(found);
    }
  } finally {
    // A probe that still runs must not outlive the task.
    chosen.abort();
    await Promise.allSettled([ended, ...asked.values()]);
  }
  const error = nothingUsable(choice, purpose, refused);
  if (ctx.unknowns === undefined || refused.some(({ isSetting }) => isSetting)) throw error;
  const present = candidates.filter((_, index) => refused[index]?.isAbsent !== true);
  const names = present.length > 0 ? present : candidates;
  const name = names.length === 1 ? names[0] : undefined;
  const engine = unknownEngine(ctx.unknowns, error.message, `${names.join(' and ')} not reachable`, name);
  const said = name && (await probes.responding(name, ''));
  return { ...engine, info: said && 'info' in said ? said.info : engine.info } as Engine as E;
}

/** An engine of a dry run; where it could be either, the commands are those of docker. */
function unknownEngine(unknowns: Unknowns, reason: string, why: string, name: EngineName | undefined): LaunchEngine {
  unknowns.note(name === undefined ? `${reason}; the commands are those of docker` : reason);
  const record = RECORDS[name ?? 'docker'];
  const info = { engine: record.name, arch: mark('architecture', why), storesIndexes: false };
  const program = name ?? mark('engine', why);
  return { record, program, reason, info, socket: mark('socket', why), unknown: why };
}

/** @param asked gets every probe, so that none is started twice and the end of all can be waited for */
function engineProbes(
  { env, runner }: RunnerContext,
  root: string,
  candidates: readonly EngineName[],
  chosen: AbortSignal,
  asked: Map<string, Promise<ProbeResult>>,
): EngineProbes {
  const ask = (name: EngineName, args: readonly string[]) => {
    const program = programOf(name, env);
    if (program === undefined) return undefined;
    const argv = [program, ...args];
    const probe = () => runner.probe(probeCommand(argv, root), INFO_TIMEOUT_MS, { unless: chosen });
    const result = asked.get(argv.join(' ')) ?? probe();
    asked.set(argv.join(' '), result);
    return result;
  };
  const responding = async (name: EngineName, start: string): Promise<Usable<Engine> | Refusal> => {
    const program = programOf(name, env);
    const result = await ask(name, INFO_ARGUMENTS);
    const text = result?.ok ? result.output : result?.reason;
    const refusal = text && refusalIn(text);
    const info = result?.ok && refusal === undefined ? parseInfo(result.output) : undefined;
    if (program !== undefined && info?.engine === name) return { record: RECORDS[name], program, info };
    // A program with another name is looked at under its own.
    const isOther = program !== name && (info !== undefined || candidates.some((other) => other === program));
    if (result === undefined || program === undefined || isOther) {
      return { said: `${name} is not on PATH`, remedy: 'install it', isAbsent: true };
    }
    if (result.ok && refusal === undefined) {
      const what = info === undefined ? 'not a container engine' : `really ${info.engine}`;
      return { said: `${program} is ${what}`, remedy: `install ${name} itself` };
    }
    const failed = result.ok || refusal !== undefined ? { reason: refusal ?? '' } : result;
    const remedy = remedyFor(failed, program, start);
    return { said: `${program} info: ${oneLine(failed.reason)}`, remedy, isSetting: remedy === OTHER_CONTEXT };
  };
  return { chosen, ask, responding };
}

const OTHER_CONTEXT = 'choose a context that exists (docker context ls)';

/** What to do about an engine that does not say what it was asked; `start` is what starts it. */
export function remedyFor(
  { reason, timedOut }: { readonly reason: string; readonly timedOut?: true },
  program: string,
  start: string,
): string {
  if (timedOut) return `find out why it hangs or is so slow (try: ${program} info), and restart it`;
  if (/permission denied/i.test(reason)) {
    return program === 'docker' ? 'let this user use Docker (the group docker)' : 'let this user use it';
  }
  return /resolve docker endpoint|context not found/i.test(reason) ? OTHER_CONTEXT : start;
}

function programOf(name: EngineName, env: Environment): string | undefined {
  return RECORDS[name].programs.find((program) => findProgram(program, env) !== undefined);
}

/** The name of the current kube context, or why there is none. */
async function kubeContext(ctx: RunnerContext, root: string): Promise<ProbeResult> {
  if (findProgram('kubectl', ctx.env) === undefined) return { ok: false, reason: NO_KUBECTL };
  const base = await miseSettings(ctx, root, ['KUBECONFIG']);
  const command = { ...probeCommand(['kubectl', 'config', 'current-context'], root), base };
  const result = await ctx.runner.probe(command, CONTEXT_TIMEOUT_MS);
  if (!result.ok) return { ok: false, reason: `kubectl says: ${oneLine(result.reason)}` };
  const output = result.output.trim();
  return output === '' ? { ok: false, reason: 'there is no current kube context' } : { ok: true, output };
}

/** The architecture of an engine's server, or the mark for it; never this machine's. @throws usageError for others */
export function serverArch({ program, info }: Engine, remedy = 'use another server'): Arch {
  const arch = isUnknown(info.arch) ? (info.arch as Arch) : archOf(info.arch ?? '');
  if (arch !== undefined) return arch;
  const said = info.arch === undefined ? 'does not say its architecture' : `is of architecture '${oneLine(info.arch)}'`;
  throw usageError(`the server of ${program} ${said}; allowed are amd64 and arm64; ${remedy}`);
}

function nothingUsable(
  { candidates, reason }: EngineChoice,
  { alias, alternative, failing }: Omit<Purpose<Engine>, 'look'>,
  refused: readonly Refusal[],
): TaskError {
  // Of two candidates neither has been chosen yet.
  const wanted = `${candidates.join(' or ')} ${failing}${candidates.length > 1 ? '' : ` (${reason})`}`;
  const present = refused.filter(({ isAbsent }) => isAbsent !== true);
  const remedies = new Set((present.length > 0 ? present : refused).map(({ remedy }) => remedy));
  const otherwise = alternative ?? `set ${alias ?? 'CONTAINER_ENGINE'} to one that runs`;
  const text = `${wanted}: ${refused.map(({ said }) => said).join('; ')}; ${[...remedies].join(', or ')}, or ${otherwise}`;
  return present.length > 0 ? usageError(text) : new MissingTool(text);
}
