// SPDX-License-Identifier: Apache-2.0

/**
 * The runner: the only file of the suite that starts another program, and the open-file guard
 * that every such program gets. `npm run check:spawn` fails on any other way out.
 *
 * A command leaves as `bash -p -c 'set -euo pipefail; ulimit -S -n N; exec WORDS'`: strict mode
 * first, then the limit, then the words, quoted by zx. `-p` keeps exported functions, BASH_ENV
 * and SHELLOPTS out of that shell; every zx option that the environment could set is given here.
 *
 * Verbs: `run` (echo, the terminal's), `read` (trimmed output), `probe` (yes, or why not),
 * `cargo` (run, with the wrapper's recovery), `start` (leave running behind), `become` (be
 * replaced by the program).
 */

import { type StdioOptions, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { restartServer, type WrapperWatch, withRecovery } from './cargo/sccache-recovery.ts';
import { cargoColours } from './cargo/term-env.ts';
import { definedOnly, type Environment } from './cli/env.ts';
import type { Terminal } from './cli/terminal.ts';
import { EXIT, failure, usageError } from './errors.ts';
import { type Machine, thisMachine } from './host.ts';
import { Guard, wrapperOf } from './nofile/guard.ts';
import { limitPrefix } from './nofile/policy.ts';
import { misePrefixOf, parseMiseEnvironment, programName, Surroundings } from './process/child-env.ts';
import { argvText, type Command, command, commandText, echoText } from './process/command.ts';
import { type Answer, answerOf, commandFailed, type Outcome, trimmed } from './process/result.ts';
import { exitStatus, killGroup, type Signals, statusOfSignal } from './process/signals.ts';
import { findProgram } from './process/which.ts';

const STRICT_MODE = 'set -euo pipefail;';
/** For a question to mise, and for the sccache server to stop or start. */
const PROBE_TIMEOUT_MS = 15_000;

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

/** Loaded for the first command, and at once: an `import()` would wait behind modules that are being loaded meanwhile. */
const load: (name: 'zx/core') => typeof import('zx/core') = createRequire(import.meta.url);

export class Runner {
  readonly #terminal: Terminal;
  readonly #signals: Signals;
  readonly #guard: Guard;
  readonly #machine: Machine;
  readonly #surroundings: Surroundings;
  readonly #bash: string;
  #announced = false;

  /** @throws usageError for a wrong guard variable, or where there is no bash */
  constructor(env: Environment, terminal: Terminal, signals: Signals, machine: Machine = thisMachine(env)) {
    this.#terminal = terminal;
    this.#signals = signals;
    this.#guard = new Guard(env, machine);
    this.#machine = machine;
    this.#surroundings = new Surroundings(env, machine.invoker);
    const bash = findProgram('bash', env) ?? findProgram('/bin/bash', env);
    if (bash === undefined) throw usageError('bash is not on PATH; install it or add its directory to PATH');
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
    await this.learnCargo(value.cwd);
    // Cargo needs no privilege: under sudo its output stays the user's.
    const asUser = { ...value, asInvoker: true };
    const outcome = await withRecovery(asUser, {
      wrapperOf: (current) => wrapperOf(this.#surroundings.seenBy(current)),
      start: (current, watch) => this.#startCargo(current, watch),
      restartServer: (wrapper, like) => this.#restartServer(wrapper, like),
      warn: (text) => this.#terminal.warn(text),
    });
    // Its last lines went to the terminal as they came.
    if (outcome.status !== 0) throw commandFailed(value, { ...outcome, stdout: '', stderr: '' });
    return outcome.stdout;
  }

  /** Whether `become` gives the program this process; else it runs as a child of it. */
  get canReplace(): boolean {
    return this.#machine.canReplace && process.execve !== undefined;
  }

  /**
   * Starts a program that outlives the task and may speak on the terminal's stderr. Nobody waits
   * for it: bash puts it into the background and ends, so that it becomes no child of a successor.
   */
  async start(value: Command): Promise<void> {
    this.#refuseCargo(value);
    const text = this.#successorText(value, '', ' </dev/null &');
    const status = await exitStatus(this.#spawnSuccessor(value, text, ['ignore', 'ignore', 2]));
    if (status !== 0) throw failure(`${argvText(value)} could not be started (status ${status})`, status);
  }

  /**
   * Replaces this process by the program, which keeps pid, terminal and signals and gets the
   * open-file limit of the user's shell (else the build limit), not the one that Node made.
   * Where a process cannot be replaced: runs it, passes signals on, and gives its exit status.
   *
   * @throws usageError when the program is not there: a failed replacement would abort Node
   */
  async exec(value: Command): Promise<number> {
    this.#refuseCargo(value);
    const program = findProgram(value.argv[0], this.#surroundings.of(value));
    if (program === undefined) throw usageError(`${value.argv[0]} is not an executable program; build it first`);
    const text = this.#successorText(value, 'exec ');
    this.#signals.throwIfReceived();
    this.#signals.stop();
    if (this.canReplace && process.execve !== undefined) {
      process.chdir(value.cwd);
      process.execve(this.#bash, ['bash', '-p', '-c', text], definedOnly(this.#surroundings.of(value)));
    }
    this.#signals.listen();
    const child = this.#spawnSuccessor(value, text, 'inherit');
    return this.#signals.relay(child, exitStatus(child));
  }

  /** The environment that the program of a command will see, behind mise too. */
  environmentOf = (value: Command): Environment => this.#surroundings.seenBy(value);

  /** Reads which compiler wrapper cargo's files name in a directory, for the guard and the recovery. */
  learnCargo = (directory: string): Promise<void> => this.#surroundings.learnCargo(directory);

  /** Asks mise what it sets in a directory: the guard and the recovery decide by what cargo will see. */
  async learnMise(directory: string): Promise<void> {
    const answer = await this.probe(command(['mise', 'env', '--json'], { cwd: directory }), PROBE_TIMEOUT_MS);
    if (!answer.ok) throw usageError(`mise env --json gives no answer: ${answer.reason}; check: mise doctor`);
    this.#surroundings.learn(parseMiseEnvironment(answer.output));
  }

  /**
   * The command as a dry run shows it: the limit that it would get, then a line to paste.
   *
   * @throws usageError where the guard would refuse the command
   */
  describe(value: Command): string {
    const plan = this.#guard.plan(value, this.#surroundings.seenBy(value));
    const text = commandText(this.#surroundings.inside(value));
    return plan.kind === 'raise' ? `${limitPrefix(plan.to)} ${text}` : text;
  }

  /** The limit that the guard gives the command; says so the first time. */
  #guardedLimit(value: Command): number | undefined {
    const plan = this.#guard.plan(value, this.#surroundings.seenBy(value));
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

  #successorText({ argv }: Command, before: string, behind = ''): string {
    const words = argv.map((word) => load('zx/core').quote(word)).join(' ');
    return `${STRICT_MODE} ${limitPrefix(this.#guard.successorLimit)} ${before}${words}${behind}`;
  }

  #spawnSuccessor(value: Command, text: string, stdio: StdioOptions) {
    const options = { cwd: value.cwd, env: this.#surroundings.of(value), stdio, detached: true } as const;
    return spawn(this.#bash, ['-p', '-c', text], options);
  }

  async #launch(value: Command, options: LaunchOptions): Promise<Outcome> {
    const { $, quote } = load('zx/core');
    this.#signals.throwIfReceived();
    const limit = options.limit ?? this.#guardedLimit(value);
    if (statSync(value.cwd, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw usageError(`${argvText(value)} cannot run in ${value.cwd}: there is no such directory`);
    }
    const user = this.#surroundings.userOf(value);
    const running = $({
      // Each option that ZX_* variables or zx's own command line could set is given.
      shell: this.#bash,
      prefix: `${STRICT_MODE} ${limitPrefix(limit)} `,
      postfix: '',
      quote,
      cwd: value.cwd,
      env: definedOnly(this.#surroundings.of(value)),
      stdio: ['ignore', ...options.stdio],
      detached: true,
      preferLocal: false,
      timeout: 0,
      verbose: false,
      quiet: true,
      nothrow: true,
      log: () => undefined,
      spawn: ((text: string, _words: unknown, spawnOptions: object) =>
        spawn(this.#bash, ['-p', '-c', text], { ...spawnOptions, ...user, shell: false })) as never,
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
    return answerOf(value, await this.#launch(value, options), options.timeoutMs);
  }

  /** Cargo has one verb, so that no cargo run can miss the recovery. */
  #refuseCargo(value: Command): void {
    if (programName(value) !== 'cargo') return;
    throw new TypeError('cargo is started by the verb cargo(), which carries the recovery');
  }

  /** Cargo's stderr is the terminal itself; with a wrapper it is watched, and looks the same. */
  #startCargo(given: Command, watch: WrapperWatch | undefined): Promise<Outcome> {
    const value = this.#surroundings.inside(given);
    this.#terminal.echo(echoText(value));
    if (watch === undefined) return this.#launch(value, { stdio: ['pipe', 2] });
    const decoder = new TextDecoder();
    const onStderr = (bytes: Buffer) => {
      this.#terminal.pass(bytes);
      watch.add(decoder.decode(bytes, { stream: true }));
    };
    const coloured = { ...value, env: { ...cargoColours(this.#terminal, this.#surroundings.of(value)), ...value.env } };
    return this.#launch(coloured, { stdio: CAPTURED, onStderr });
  }

  /** The server is asked outside the guard: it outlives the task, and gets the wanted limit as it is. */
  #restartServer(wrapper: string, like: Command): Promise<boolean> {
    const limit = this.#guard.serverLimit;
    const options = { stdio: CAPTURED, limit, timeoutMs: PROBE_TIMEOUT_MS };
    const ask = (flag: string) =>
      this.#probe(command([...misePrefixOf(like), wrapper, flag], { cwd: like.cwd, env: like.env }), options);
    return restartServer(wrapper, limit, ask, (text) => this.#terminal.warn(text));
  }
}
