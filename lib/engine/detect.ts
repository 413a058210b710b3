// SPDX-License-Identifier: Apache-2.0

/** Asking the engines: each once in a run, side by side, within a time limit, in their own words where they refuse. */

import type { Door } from '../build-env.ts';
import { command } from '../command.ts';
import { booleanOf, type Environment } from '../environment.ts';
import { oneLine, usageError } from '../errors.ts';
import type { Answer } from '../outcome.ts';
import { archOf } from '../platform.ts';
import { findProgram } from '../programs.ts';
import type { Terminal } from '../terminal.ts';
import { type Engine, type EngineInfo, type EngineName, INFO_WORDS, parseInfo, recordOf } from './engine.ts';
import { chooseEngine, ENGINE_VARIABLES, engineWishes } from './selection.ts';

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
 * Finds the engine of a task, and says which it is and why.
 *
 * @throws usageError for wishes that are wrong or contradict, and where no engine that may be taken answers
 */
export async function detectEngine(door: Door, terminal: Terminal, env: Environment, root: string): Promise<Engine> {
  const wishes = engineWishes(env);
  const isQuiet = booleanOf(env, ENGINE_VARIABLES.quiet, false);
  const context = wishes.wantsCluster ? await kubeContext(door, env, root) : undefined;
  const { candidates, reason } = chooseEngine(wishes, context);
  const programs = candidates.flatMap((name) => programOf(name, env) ?? []);
  const asked = await Promise.all([...new Set(programs)].map((program) => ask(door, program, root)));
  for (const name of candidates) {
    const found = asked.find(({ program, info }) => info?.engine === name && recordOf(name).programs.includes(program));
    if (found === undefined) continue;
    const engine = { record: recordOf(name), program: found.program, arch: serverArch(found), reason };
    if (!isQuiet) terminal.say(`[container-engine] ${name}${nameNote(engine)} (${reason})`);
    return engine;
  }
  throw usageError(nothingAnswers(candidates, asked, reason));
}

/** The program that stands for an engine: the usual one, else another name of it. */
function programOf(name: EngineName, env: Environment): string | undefined {
  return recordOf(name).programs.find((program) => findProgram(program, env) !== undefined);
}

async function ask(door: Door, program: string, root: string): Promise<Asked> {
  const answer = await door.probe(command([program, ...INFO_WORDS], { cwd: root }), INFO_TIMEOUT_MS);
  return { program, answer, info: answer.ok ? parseInfo(answer.output) : undefined };
}

async function kubeContext(door: Door, env: Environment, root: string): Promise<string> {
  if (findProgram('kubectl', env) === undefined) return '';
  const answer = await door.probe(command(['kubectl', 'config', 'current-context'], { cwd: root }), CONTEXT_TIMEOUT_MS);
  return answer.ok ? answer.output.trim() : '';
}

/** Never this machine's architecture in its place: the image would hold a binary for the wrong one. */
function serverArch(asked: Asked) {
  const word = asked.info?.arch;
  const arch = archOf(word ?? '');
  if (arch !== undefined) return arch;
  throw usageError(
    `${asked.program} info says that its server is ${word === undefined ? 'of no architecture' : `'${oneLine(word)}'`}; ` +
      'allowed are amd64 and arm64; use another server or set DOCKER_PLATFORM on one that is',
  );
}

function nameNote(engine: Engine): string {
  return engine.program === engine.record.name ? '' : ` under the name ${engine.program}`;
}

function nothingAnswers(candidates: readonly EngineName[], asked: readonly Asked[], reason: string): string {
  const wanted = candidates.join(' or ');
  if (asked.length === 0) {
    return `${wanted} is not on PATH (${reason}); install it, or set ${ENGINE_VARIABLES.explicit} to one that is`;
  }
  const said = asked.map(({ program, answer, info }) => {
    if (!answer.ok) return `${program} info: ${oneLine(answer.reason)}`;
    return info === undefined ? `${program} is no container engine` : `${program} is really ${info.engine}`;
  });
  return `no answer from ${wanted} (${reason}): ${said.join('; ')}; start it, or set ${ENGINE_VARIABLES.explicit} to one that runs`;
}
