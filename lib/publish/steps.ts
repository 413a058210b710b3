// SPDX-License-Identifier: Apache-2.0

/** Steps of a plan as commands: what earlier steps have given is filled in where it is wanted. */

import { readFileSync } from 'node:fs';
import { argvText, type Command, command } from '../command.ts';
import type { Engine } from '../engine/engine.ts';
import type { PublishStep } from '../engine/publishing.ts';
import type { Environment } from '../environment.ts';
import { EXIT, failure, shown } from '../errors.ts';
import type { Workbench } from '../task.ts';

/** What steps have given so far, by slot. */
export type Values = ReadonlyMap<string, string>;

/** A step as a command; what is not known yet is shown by its name, in angle brackets. */
export function commandOf(step: PublishStep, engine: Engine, root: string, env: Environment, values: Values): Command {
  const words = step.words.map((word) =>
    typeof word === 'string' ? word : `${word.lead}${values.get(word.slot) ?? `<${word.slot}>`}`,
  );
  return command([engine.program, ...words], { cwd: root, env });
}

/** Runs steps in their order and keeps what they give. */
export class Steps {
  readonly #bench: Workbench;
  readonly #engine: Engine;
  readonly #root: string;
  readonly #env: Environment;
  readonly #values = new Map<string, string>();

  constructor(bench: Workbench, engine: Engine, root: string) {
    this.#bench = bench;
    this.#engine = engine;
    this.#root = root;
    this.#env = stepEnvironment(bench.env);
  }

  valueOf(slot: string): string | undefined {
    return this.#values.get(slot);
  }

  /** Takes a value from elsewhere for a slot. */
  learn(slot: string, value: string): void {
    this.#values.set(slot, value);
  }

  /** @throws TaskError with the program's own status, or 1 where it does not say what it has made */
  async run(step: PublishStep): Promise<void> {
    const missing = step.words.find((word) => typeof word !== 'string' && !this.#values.has(word.slot));
    if (missing !== undefined) throw new TypeError(`a step needs ${JSON.stringify(missing)} before it is known`);
    const value = commandOf(step, this.#engine, this.#root, this.#env, this.#values);
    await this.#bench.door.run(value);
    if (step.gives === undefined) return;
    const { file, slot } = step.gives;
    const given = readGiven(value, step.gives);
    const known = this.#values.get(slot);
    if (known !== undefined && known !== given) {
      throw failure(`${argvText(value)} pushed ${given}, but the ${slot} is ${known} (${file})`);
    }
    this.#values.set(slot, given);
  }
}

function readGiven(value: Command, { file, read, slot }: NonNullable<PublishStep['gives']>): string {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw failure(`${argvText(value)} has not said the ${slot}`, EXIT.failed, { cause: error });
  }
  const given = read(text);
  if (given !== undefined && /^sha256:[0-9a-f]{64}$/.test(given)) return given;
  throw failure(`${argvText(value)} has not said the ${slot}: ${file} has ${shown(text)}`);
}

/** The time is given in words; newer engines refuse to have it in both. */
export function stepEnvironment(env: Environment): Environment {
  return env.SOURCE_DATE_EPOCH === undefined ? {} : { SOURCE_DATE_EPOCH: undefined };
}
