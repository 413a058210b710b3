// SPDX-License-Identifier: Apache-2.0

/**
 * The open-file guard: one static link of the supervisor opens every `.rlib` of its dependencies at once (333 in 2026), a
 * stock macOS shell allows 256 open files, and zig then dies with `ProcessFdQuotaExceeded`
 * (https://github.com/rust-cross/cargo-zigbuild/issues/329); sccache fails in its own way on native builds. The zig half
 * can go when the pinned cargo-zigbuild raises the limit itself (pull request 462 there), the rest when sccache does.
 */

import { type Environment, parseBoolean, readVariable, textOf } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { usageError } from '../errors.ts';
import type { Machine } from '../host.ts';
import type { Command } from '../process/command.ts';
import type { Limits } from '../process/identity.ts';
import { findProgram } from '../process/which.ts';
import { INNER_WRAPPER } from '../product.ts';

const MODE = 'OPENSHELL_BUILD_NOFILE_GUARD';
const LIMITS = ['OPENSHELL_BUILD_NOFILE_LIMIT', 'OPENSHELL_VM_BUILD_NOFILE_LIMIT'] as const;

export const WANTED_DEFAULT = 8192;
/** Below this a build is refused: its link is known to fail. */
export const REQUIRED_MIN = 1024;
/** The first cargo-zigbuild that raises it, on macOS only. */
export const ZIGBUILD_RAISES = '0.23.1';
/** What commands that link are called with; too low a limit is in the way of nothing else. */
const LINKING = ['build', 'buildx', 'rustc', 'zigbuild'];

/** The soft limit to build under, and the variable that it comes from (none by default). */
type NofileRequest = ReturnType<typeof nofileRequest>;

/** The limits that a child would inherit, and whether cargo-zigbuild can be reached, and a compiler wrapper is set. */
export interface NofileFacts extends Limits {
  readonly platform: NodeJS.Platform;
  readonly zigbuild: boolean;
  readonly wrapper: boolean;
}

/** Reads the guard's variables, on every platform, whether the guard acts or not. @throws usageError naming the variable */
export function nofileRequest(env: Environment) {
  const text = readVariable(env, MODE);
  const mode = text.toLowerCase() === 'auto' ? 'auto' : parseBoolean(MODE, text, ['auto']) ? 'on' : 'off';
  const values = LIMITS.map((name) => ({ source: name, wanted: readVariable(env, name) }));
  const { source, wanted } = values.find((value) => value.wanted !== undefined) ?? {};
  return { mode, wanted: wanted ?? WANTED_DEFAULT, source } as const;
}

/** The guard's decision: never lowers the soft limit, never touches the hard one. */
export function planNofile(request: NofileRequest, facts: NofileFacts) {
  const { soft, hard = Number.POSITIVE_INFINITY } = facts;
  const isNeeded = facts.platform === 'darwin' && (facts.zigbuild || facts.wrapper);
  const isAsked = request.mode === 'on' || (request.mode === 'auto' && isNeeded);
  if (!isAsked || soft === undefined || soft >= request.wanted) return { kind: 'leave' } as const;
  const to = Math.min(request.wanted, hard);
  if (to < REQUIRED_MIN) return { kind: 'refuse', message: refusal(request, facts.platform, hard) } as const;
  if (to <= soft) return { kind: 'leave' } as const;
  return { kind: 'raise', from: soft, to, shortOf: to < request.wanted ? request.wanted : undefined } as const;
}

function refusal({ source, wanted }: NofileRequest, platform: NodeJS.Platform, hard: number): string {
  if (wanted < REQUIRED_MIN) {
    return (
      `${source} is '${wanted}', but a static link needs ${REQUIRED_MIN} open files or more; ` +
      `unset it or run: export ${source}=${WANTED_DEFAULT}`
    );
  }
  const fix =
    platform === 'darwin'
      ? `sudo launchctl limit maxfiles ${wanted} unlimited (then open a new terminal)`
      : `sudo prlimit --pid $$ --nofile=${wanted}:${wanted} (containers: --ulimit nofile=${wanted})`;
  return `the hard limit of open files is ${hard}, but a static link needs ${REQUIRED_MIN} or more; run: ${fix}`;
}

/** The shell text that sets a soft limit; empty where nothing is to be done. */
export function limitPrefix(limit: number | undefined): string {
  return limit === undefined ? '' : `ulimit -S -n ${Number.isFinite(limit) ? limit : 'unlimited'};`;
}

/** The guard of one task. */
export class Guard {
  readonly #request: NofileRequest;
  readonly #machine: Machine;
  #announced = false;

  constructor(env: Environment, machine: Machine) {
    this.#request = nofileRequest(env);
    this.#machine = machine;
  }

  /**
   * What is done before a command runs in a whole environment.
   * @throws usageError where the machine's limits cannot carry a build, with the command that fixes it
   */
  plan(command: Command, env: Environment) {
    const plan = planNofile(this.#request, {
      platform: this.#machine.platform,
      zigbuild: command.argv.includes('zigbuild') || findProgram('cargo-zigbuild', env) !== undefined,
      wrapper: wrapperOf(env) !== undefined,
      ...this.#machine.limits,
    });
    if (plan.kind !== 'refuse') return plan;
    if (LINKING.some((name) => command.argv.includes(name))) throw usageError(plan.message);
    return { kind: 'leave' } as const;
  }

  /** The soft limit that a command is given; `undefined` for the one that it inherits. Says so the first time. */
  limitFor(command: Command, env: Environment, terminal: Terminal): number | undefined {
    const plan = this.plan(command, env);
    if (plan.kind === 'leave') return undefined;
    if (!this.#announced) {
      terminal.say(`open-file limit raised for what this task runs: ${plan.from} -> ${plan.to}`);
      const { shortOf, to } = plan;
      if (shortOf !== undefined) terminal.warn(`that is less than the wanted ${shortOf}: the hard limit is ${to}`);
    }
    this.#announced = true;
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

/** The compiler wrapper that cargo takes from an environment; where that is one of ours, the one behind it. */
export function wrapperOf(env: Environment): string | undefined {
  const given =
    env.RUSTC_WRAPPER === undefined ? textOf(env, 'CARGO_BUILD_RUSTC_WRAPPER') : textOf(env, 'RUSTC_WRAPPER');
  return given === undefined ? undefined : (textOf(env, INNER_WRAPPER) ?? given);
}
