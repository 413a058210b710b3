// SPDX-License-Identifier: Apache-2.0

/** The open-file guard of one task: what `policy.ts` decides, for this machine and each command. */

import { type Environment, textOf } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { usageError } from '../errors.ts';
import type { Machine } from '../host.ts';
import type { Command } from '../process/command.ts';
import { findProgram } from '../process/which.ts';
import { INNER_WRAPPER } from '../product.ts';
import { type NofilePlan, type NofileRequest, nofileRequest, planNofile } from './policy.ts';

/** What commands that link, or have others link, are called with. */
const LINKING = ['build', 'buildx', 'rustc', 'zigbuild'];

export class Guard {
  readonly #request: NofileRequest;
  readonly #machine: Machine;
  #announced = false;

  /** @throws usageError for a wrong guard variable */
  constructor(env: Environment, machine: Machine) {
    this.#request = nofileRequest(env);
    this.#machine = machine;
  }

  /**
   * What is done before a command runs.
   * @param env the whole environment that the command gets
   * @throws usageError where the machine's limits cannot carry a build, with the command that fixes it
   */
  plan(command: Command, env: Environment): Exclude<NofilePlan, { kind: 'refuse' }> {
    const plan = planNofile(this.#request, {
      platform: this.#machine.platform,
      zigbuild: command.argv.includes('zigbuild') || findProgram('cargo-zigbuild', env) !== undefined,
      wrapper: wrapperOf(env) !== undefined,
      ...this.#machine.limits,
    });
    if (plan.kind !== 'refuse') return plan;
    // Too low a limit is in the way of links alone.
    if (LINKING.some((name) => command.argv.includes(name))) throw usageError(plan.message);
    return { kind: 'leave' };
  }

  /** The soft limit that a command is given; `undefined` for the one that it inherits. Says so the first time. */
  limitFor(command: Command, env: Environment, terminal: Terminal): number | undefined {
    const plan = this.plan(command, env);
    if (plan.kind === 'leave') return undefined;
    if (!this.#announced) {
      this.#announced = true;
      terminal.say(`open-file limit raised for what this task runs: ${plan.from} -> ${plan.to}`);
      if (plan.shortOf !== undefined) {
        terminal.warn(`that is less than the wanted ${plan.shortOf}: the hard limit is ${plan.to}`);
      }
    }
    return plan.to;
  }

  /** The soft limit for a server that outlives the task and serves builds. */
  get serverLimit(): number {
    return this.#clamped(this.#request.wanted);
  }

  /** The soft limit for a program that takes the task's place: the user's own, not the one that Node made. */
  get userLimit(): number {
    return this.#clamped(this.#machine.shellLimit ?? this.#request.wanted);
  }

  #clamped(limit: number): number {
    return Math.min(limit, this.#machine.limits.hard ?? Number.POSITIVE_INFINITY);
  }
}

/**
 * The compiler wrapper that cargo takes from an environment; set but empty means none. Where that is one of the suite's
 * own, the wrapper behind it: that is who fails, and whose server is restarted.
 */
export function wrapperOf(env: Environment): string | undefined {
  const given =
    env.RUSTC_WRAPPER === undefined ? textOf(env, 'CARGO_BUILD_RUSTC_WRAPPER') : textOf(env, 'RUSTC_WRAPPER');
  return given === undefined ? undefined : (textOf(env, INNER_WRAPPER) ?? given);
}
