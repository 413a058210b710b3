// SPDX-License-Identifier: Apache-2.0

/** Asking the engines: each once in a run, side by side, within a time limit, in their own words where they refuse. */
/** Questions to engines, builders and clusters: commands that no token of the user goes with. */
/** The record of each engine. */

import type { Runner } from '../build-env.ts';
import { booleanOf, type Environment } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { oneLine, usageError } from '../errors.ts';
import { type Arch, archOf } from '../host.ts';
import { type Command, command } from '../process/command.ts';
import type { Answer } from '../process/result.ts';
import { findProgram } from '../process/which.ts';
import { DOCKER } from './docker.ts';
import { PODMAN } from './podman.ts';
import { chooseEngine, ENGINE_VARIABLES, type EngineChoice, engineWishes, NO_CONTEXT } from './select.ts';
import {
  type Engine,
  type EngineInfo,
  type EngineName,
  type EngineRecord,
  INFO_WORDS,
  parseInfo,
  refusalIn,
} from './types.ts';

/** A daemon on the other side of the world answers well within this; one that hangs does not block the other engine. */
const INFO_TIMEOUT_MS = 15_000;
const CONTEXT_TIMEOUT_MS = 10_000;

/** A program that was asked, with its answer; `info` where it is an engine. */
interface Asked {
  readonly program: string;
  readonly answer: Answer;
  readonly info: EngineInfo | undefined;
}

/**
 * Finds the engine of a task by the one rule of the suite, and says which it is and why.
 *
 * @throws usageError for wishes that are wrong or contradict, and where no engine that may be taken answers
 */
export async function detectEngine(
  runner: Runner,
  terminal: Terminal,
  env: Environment,
  root: string,
): Promise<Engine> {
  const wishes = engineWishes(env);
  const isQuiet = booleanOf(env, ENGINE_VARIABLES.quiet, false);
  const cluster = wishes.wantsCluster ? await kubeContext(runner, env, root) : undefined;
  const engine = await findEngine(runner, env, root, chooseEngine(wishes, cluster?.context, cluster?.problem));
  if (!isQuiet) terminal.say(`[container-engine] ${engine.record.name}${nameNote(engine)} (${engine.reason})`);
  return engine;
}

/**
 * The first of the candidates that answers. Says nothing.
 *
 * @throws usageError with the words of each where none does
 */
export async function findEngine(
  runner: Runner,
  env: Environment,
  root: string,
  choice: EngineChoice,
): Promise<Engine> {
  const programs = new Set(choice.candidates.flatMap((name) => programOf(name, env) ?? []));
  const found = new AbortController();
  const questions = new Map([...programs].map((program) => [program, ask(runner, program, root, found.signal)]));
  const refused: Asked[] = [];
  try {
    for (const name of choice.candidates) {
      const asked = await questions.get(programOf(name, env) ?? '');
      if (asked?.info?.engine === name) {
        const others = refused.filter((one) => one !== asked);
        return engineOf(name, asked, [choice.reason, ...others.map(saidOf)].join('; '));
      }
      if (asked !== undefined && !refused.includes(asked)) refused.push(asked);
    }
  } finally {
    // Whoever has not answered yet is not needed any more, and must not outlive the task.
    found.abort();
    await Promise.allSettled(questions.values());
  }
  throw usageError(nothingAnswers(choice, refused));
}

/** The architecture is looked at when it is needed: with `DOCKER_PLATFORM` set, it is not. */
function engineOf(name: EngineName, asked: Asked, reason: string): Engine {
  return {
    record: recordOf(name),
    program: asked.program,
    reason,
    info: asked.info,
    get arch() {
      return serverArch(asked);
    },
  };
}

/** The program that stands for an engine: the usual one, else another name of it. */
function programOf(name: EngineName, env: Environment): string | undefined {
  return recordOf(name).programs.find((program) => findProgram(program, env) !== undefined);
}

async function ask(runner: Runner, program: string, root: string, unless: AbortSignal): Promise<Asked> {
  const answer = await runner.probe(question([program, ...INFO_WORDS], root), INFO_TIMEOUT_MS, unless);
  const refusal = refusalIn(answer.ok ? answer.output : answer.reason);
  if (refusal !== undefined) return { program, answer: { ok: false, reason: refusal }, info: undefined };
  return { program, answer, info: answer.ok ? parseInfo(answer.output) : undefined };
}

async function kubeContext(
  runner: Runner,
  env: Environment,
  root: string,
): Promise<{ context: string; problem: string }> {
  if (findProgram('kubectl', env) === undefined) return { context: '', problem: 'kubectl is not on PATH' };
  const answer = await runner.probe(question(['kubectl', 'config', 'current-context'], root), CONTEXT_TIMEOUT_MS);
  if (answer.ok) return { context: answer.output.trim(), problem: NO_CONTEXT };
  return { context: '', problem: `kubectl says: ${oneLine(answer.reason)}` };
}

/** Never this machine's architecture in its place: the image would hold a binary for the wrong one. */
function serverArch({ program, info }: Asked): Arch {
  const arch = archOf(info?.arch ?? '');
  if (arch !== undefined) return arch;
  const said =
    info?.arch === undefined ? 'does not say its architecture' : `is of architecture '${oneLine(info.arch)}'`;
  throw usageError(
    `the server of ${program} ${said}; allowed are amd64 and arm64; ` +
      'set DOCKER_PLATFORM to linux/amd64 or linux/arm64, or use another server',
  );
}

function nameNote({ program, record, info }: Engine): string {
  const name = program === record.name ? '' : ` under the name ${program}`;
  return info?.isPodmanServer === true && record.name === 'docker' ? `${name}, served by podman` : name;
}

function saidOf({ program, answer, info }: Asked): string {
  if (!answer.ok) return `${program} info: ${oneLine(answer.reason)}`;
  return info === undefined ? `${program} is no container engine` : `${program} is really ${info.engine}`;
}

function nothingAnswers({ candidates, reason, remedy }: EngineChoice, asked: readonly Asked[]): string {
  const wanted = candidates.join(' or ');
  // Where both may be taken, nothing has been chosen that could have a reason.
  const why = candidates.length > 1 ? '' : ` (${reason})`;
  if (asked.length === 0) {
    return `${wanted} is not on PATH${why}; ${remedy ?? `install it, or set ${ENGINE_VARIABLES.explicit} to one that is`}`;
  }
  const said = asked.map(saidOf).join('; ');
  return `no answer from ${wanted}${why}: ${said}; ${remedy ?? `start it, or set ${ENGINE_VARIABLES.explicit} to one that runs`}`;
}

/** The variables that may hold a GitHub token for an image build, the first one first. */
export const TOKEN_VARIABLES = ['MISE_GITHUB_TOKEN', 'GITHUB_TOKEN'] as const;

/** A question. What is said about it, and what it says itself, cannot hold a token that it never had. */
export function question(words: readonly string[], root: string): Command {
  return command(words, { cwd: root, env: Object.fromEntries(TOKEN_VARIABLES.map((name) => [name, undefined])) });
}

const RECORDS: Readonly<Record<EngineName, EngineRecord>> = { docker: DOCKER, podman: PODMAN };

export function recordOf(name: EngineName): EngineRecord {
  return RECORDS[name];
}
