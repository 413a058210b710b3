// SPDX-License-Identifier: Apache-2.0

/**
 * The door: the only file of the suite that starts another program, and the open-file guard
 * that every such program gets. `npm run check:door` fails on any other way out.
 *
 * A command leaves as `bash -p -c 'set -euo pipefail; ulimit -S -n N; exec WORDS'`: strict mode
 * first, then the limit, then the words, quoted by zx. `-p` keeps exported functions, BASH_ENV
 * and SHELLOPTS out of that shell; every zx option that the environment could set is given here.
 *
 * Verbs: `run` (echo, the terminal's), `read` (trimmed output), `probe` (yes, or why not),
 * `cargo` (run, with the wrapper's recovery), `become` (be replaced by the program).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { argvText, type Command, command, commandText, echoText } from './command.ts';
import { definedOnly, type Environment, textOf } from './environment.ts';
import { EXIT, failure, oneLine, usageError } from './errors.ts';
import { Guard, wrapperOf } from './guard.ts';
import { type Machine, thisMachine } from './machine.ts';
import { limitPrefix } from './nofile.ts';
import { type Answer, commandFailed, type Outcome, outcomeTail, trimmed } from './outcome.ts';
import { findProgram } from './programs.ts';
import { type WrapperWatch, withRecovery } from './recovery.ts';
import { killGroup, type Signals, statusOfSignal } from './signals.ts';
import { seconds, type Terminal } from './terminal.ts';

const STRICT_MODE = 'set -euo pipefail;';
const SERVER_TIMEOUT_MS = 15_000;

interface LaunchOptions {
  /** For stdout and stderr: captured, or the terminal's stderr. */
  readonly stdio: readonly ['pipe' | 2, 'pipe' | 2];
  /** A soft limit in place of the guard's. */
  readonly limit?: number;
  readonly timeoutMs?: number;
  /** Aborts when nobody needs the answer any more; the program is killed. */
  readonly unless?: AbortSignal | undefined;
  readonly onStderr?: (bytes: Buffer) => void;
}

const CAPTURED = ['pipe', 'pipe'] as const;

export class Door {
  readonly #env: Environment;
  readonly #terminal: Terminal;
  readonly #signals: Signals;
  readonly #guard: Guard;
  readonly #machine: Machine;
  readonly #bash: string;
  #announced = false;

  /** @throws usageError for a wrong guard variable, or where there is no bash */
  constructor(env: Environment, terminal: Terminal, signals: Signals, machine: Machine = thisMachine(env)) {
    this.#env = env;
    this.#terminal = terminal;
    this.#signals = signals;
    this.#guard = new Guard(env, machine);
    this.#machine = machine;
    const bash = findProgram('bash', env) ?? findProgram('/bin/bash', env);
    if (bash === undefined) throw usageError('bash is not on PATH; install it or add its folder to PATH');
    this.#bash = bash;
  }

  /**
   * Runs a command: echoed, its output on the terminal's stderr.
   *
   * @throws TaskError with the command's own status, or 128+n for a signal
   */
  async run(value: Command): Promise<void> {
    this.#refuseCargo(value);
    this.#terminal.echo(echoText(value));
    const outcome = await this.#launch(value, { stdio: [2, 2] });
    if (outcome.status !== 0) throw commandFailed(value, outcome);
  }

  /**
   * The command's stdout without the line breaks at its end; not echoed.
   *
   * @throws TaskError with the command's own status and the last lines that it said
   */
  async read(value: Command): Promise<string> {
    this.#refuseCargo(value);
    const outcome = await this.#launch(value, { stdio: CAPTURED });
    if (outcome.status !== 0) throw commandFailed(value, outcome);
    return trimmed(outcome.stdout);
  }

  /**
   * Asks a question that may be answered by failing, within a time limit. Not echoed.
   *
   * @param unless takes the question back when it aborts
   */
  async probe(value: Command, timeoutMs: number, unless?: AbortSignal): Promise<Answer> {
    this.#refuseCargo(value);
    return this.#probe(value, { stdio: CAPTURED, timeoutMs, unless });
  }

  /**
   * Runs cargo, echoed, with its progress on the terminal, and gives its stdout (JSON messages).
   * When the compiler wrapper fails, and not the build: `withRecovery`.
   *
   * @throws TaskError with cargo's own status
   */
  async cargo(value: Command): Promise<string> {
    const outcome = await withRecovery(value, {
      wrapperOf: (current) => wrapperOf(this.#envOf(current)),
      start: (current, watch) => this.#startCargo(current, watch),
      restartServer: (wrapper, like) => this.#restartServer(wrapper, like),
      warn: (text) => this.#terminal.warn(text),
    });
    // Its last lines went to the terminal as they came.
    if (outcome.status !== 0) throw commandFailed(value, { ...outcome, stdout: '', stderr: '' });
    return outcome.stdout;
  }

  /**
   * Replaces this process by the program, which keeps pid, terminal and signals and gets the
   * open-file limit of the person's shell (else the build limit), not the one that Node made.
   * Where a process cannot be replaced: runs it, passes signals on, and gives its exit status.
   *
   * @throws usageError when the program is not there: a failed replacement would abort Node
   */
  async become(value: Command): Promise<number> {
    this.#refuseCargo(value);
    const program = findProgram(value.argv[0], this.#envOf(value));
    if (program === undefined) throw usageError(`${value.argv[0]} is not an executable program; build it first`);
    const text = await this.#shellText(value, this.#guard.successorLimit);
    this.#signals.throwIfReceived();
    this.#signals.stop();
    if (this.#machine.canReplace && process.execve !== undefined) {
      process.chdir(value.cwd);
      process.execve(this.#bash, ['bash', '-p', '-c', text], definedOnly(this.#envOf(value)));
    }
    this.#signals.listen();
    const child = spawn(this.#bash, ['-p', '-c', text], {
      cwd: value.cwd,
      env: this.#envOf(value),
      stdio: 'inherit',
      detached: true,
    });
    return this.#signals.relay(child, exitStatus(child));
  }

  /**
   * The command as a dry run shows it: the limit that it would get, then a line to paste.
   *
   * @throws usageError where the guard would refuse the command
   */
  describe(value: Command): string {
    const plan = this.#guard.plan(value, this.#envOf(value));
    return plan.kind === 'raise' ? `${limitPrefix(plan.to)} ${commandText(value)}` : commandText(value);
  }

  /** The limit that the guard gives the command; says so the first time. */
  #guardedLimit(value: Command): number | undefined {
    const plan = this.#guard.plan(value, this.#envOf(value));
    if (plan.kind === 'leave') return undefined;
    if (!this.#announced) {
      this.#announced = true;
      this.#terminal.say(`open-file limit raised for what this task runs: ${plan.from} -> ${plan.to}`);
      if (plan.shortOf !== undefined) {
        this.#terminal.warn(`that is less than the wanted ${plan.shortOf}: the hard limit is ${plan.to}`);
      }
    }
    return plan.to;
  }

  #envOf(value: Command): Environment {
    return { ...this.#env, ...value.env };
  }

  /** The whole text that bash runs. */
  async #shellText(value: Command, limit: number | undefined): Promise<string> {
    const { quote } = await import('zx/core');
    return `${STRICT_MODE} ${limitPrefix(limit)} exec ${value.argv.map((word) => quote(word)).join(' ')}`;
  }

  async #launch(value: Command, options: LaunchOptions): Promise<Outcome> {
    const { $, quote } = await import('zx/core');
    this.#signals.throwIfReceived();
    const limit = options.limit ?? this.#guardedLimit(value);
    if (statSync(value.cwd, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw usageError(`${argvText(value)} cannot run in ${value.cwd}: there is no such folder`);
    }
    const running = $({
      // Each option that ZX_* variables or zx's own command line could set is given.
      shell: this.#bash,
      prefix: `${STRICT_MODE} ${limitPrefix(limit)} `,
      postfix: '',
      quote,
      cwd: value.cwd,
      env: definedOnly(this.#envOf(value)),
      stdio: ['ignore', ...options.stdio],
      detached: true,
      preferLocal: false,
      timeout: 0,
      verbose: false,
      quiet: true,
      nothrow: true,
      log: () => undefined,
      spawn: ((text: string, _words: unknown, spawnOptions: object) =>
        spawn(this.#bash, ['-p', '-c', text], { ...spawnOptions, shell: false })) as never,
    })`exec ${[...value.argv]}`;
    return this.#settle(running, options);
  }

  async #settle(running: import('zx/core').ProcessPromise, options: LaunchOptions): Promise<Outcome> {
    const { child } = running;
    if (options.onStderr !== undefined) child?.stderr?.on('data', options.onStderr);
    let timedOut = false;
    const kill = () => {
      timedOut = true;
      if (child !== undefined) killGroup(child, 'SIGKILL');
    };
    const timer = options.timeoutMs === undefined ? undefined : setTimeout(kill, options.timeoutMs);
    options.unless?.addEventListener('abort', kill, { once: true });
    try {
      const output = child === undefined ? await running : await this.#signals.during(child, running);
      if (output.cause instanceof Error) throw failure(`${this.#bash} could not be started`, EXIT.failed, output);
      const signal = output.signal ?? undefined;
      const status = output.exitCode ?? (signal === undefined ? EXIT.failed : statusOfSignal(signal));
      return { status, signal, stdout: output.stdout, stderr: output.stderr, timedOut };
    } finally {
      clearTimeout(timer);
    }
  }

  async #probe(value: Command, options: LaunchOptions & { timeoutMs: number }): Promise<Answer> {
    const outcome = await this.#launch(value, options);
    if (outcome.timedOut) {
      return { ok: false, reason: `no answer from ${argvText(value)} within ${seconds(options.timeoutMs)}` };
    }
    if (outcome.status === 0) return { ok: true, output: trimmed(outcome.stdout) };
    return { ok: false, reason: outcomeTail(outcome) || `status ${outcome.status}` };
  }

  /** Cargo has one verb, so that no cargo run can miss the recovery. */
  #refuseCargo(value: Command): void {
    const words = value.argv.map((word) => basename(word));
    if (words[0] === 'cargo' || (words[0] === 'mise' && words[words.indexOf('--') + 1] === 'cargo')) {
      throw new TypeError('cargo is started by the verb cargo(), which carries the recovery');
    }
  }

  /** Cargo's stderr is the terminal itself; with a wrapper it is watched, and looks the same. */
  #startCargo(value: Command, watch: WrapperWatch | undefined): Promise<Outcome> {
    this.#terminal.echo(echoText(value));
    if (watch === undefined) return this.#launch(value, { stdio: ['pipe', 2] });
    const decoder = new TextDecoder();
    const onStderr = (bytes: Buffer) => {
      this.#terminal.pass(bytes);
      watch.add(decoder.decode(bytes, { stream: true }));
    };
    const coloured = { ...value, env: { ...this.#colourOfCargo(), ...value.env } };
    return this.#launch(coloured, { stdio: CAPTURED, onStderr });
  }

  /** Keeps cargo's progress bar and colours although its output goes through a pipe. */
  #colourOfCargo(): Environment {
    if (!this.#terminal.isInteractive) return {};
    return {
      CARGO_TERM_COLOR: textOf(this.#env, 'CARGO_TERM_COLOR') ?? (this.#terminal.isColoured ? 'always' : 'never'),
      CARGO_TERM_PROGRESS_WHEN: textOf(this.#env, 'CARGO_TERM_PROGRESS_WHEN') ?? 'always',
      CARGO_TERM_PROGRESS_WIDTH: textOf(this.#env, 'CARGO_TERM_PROGRESS_WIDTH') ?? String(this.#terminal.columns),
    };
  }

  /** Restarts the sccache server under the wanted limit: a server keeps the limit it was started under. */
  async #restartServer(wrapper: string, like: Command): Promise<boolean> {
    const limit = this.#guard.serverLimit;
    this.#terminal.warn(`${wrapper} failed, not the build; restarting its server under ${limit} open files`);
    const options = { stdio: CAPTURED, limit, timeoutMs: SERVER_TIMEOUT_MS };
    const server = (flag: string) => this.#probe(command([wrapper, flag], { cwd: like.cwd, env: like.env }), options);
    // A server that is not running, or too short of files to answer, cannot be stopped; starting tells.
    const stopped = await server('--stop-server');
    const started = await server('--start-server');
    if (started.ok) return true;
    const reasons = [stopped, started].flatMap((answer) => (answer.ok ? [] : [oneLine(answer.reason)]));
    this.#terminal.warn(`the ${wrapper} server could not be restarted: ${reasons.join('; ')}`);
    return false;
  }
}

async function exitStatus(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? statusOfSignal(signal ?? 'SIGKILL')));
  });
}
