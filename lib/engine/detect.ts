// SPDX-License-Identifier: Apache-2.0

/** Which engine can be used: all are probed at once, each once in a run and within a time limit, and quoted in errors. */

import type { RunnerContext } from '../build-env.ts';
import { miseSettings } from '../cargo/find-toolchain.ts';
import { findOrMark, isUnknown, mark, type Unknowns } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { VARIABLES } from '../cli/variables.ts';
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
  type EngineInfo,
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

/** The record of each engine. */
export const RECORDS = { docker: DOCKER, podman: PODMAN } as const;

/** Variables that may hold a GitHub token for an image build, the first that is set counts. */
export const TOKEN_VARIABLES = ['MISE_GITHUB_TOKEN', 'GITHUB_TOKEN'] as const;

/** A candidate that can be used; why it is the one is said where it is chosen. */
export type Usable<E extends Engine> = Omit<E, 'reason'>;

/** What an engine is wanted for. */
export interface Purpose<E extends Engine> {
  /** What the candidates do not do where none can be used, for users. */
  readonly failing: string;
  /** What to do instead, for users; by default to set `CONTAINER_ENGINE`. */
  readonly alternative?: string;
  /** A variable that goes before `CONTAINER_ENGINE` and all others, for this purpose alone. */
  readonly alias?: 'CONTAINER_RUNTIME';
  /** Looks at a candidate. */
  look(name: EngineName, probes: EngineProbes): Promise<Usable<E> | Refusal>;
}

/** Probes of the programs that stand for engines; each ends when an engine has been chosen. */
export interface EngineProbes {
  readonly chosen: AbortSignal;
  /** The engine where it responds; `start` is what starts it, for users. */
  responding(name: EngineName, start: string): Promise<Usable<Engine> | Refusal>;
  /** Starts the engine's program with these arguments; `undefined` where it is not on PATH. */
  ask(name: EngineName, args: readonly string[]): Promise<ProbeResult> | undefined;
}

/** To build images and run containers. */
export const ORDINARY: Purpose<Engine> = {
  failing: 'does not respond',
  look: (name, probes) => probes.responding(name, name === 'docker' ? START_DOCKER : 'start it'),
};

/** A probe of an engine, builder or cluster. No token of the user goes with it, so nothing that it prints can hold one. */
export function probeCommand(argv: readonly string[], root: string): Command {
  const env = Object.fromEntries(TOKEN_VARIABLES.map((name) => [name, undefined]));
  return cmd({ cwd: root, env })`${argv}`;
}

/**
 * Finds the engine of a task by the one rule of the suite, and says which it is and why; in a dry run one with marks
 * where none responds. Without a purpose it is to build images.
 */
export async function detectEngine(ctx: RunnerContext, root: string): Promise<Engine>;
export async function detectEngine<E extends Engine>(ctx: RunnerContext, root: string, purpose: Purpose<E>): Promise<E>;
export async function detectEngine(ctx: RunnerContext, root: string, purpose: Purpose<Engine> = ORDINARY) {
  const isQuiet = readVariable(ctx.env, 'CONTAINER_ENGINE_QUIET');
  const choice = await findOrMark(ctx.unknowns, () =>
    chooseEngine(ctx.env, () => kubeContext(ctx, root), purpose.alias),
  );
  if (choice === undefined) return unknownEngine(ctx.unknowns as Unknowns, NO_KUBECTL, 'cluster unknown');
  const engine = await findEngine(ctx, root, choice, purpose);
  const { program, reason, record } = engine;
  const name = program === record.name ? record.name : `${record.name} under the name ${program}`;
  if (!isQuiet && engine.unknown === undefined) ctx.terminal.say(`[container-engine] ${name} (${reason})`);
  return engine;
}

/**
 * The first of the candidates that can be used. All are looked at side by side. Prints nothing.
 * @throws usageError with the reason of each where none can be used, MissingTool where none is there
 */
export async function findEngine<E extends Engine>(
  ctx: RunnerContext,
  root: string,
  choice: EngineChoice,
  purpose: Purpose<E>,
): Promise<E> {
  const chosen = new AbortController();
  const asked = new Map<string, Promise<ProbeResult>>();
  const probes = engineProbes(ctx, root, choice.candidates, chosen.signal, asked);
  const looks = choice.candidates.map((name) => purpose.look(name, probes));
  const ended = Promise.allSettled(looks);
  const refused: Refusal[] = [];
  try {
    for (const look of looks) {
      const found = await look;
      if (!('said' in found)) {
        const others = refused.flatMap(({ brief, isAbsent, said }) => (isAbsent ? [] : [brief ?? said]));
        return { ...found, reason: [choice.reason, ...others].join('; ') } as E;
      }
      refused.push(found);
    }
  } finally {
    // A probe that still runs is of no use any more, and must not outlive the task.
    chosen.abort();
    await Promise.allSettled([ended, ...asked.values()]);
  }
  const error = nothingUsable(choice, purpose, refused);
  if (ctx.unknowns === undefined || refused.some(({ isSetting }) => isSetting)) throw error;
  const present = choice.candidates.filter((_, index) => refused[index]?.isAbsent !== true);
  const [names, what] = present.length > 0 ? [present, 'reachable'] : [choice.candidates, 'on PATH'];
  const name = names.length === 1 ? names[0] : undefined;
  const said = name && (await probes.responding(name, ''));
  const info = said && 'info' in said ? said.info : undefined;
  const why = `${names.join(' and ')} not ${what}`;
  const engine: Engine = unknownEngine(ctx.unknowns, error.message, why, name, info);
  return engine as E;
}

/** An engine of a dry run; where it could be either, the commands are those of docker. */
function unknownEngine(
  unknowns: Unknowns,
  reason: string,
  why: string,
  name?: EngineName,
  said?: EngineInfo,
): LaunchEngine {
  unknowns.note(name === undefined ? `${reason}; the commands are those of docker` : reason);
  const record = RECORDS[name ?? 'docker'];
  const none = { engine: record.name, arch: mark('architecture', why), storesIndexes: false };
  const program = name ?? mark('engine', why);
  return { record, program, reason, info: said ?? none, socket: mark('socket', why), unknown: why };
}

/** @param asked gets every probe, so that none is started twice and the end of all can be waited for */
function engineProbes(
  ctx: RunnerContext,
  root: string,
  candidates: readonly EngineName[],
  chosen: AbortSignal,
  asked: Map<string, Promise<ProbeResult>>,
): EngineProbes {
  const { env, runner } = ctx;
  const ask = (program: string, args: readonly string[]) => {
    const argv = [program, ...args];
    const probe = () => runner.probe(probeCommand(argv, root), INFO_TIMEOUT_MS, { unless: chosen });
    const result = asked.get(argv.join(' ')) ?? probe();
    asked.set(argv.join(' '), result);
    return result;
  };
  return {
    chosen,
    ask: (name, args) => {
      const program = programOf(name, env);
      return program === undefined ? undefined : ask(program, args);
    },
    responding: async (name, start) => {
      const program = programOf(name, env);
      if (program === undefined) return absent(name);
      const result = await ask(program, INFO_ARGUMENTS);
      const refusal = refusalIn(result.ok ? result.output : result.reason);
      const info = result.ok && refusal === undefined ? parseInfo(result.output) : undefined;
      if (info?.engine === name) return { record: RECORDS[name], program, info };
      // The program is looked at under its own name.
      if (program !== name && (info !== undefined || candidates.some((other) => other === program)))
        return absent(name);
      if (result.ok && refusal === undefined) {
        const what = info === undefined ? 'not a container engine' : `really ${info.engine}`;
        return { said: `${program} is ${what}`, remedy: `install ${name} itself` };
      }
      const failed = result.ok || refusal !== undefined ? { reason: refusal ?? '' } : result;
      const remedy = remedyFor(failed, program, start);
      return { said: saidOf(`${program} info`, failed), remedy, isSetting: remedy === OTHER_CONTEXT };
    },
  };
}

export function saidOf(what: string, { reason }: { readonly reason: string }): string {
  return `${what}: ${oneLine(reason)}`;
}

function absent(name: EngineName): Refusal {
  return { said: `${name} is not on PATH`, remedy: 'install it', isAbsent: true };
}

const OTHER_CONTEXT = 'choose a context that exists (docker context ls)';

/** What a failure means that does not mean that the engine has to be started. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [/API version/, 'update its client or its server, or unset DOCKER_API_VERSION'],
  [/resolve docker endpoint|context not found/i, OTHER_CONTEXT],
];

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
  return REMEDIES.find(([pattern]) => pattern.test(reason))?.[1] ?? start;
}

/** The program that stands for an engine: the usual one, else another name of it. */
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
  { alternative, failing }: Pick<Purpose<Engine>, 'alternative' | 'failing'>,
  refused: readonly Refusal[],
): TaskError {
  const wanted = candidates.join(' or ');
  // Of two candidates neither has been chosen yet.
  const why = candidates.length > 1 ? '' : ` (${reason})`;
  const setting = Object.hasOwn(VARIABLES, reason) ? reason : 'CONTAINER_ENGINE';
  const present = refused.filter(({ isAbsent }) => isAbsent !== true);
  if (present.length === 0) {
    const otherwise = alternative ?? `set ${setting} to one that is`;
    return new MissingTool(`${wanted} is not on PATH${why}; install it, or ${otherwise}`);
  }
  const said = refused.map((one) => (candidates.length > 1 && one.brief) || one.said).join('; ');
  const remedies = [...new Set(present.map(({ remedy }) => remedy))].join(', or ');
  const otherwise = alternative ?? `set ${setting} to one that runs`;
  return usageError(`${wanted} ${failing}${why}: ${said}; ${remedies}, or ${otherwise}`);
}
