// SPDX-License-Identifier: Apache-2.0

/** A runner for rows and verdicts, which want the same results: each program is started once. */

import { Runner } from '../build-env.ts';
import type { Command } from '../process/command.ts';
import type { ProbeResult } from '../process/result.ts';

export class ProbingRunner extends Runner {
  readonly #results = new Map<string, Promise<unknown>>();

  /** Takes no signal to abort: others may want the result. */
  override probe(command: Command, timeoutMs: number): Promise<ProbeResult> {
    return this.#once(command, () => super.probe(command, timeoutMs));
  }

  /** For `cargo metadata`. */
  override cargo(command: Command): Promise<string> {
    return this.#once(command, () => super.cargo(command));
  }

  #once<T>(command: Command, start: () => Promise<T>): Promise<T> {
    const key = JSON.stringify(command);
    const result = (this.#results.get(key) as Promise<T> | undefined) ?? start();
    this.#results.set(key, result);
    return result;
  }
}
