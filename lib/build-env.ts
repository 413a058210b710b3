// SPDX-License-Identifier: Apache-2.0

/**
 * The runner: the only file of the suite that starts another program, with the open-file guard (`npm run check:spawn`).
 * A command is started as `bash -p -c 'set -euo pipefail; ulimit -S -n N; exec ARGV'`, quoted by zx. `-p` keeps exported
 * functions, BASH_ENV and SHELLOPTS out of that shell; every zx option that the environment could set is given here.
 */

import { type StdioOptions, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { cargoTermEnv, SERVER_TIMEOUT_MS, type WrapperWatch, withRecovery } from './cargo/sccache-recovery.ts';
import { definedOnly, type Environment } from './cli/env.ts';
import type { TaskContext } from './cli/task.ts';
import type { Terminal } from './cli/terminal.ts';
import { failure, usageError } from './errors.ts';
import type { Invoker } from './fs/ownership.ts';
import { type Machine, probeHome, thisMachine } from './host.ts';
import { Guard, limitPrefix, wrapperOf } from './nofile/guard.ts';
import { argvText, type Command, childEnvironment, commandText, echoText } from './process/command.ts';
import {
  commandFailed,
  type LaunchOptions,
  type Outcome,
  type ProbeResult,
  probeResult,
  settle,
  trimmed,
} from './process/result.ts';
import { exitStatus, type Signals } from './process/signals.ts';
import { findProgram, requireProgram } from './process/which.ts';

const STRICT_MODE = 'set -euo pipefail;';

/** Each option that ZX_* variables or zx's own command line could set. */
const ZX_OPTIONS = { postfix: '', preferLocal: false, timeout: 0, verbose: false, quiet: true, nothrow: true } as const;
/** Of one argument on Linux (execve(2), MAX_ARG_STRLEN); a failed exec would abort Node. */
const TEXT_BYTES_MAX = 128 * 1024 - 1;
const CAPTURED = ['pipe', 'pipe'] as const;

type Input = Pick<LaunchOptions, 'input'>;
type ProbeOptions = Pick<LaunchOptions, 'input' | 'unless'>;

/** Loaded for the first command. */
const load: (name: 'zx/core') => typeof import('zx/core') = createRequire(import.meta.url);

/** What the library's functions act through. */
export interface RunnerContext extends TaskContext {
  readonly runner: Runner;
}

/**
 * The context of a task that starts programs. Under sudo the home of the user is asked for where no file tells it.
 * @throws usageError for a wrong guard variable, or where bash is missing
 */
export async function withRunner(ctx: TaskContext, machine: Machine = thisMachine(ctx.env)): Promise<RunnerContext> {
  const { invoker, platform } = machine;
  const runner = new Runner(ctx, machine);
  if (invoker === undefined || invoker.home !== undefined) return { ...ctx, runner };
  const home = await probeHome((command, timeoutMs) => runner.probe(command, timeoutMs), platform, invoker);
  return { ...ctx, runner: new Runner(ctx, { ...machine, invoker: { ...invoker, ...home } }) };
}

export class Runner {
  readonly #env: Environment;
  readonly #terminal: Terminal;
  readonly #signals: Signals;
  readonly #guard: Guard;
  readonly #machine: Machine;
  readonly #bash: string;

  constructor(ctx: Pick<TaskContext, 'env' | 'terminal' | 'signals'>, machine: Machine = thisMachine(ctx.env)) {
    this.#env = ctx.env;
    this.#terminal = ctx.terminal;
    this.#signals = ctx.signals;
    this.#guard = new Guard(ctx.env, machine);
    this.#machine = machine;
    this.#bash =
      findProgram('bash', ctx.env) ??
      findProgram('/bin/bash', ctx.env) ??
      requireProgram('bash', ctx.env, 'install it or add its directory to PATH');
  }

  /** Runs a command, echoed, its output on the terminal's stderr. @throws TaskError with its status, or 128+n */
  async run(command: Command, { input }: Input = {}): Promise<void> {
    this.#verify(command);
    this.#terminal.echo(echoText(command));
    const outcome = await this.#launch(command, { stdio: [2, 2], input });
    if (outcome.status !== 0) throw commandFailed(command, outcome);
  }

  /** The command's stdout without the line breaks at its end; not echoed. @throws TaskError as `run` does */
  async read(command: Command, { input }: Input = {}): Promise<string> {
    this.#verify(command);
    const outcome = await this.#launch(command, { stdio: CAPTURED, input });
    if (outcome.status !== 0) throw commandFailed(command, outcome);
    return trimmed(outcome.stdout);
  }

  /** Runs a command that may fail, within a time limit; not echoed. */
  async probe(command: Command, timeoutMs: number, options: ProbeOptions = {}): Promise<ProbeResult> {
    this.#verify(command);
    return this.#probe(command, timeoutMs, options);
  }

  /** Runs cargo, echoed, with its progress on the terminal and the recovery of its wrapper, and gives its stdout. */
  async cargo(command: Command): Promise<string> {
    const { serverLimit } = this.#guard;
    // Cargo needs no privilege: under sudo its output stays the user's.
    const outcome = await withRecovery(
      { ...command, asInvoker: true },
      {
        serverLimit,
        wrapperOf: (current) => wrapperOf(this.environmentOf(current)),
        start: (current, watch) => this.#startCargo(current, watch),
        // Outside the guard: the server outlives the task, and gets the wanted limit as it is.
        callServer: (server) => this.#probe(server, SERVER_TIMEOUT_MS, { limit: serverLimit }),
        warn: (text) => this.#terminal.warn(text),
      },
    );
    // Its last lines went to the terminal as they came.
    if (outcome.status !== 0) throw commandFailed(command, { ...outcome, stdout: '', stderr: '' });
    return outcome.stdout;
  }

  /** Runs a command that talks to the user, echoed, in the terminal's foreground group, so that Ctrl-C reaches it. */
  async interactive(command: Command): Promise<void> {
    this.#verify(command);
    this.#terminal.echo(echoText(command));
    const text = this.#shellText(command, this.#guardedLimit(command), 'exec ');
    const child = this.#spawn(command, text, { stdio: ['inherit', 2, 2], detached: false });
    const status = await this.#signals.relay(child, exitStatus(child), true);
    this.#signals.throwIfReceived();
    const signal = child.signalCode ?? undefined;
    if (status !== 0) throw commandFailed(command, { status, signal, stdout: '', stderr: '', timedOut: false });
  }

  get invoker(): Invoker | undefined {
    return this.#machine.invoker;
  }

  /** Whether `exec` replaces this process; else it runs the program as a child. */
  get canReplace(): boolean {
    return this.#machine.canReplace && process.execve !== undefined;
  }

  /** Starts a program that outlives the task, from bash's background: no child of the program that replaces the task. */
  async start(command: Command): Promise<void> {
    this.#verify(command);
    const text = this.#shellText(command, this.#guard.userLimit, '', ' </dev/null &');
    const status = await exitStatus(this.#spawn(command, text, { stdio: ['ignore', 'ignore', 2], detached: true }));
    if (status !== 0) throw failure(`${argvText(command)} could not be started (status ${status})`, status);
  }

  /**
   * Starts a program in a session of its own and with the limit of the user's shell, which ends with the task at the latest.
   * @param output the descriptor of an open file, for all that it prints
   */
  beside(command: Command, output: number): { readonly pid: number | undefined; readonly ended: Promise<number> } {
    this.#verify(command);
    const text = this.#shellText(command, this.#guard.userLimit, 'exec ');
    const child = this.#spawn(command, text, { stdio: ['ignore', output, output], detached: true });
    return { pid: child.pid, ended: this.#signals.relay(child, exitStatus(child)) };
  }

  /**
   * Replaces this process by the program, which keeps pid, terminal and signals and gets the open-file limit of the
   * user's shell. Where a process cannot be replaced: runs it, passes signals on, and gives its exit status.
   * @throws usageError for what cannot be started: a failed replacement would abort Node
   */
  async exec(command: Command): Promise<number> {
    this.#verify(command);
    const env = this.environmentOf(command);
    requireProgram(command.argv[0], env, 'build or install it first');
    const before = this.#signals.ignoresHangup ? "trap '' HUP; exec " : 'exec ';
    const text = this.#shellText(command, this.#guard.userLimit, before);
    if (Buffer.byteLength(text) > TEXT_BYTES_MAX) {
      throw usageError(`the arguments of ${command.argv[0]} are too long together, 127 KiB are allowed; shorten them`);
    }
    if (this.canReplace) {
      process.chdir(command.cwd);
      const own = definedOnly(env);
      // From here to the exec nothing takes time: a signal is seen by this check, or has its default action.
      await this.#signals.throwIfPending();
      this.#signals.stop();
      process.execve?.(this.#bash, ['bash', '-p', '-c', text], own);
    }
    const child = this.#spawn(command, text, { stdio: 'inherit', detached: true });
    return this.#signals.relay(child, exitStatus(child));
  }

  environmentOf(command: Command): Environment {
    return childEnvironment(this.#env, command, this.#machine.invoker);
  }

  /** The command as a dry run shows it: the limit that it would get, then a line to paste. */
  describe(command: Command): string {
    const plan = this.#guard.plan(command, this.environmentOf(command));
    return plan.kind === 'raise' ? `${limitPrefix(plan.to)} ${commandText(command)}` : commandText(command);
  }

  #guardedLimit(command: Command): number | undefined {
    return this.#guard.limitFor(command, this.environmentOf(command), this.#terminal);
  }

  #shellText({ argv }: Command, limit: number | undefined, before: string, after = ''): string {
    const quoted = argv.map((argument) => load('zx/core').quote(argument)).join(' ');
    return `${STRICT_MODE} ${limitPrefix(limit)} ${before}${quoted}${after}`;
  }

  #spawn(command: Command, text: string, options: { readonly stdio: StdioOptions; readonly detached: boolean }) {
    return spawn(this.#bash, ['-p', '-c', text], { ...options, cwd: command.cwd, env: this.environmentOf(command) });
  }

  async #probe(command: Command, timeoutMs: number, options: ProbeOptions & { limit?: number }): Promise<ProbeResult> {
    return probeResult(command, await this.#launch(command, { ...options, stdio: CAPTURED, timeoutMs }), timeoutMs);
  }

  async #launch(command: Command, options: LaunchOptions): Promise<Outcome> {
    const { $, quote } = load('zx/core');
    const limit = options.limit ?? this.#guardedLimit(command);
    const user = command.asInvoker ? this.#machine.invoker : undefined;
    const ids = user === undefined ? {} : { uid: user.uid, gid: user.gid };
    // zx would never end an empty input; without one stdin is at its end from the start.
    const input = options.input || undefined;
    const running = $({
      shell: this.#bash,
      prefix: `${STRICT_MODE} ${limitPrefix(limit)} `,
      quote,
      cwd: command.cwd,
      env: this.environmentOf(command),
      stdio: [input === undefined ? 'ignore' : 'pipe', ...options.stdio],
      ...(input === undefined ? {} : { input }),
      detached: true,
      ...ZX_OPTIONS,
      log: () => undefined,
      spawn: ((text: string, _argv: unknown, spawnOptions: object) =>
        spawn(this.#bash, ['-p', '-c', text], { ...spawnOptions, ...ids, shell: false })) as never,
    })`exec ${command.argv}`;
    return settle(running, this.#signals, { endedBy: command.endedBy, ...options });
  }

  /** @throws usageError where there is no directory to run in, InterruptedError after a signal to the task */
  #verify({ argv, cwd }: Command, isCargo = false): void {
    if (!isCargo && basename(argv[0]) === 'cargo') {
      throw new TypeError('cargo is started by the verb cargo(), which carries the recovery');
    }
    this.#signals.throwIfReceived();
    if (statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true) return;
    throw usageError(`${argv[0]} cannot run in ${cwd}: there is no such directory`);
  }

  /** With a wrapper cargo's stderr, else the terminal itself, is watched, and looks the same. */
  #startCargo(command: Command, watch: WrapperWatch | undefined): Promise<Outcome> {
    this.#verify(command, true);
    this.#terminal.echo(echoText(command));
    if (watch === undefined) return this.#launch(command, { stdio: ['pipe', 2] });
    const decoder = new TextDecoder();
    const onStderr = (bytes: Buffer) => {
      this.#terminal.pass(bytes);
      watch.add(decoder.decode(bytes, { stream: true }));
    };
    const env = { ...cargoTermEnv(this.#terminal, this.environmentOf(command)), ...command.env };
    return this.#launch({ ...command, env }, { stdio: CAPTURED, onStderr });
  }
}
